"""What `rats-tls-client` and `rats-tls-server` are behind their flags: who we are, and how we judge the peer."""

import argparse
import logging
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from verdictd.appraisal.policy_step import apply_policy, skip_policy
from verdictd.appraisal.report import summarise
from verdictd.appraisal.verifiers import Verifiers
from verdictd.cli.local_policy import LocalPolicy, read_policy
from verdictd.cli.options import read_acceptance, read_collateral_settings, read_guest_settings, read_trust_roots
from verdictd.cli.sample_options import choose_verifier, parse_attester_name, parse_claims
from verdictd.core.attester import Attester
from verdictd.core.errors import ConfigError
from verdictd.daemon.attesters import EVIDENCE_TAGS, SimulatedWorkload, open_attester
from verdictd.daemon.collateral_setup import AppraisalSetup, open_sources
from verdictd.daemon.guest_setup import make_guest_tees
from verdictd.daemon.identity import IdentityMaker
from verdictd.daemon.settings import AttesterName
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.channel import PeerVerdict, Role
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.ratstls.tls_context import RATSTLSContext
from verdictd.reference.finder import find_subjects, select
from verdictd.reference.subject import Subject
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.guests import GuestSpec
from verdictd.simulator.trust_domain import TrustDomainSpec

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePeer:
    """Our side of the sample programs.

    Attributes:
        setup: the appraiser, and its collateral.
        verifier: the verifier that the peer has to pass.
        policy: which enclaves are accepted; ``None`` for any.
    """

    setup: AppraisalSetup
    verifier: Verifiers
    policy: LocalPolicy | None

    def judge(self, certificate: bytes) -> PeerVerdict:
        """Judge the peer's certificate (DER), which is untrusted."""
        result = self.setup.appraiser.appraise_certificate(certificate, self.verifier, datetime.now(UTC))
        if not self.verifier.is_null:
            if self.policy is None:
                result = skip_policy(result, "no --policy is given: any enclave is accepted")
            else:
                result, _ = apply_policy(result, self.policy.decide)
        return PeerVerdict(
            attestation_id=attestation_id(certificate),
            allowed=result.allowed,
            reason=summarise(result),
            result=result,
        )


def open_peer(role: Role, arguments: argparse.Namespace) -> SamplePeer:
    """Make our side from the flags, and say which weaker choices they hold.

    Raises:
        VerdictdError: something that the flags name cannot be used.
    """
    _check_enforceable(role, arguments)
    setup = AppraisalSetup(
        roots=read_trust_roots(arguments),
        acceptance=read_acceptance(arguments),
        sources=open_sources(read_collateral_settings(arguments), os.environ),
        guests=make_guest_tees(read_guest_settings(arguments), read_acceptance(arguments)),
        verifiers=choose_verifier(arguments.verifier),
    )
    peer = SamplePeer(setup=setup, verifier=choose_verifier(arguments.verifier), policy=read_policy(arguments))
    setup.service.preload(datetime.now(UTC))
    if arguments.tls == "nulltls":
        _LOGGER.warning("nulltls: nothing is encrypted and nobody is judged")
    elif peer.verifier.is_null:
        _LOGGER.warning("nullverifier: the peer's evidence is not judged")
    elif peer.policy is None:
        _LOGGER.warning("no policy is named: any enclave on an acceptable platform is accepted")
    for warning in setup.warnings:
        _LOGGER.warning("%s", warning)
    return peer


def _check_enforceable(role: Role, arguments: argparse.Namespace) -> None:
    """Refuse to drop a verifier that was named because the other flags leave it nothing to judge."""
    if not arguments.verifier or choose_verifier(arguments.verifier).is_null:
        return
    named = f"the verifier {arguments.verifier} is named and cannot be enforced"
    if arguments.tls == "nulltls":
        raise ConfigError(f"{named}: nulltls carries no certificates", remedy="use -t openssl, or name -v nullverifier")
    if role is Role.SERVER and not arguments.mutual:
        raise ConfigError(
            f"{named}: without --mutual no client presents evidence", remedy="add --mutual, or name -v nullverifier"
        )


