"""Routes that hand out PCK certificates: to whoever names a platform as Intel's PCS, or as a PCCS, wants it named."""

import json
from http import HTTPStatus
from urllib.parse import quote

from verdictd.simulator.family import ENCRYPTED_PPID_BYTES, MANIFEST_BYTES, FamilyMember, find_member
from verdictd.simulator.pck_certificates import PCKIssuer, PCKLevel, own_member
from verdictd.simulator.pcs_answers import JSON, PEM, PCSAnswer, RefusedError, chain_header
from verdictd.simulator.pcs_request import PCSRequest

_NOT_AVAILABLE = "Not available"
_UNKNOWN = "there is no PCK certificate for a platform with these ids"


def answer_pck_certificate(request: PCSRequest) -> PCSAnswer:
    """Answer ``pckcert``: with ``qeid`` as a PCCS does, else as the PCS."""
    issuer = _cached_platform(request) if request.parameters.get("qeid") else _platform(request)
    cpu_svn = request.octets("cpusvn", 16)
    level = issuer.best_level(cpu_svn, int.from_bytes(request.octets("pcesvn", 2), "little"))
    if level is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no PCK certificate for a TCB as low as this")
    return PCSAnswer(
        content_type=PEM,
        body=issuer.pem(level),
        headers=(*_headers(issuer), ("SGX-TCBm", level.tcbm.hex().upper())),
    )


def answer_pck_certificates(request: PCSRequest) -> PCSAnswer:
    """Answer ``pckcerts``: those of all TCB levels."""
    issuer = _platform(request)
    return _answer_levels(issuer, issuer.levels())


def answer_configured_pck_certificates(request: PCSRequest) -> PCSAnswer:
    """Answer ``pckcerts/config``: those of the TCB levels that the platform reaches with its present CPUSVN."""
    issuer = _platform(request)
    cpu_svn = request.octets("cpusvn", 16)
    reached = tuple(entry for entry in issuer.levels() if entry[0].is_reached_by(cpu_svn, 0xFFFF))
    if not reached:
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no PCK certificate for a TCB as low as this")
    return _answer_levels(issuer, reached)


def _answer_levels(issuer: PCKIssuer, levels: tuple[tuple[PCKLevel, bool], ...]) -> PCSAnswer:
    entries = [
        {
            "tcb": {f"sgxtcbcomp{number:02}svn": svn for number, svn in enumerate(level.components, 1)}
            | {"pcesvn": level.pce_svn},
            "tcbm": level.tcbm.hex().upper(),
            "cert": quote(issuer.pem(level), safe="") if is_there else _NOT_AVAILABLE,
        }
        for level, is_there in levels
    ]
    body = json.dumps(entries, separators=(",", ":")).encode("ascii")
    return PCSAnswer(content_type=JSON, body=body, headers=_headers(issuer))


def _headers(issuer: PCKIssuer) -> tuple[tuple[str, str], ...]:
    return (
        chain_header("SGX-PCK-Certificate-Issuer-Chain", issuer.issuer_chain),
        ("SGX-FMSPC", issuer.fmspc.hex().upper()),
        ("SGX-PCK-Certificate-CA-Type", issuer.ca),
    )


def _platform(request: PCSRequest) -> PCKIssuer:
    """Find the platform as the PCS does: by its encrypted PPID, or by the manifest in a POST request's body."""
    is_manifest = request.method == "POST"
    identity = (
        request.octets("platformManifest", MANIFEST_BYTES)
        if is_manifest
        else request.octets("encrypted_ppid", ENCRYPTED_PPID_BYTES)
    )
    return _issuer(request, find_member(identity), has_cached_keys=not is_manifest)


def _cached_platform(request: PCSRequest) -> PCKIssuer:
    """Find the platform as a PCCS does: by its quoting enclave's id, else by its encrypted PPID where that is given."""
    if request.octets("qeid", 16) == request.platform.hardware.qe_id:
        return _issuer(request, own_member(request.platform))
    if not request.parameters.get("encrypted_ppid"):
        raise RefusedError(HTTPStatus.NOT_FOUND, _UNKNOWN)
    return _issuer(request, find_member(request.octets("encrypted_ppid", ENCRYPTED_PPID_BYTES)))


def _issuer(request: PCSRequest, member: FamilyMember | None, *, has_cached_keys: bool = True) -> PCKIssuer:
    if request.octets("pceid", 2)[::-1] != request.platform.hardware.pce_id or member is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, _UNKNOWN)
    return PCKIssuer(request.platform, member, has_cached_keys=has_cached_keys)
