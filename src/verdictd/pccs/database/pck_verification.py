"""Verifies PCK certificates that are or will be in the database: what a certificate states is read from it."""

from collections.abc import Mapping

from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.pccs.model import PCKCertificate, Platform, RawTCB
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import verify_pck_chain
from verdictd.tees.dcap.trust_roots import TrustRoots


class PCKVerifier:
    """Verifies PCK certificates under the roots of this process. Safe to share between threads."""

    def __init__(self, roots: TrustRoots, memory: FactMemory) -> None:
        self._roots = roots
        self._memory = memory

    def verify(self, tcb: RawTCB, pem: bytes, issuer_chain: bytes, platform: Platform) -> PCKCertificate:
        """Verify a certificate, and that it is what it is kept as.

        Args:
            tcb: the level it is kept under.
            pem: untrusted: the certificate alone.
            issuer_chain: untrusted: the CAs above it.
            platform: whose it is; with `fmspc` and `ca`.
        Raises:
            VerdictdError: it cannot be read, does not hold, or is another's.
        """
        chain = pem.rstrip(b"\0") + b"\n" + issuer_chain
        verified = verify_pck_chain(chain, self._roots, self._memory)
        stated = verified.platform
        found = RawTCB(stated.cpu_svn, stated.pce_svn)
        if found != tcb:
            raise AuthenticityError(f"the certificate is for the TCB {found}, expected {tcb}")
        if stated.fmspc != platform.fmspc:
            raise AuthenticityError(
                f"the certificate is for the FMSPC {stated.fmspc.hex()}, expected {platform.fmspc.hex()}"
            )
        if verified.ca_type != platform.ca:
            raise AuthenticityError(f"the certificate is the {verified.ca_type} CA's, expected the {platform.ca} CA's")
        return PCKCertificate(tcb=tcb, pem=pem, components=stated.components, expires_at=verified.chain.not_after)

    def still_hold(self, pems: Mapping[RawTCB, bytes], issuer_chain: bytes, platform: Platform) -> dict[RawTCB, bytes]:
        """Return those of several certificates that hold with an issuer chain."""
        return {tcb: pem for tcb, pem in pems.items() if self._holds(tcb, pem, issuer_chain, platform)}

    def _holds(self, tcb: RawTCB, pem: bytes, issuer_chain: bytes, platform: Platform) -> bool:
        try:
            self.verify(tcb, pem, issuer_chain, platform)
        except VerdictdError:
            return False
        return True