def make_tls_context(role: Role, arguments: argparse.Namespace, peer: SamplePeer) -> RATSTLSContext:
    """Make our identity, and the TLS settings for it.

    Raises:
        VerdictdError: our evidence cannot be made.
    """
    maker = IdentityMaker(
        attester=_open_attester(arguments),
        evidence_tag=EVIDENCE_TAGS[_attester_name(arguments)],
        certificate_format=CertificateFormat(arguments.certificate_format),
        custom_claims=parse_claims(arguments.claim),
        find_endorsements=peer.setup.find_endorsements if arguments.endorsements else None,
    )
    needs_identity = role is Role.SERVER or arguments.mutual
    identity = maker.make(datetime.now(UTC)) if needs_identity else None
    if identity is not None:
        _LOGGER.info("our attestation id is %s", identity.attestation_id)
    return RATSTLSContext(role, identity, mutual=arguments.mutual)


def _attester_name(arguments: argparse.Namespace) -> AttesterName:
    """The attester that was named; that of SGX where none was."""
    name = parse_attester_name(arguments.attester)
    return AttesterName(name) if name else AttesterName.SGX_ECDSA


def _open_attester(arguments: argparse.Namespace) -> Attester | None:
    """Open the attester that was named; where none was, hardware or a simulated platform if there is any."""
    name = parse_attester_name(arguments.attester)
    enclave = _read_enclave(arguments)
    simulate = None if arguments.simulate is None else Path(arguments.simulate)
    try:
        return open_attester(
            _attester_name(arguments),
            quote_command=arguments.quote_command,
            simulate=simulate,
            workload=SimulatedWorkload(
                enclave=enclave,
                domain=_read_domain(arguments),
                guest=GuestSpec(measurement=arguments.sim_measurement, debug=arguments.debug_enclave),
            ),
        )
    except ConfigError:
        if name or simulate or arguments.quote_command:
            raise
        _LOGGER.warning("no attester is named and no SGX device is there: nullattester")
        return None


def _read_enclave(arguments: argparse.Namespace) -> EnclaveSpec:
    if arguments.sim_enclave is not None:
        return _measure_enclave(Path(arguments.sim_enclave), debug=arguments.debug_enclave)
    usual = EnclaveSpec()
    try:
        return EnclaveSpec(
            mr_enclave=arguments.sim_mrenclave or usual.mr_enclave,
            mr_signer=arguments.sim_mrsigner or usual.mr_signer,
            isv_prod_id=arguments.sim_isv_prod_id,
            isv_svn=arguments.sim_isv_svn,
            debug=arguments.debug_enclave,
        )
    except ValueError as error:
        raise ConfigError(f"the simulated enclave cannot be: {error}") from error


def _read_domain(arguments: argparse.Namespace) -> TrustDomainSpec:
    usual = TrustDomainSpec(debug=arguments.debug_enclave)
    try:
        return replace(usual, mr_td=arguments.sim_mrtd or usual.mr_td)
    except ValueError as error:
        raise ConfigError(f"the simulated TD cannot be: {error}") from error


def _measure_enclave(path: Path, *, debug: bool) -> EnclaveSpec:
    """What a CPU would measure, if it ran the enclave in this file."""
    for finding in select(find_subjects(path), None, str(path)):
        if isinstance(finding, Subject):
            values = finding.values
            return EnclaveSpec(
                mr_enclave=values.mr_enclave,
                mr_signer=values.mr_signer,
                isv_prod_id=values.isv_prod_id,
                isv_svn=values.isv_svn,
                debug=debug,
            )
        raise ConfigError(f"{finding.where} would not start: {finding.reason}")
    raise ConfigError(f"there is no enclave in {path}")
