"""One thing is damaged and everything around it signed again: each time one check fails, and the one that should.

This shows two things at once: that the builders damage what they are asked to and no more, and that no check of the
appraisal is covered by another. The oracle is asked as well; what it lets pass, it says why in `ORACLE_LETS_PASS`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.unit.simulator.oracle import AT, REPORT_DATA, appraise, oracle_verdict
from verdictd.core.checks import CheckResult
from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate, simulated_name
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.simulator.documents import QEIdentitySpec, TCBInfoSpec
from verdictd.simulator.keys import Credential, generate_key, raw_public_key
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import QuoteParts
from verdictd.simulator.sgx_extension import SGXExtensionSpec
from verdictd.simulator.tdx_levels import tdx_tcb_info_spec
from verdictd.tees.dcap.collateral import Collateral

LONG_AGO = AT - timedelta(days=60)
YESTERDAY = AT - timedelta(days=1)
TOMORROW = AT + timedelta(days=1)
OTHER_KEY = generate_key()
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a verifier is given. Its trust root is always the undamaged platform's."""

    quote: bytes
    collateral: Collateral


Damage = Callable[[SimulatedPlatform], Presented]


def _present(platform: SimulatedPlatform) -> Presented:
    return Presented(quote=platform.quote(report_data=REPORT_DATA), collateral=platform.collateral(AT))


def in_quote(change: Callable[[QuoteParts], QuoteParts], *, version: int = 3) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        parts = platform.quote_parts(report_data=REPORT_DATA, quote_version=version)
        return Presented(quote=platform.sign(change(parts)), collateral=platform.collateral(AT))

    return damage


def in_qe_report(**fields: bytes | int) -> Damage:
    return in_quote(lambda parts: replace(parts, qe_report=replace(parts.qe_report, **fields)))  # type: ignore[arg-type]


def in_certificate(role: CertificateRole, change: Callable[[CertificateSpec], CertificateSpec]) -> Damage:
    return lambda platform: _present(platform.with_certificate(role, change(platform.certificate_spec(role))))


def in_sgx_extension(change: Callable[[SGXExtensionSpec], SGXExtensionSpec]) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        extension = change(platform.sgx_extension_spec())
        return in_certificate("pck", lambda spec: replace(spec, sgx_extension=extension))(platform)

    return damage


def in_tcb_info(change: Callable[[TCBInfoSpec], TCBInfoSpec]) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        document = platform.issue_tcb_info(change(platform.tcb_info_spec()), AT)
        return _with_items(platform, tcb_info=document)

    return damage


def in_qe_identity(change: Callable[[QEIdentitySpec], QEIdentitySpec]) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        document = platform.issue_qe_identity(change(platform.qe_identity_spec()), AT)
        return _with_items(platform, qe_identity=document)

    return damage


def _with_items(platform: SimulatedPlatform, **items: object) -> Presented:
    presented = _present(platform)
    return replace(presented, collateral=replace(presented.collateral, **items))  # type: ignore[arg-type]


def _other_signer(platform: SimulatedPlatform, change: Callable[[CertificateSpec], CertificateSpec]) -> Credential:
    spec = replace(platform.certificate_spec("tcb-signing"), public_key=OTHER_KEY.public_key())
    return Credential(issue_certificate(change(spec), platform.pki.root_ca.key), OTHER_KEY)


def _tcb_info_by_revoked_signer(platform: SimulatedPlatform) -> Presented:
    signer = _other_signer(platform, lambda spec: replace(spec, serial_number=4711))
    revoked = RevokedCertificate(serial_number=4711, since=YESTERDAY)
    return _with_items(
        platform,
        tcb_info=platform.issue_tcb_info(platform.tcb_info_spec(), AT, signer=signer),
        root_ca_crl=platform.issue_root_ca_crl(replace(platform.root_ca_crl_spec(), revoked=(revoked,)), AT),
    )


def _qe_identity_by_revoked_signer(platform: SimulatedPlatform) -> Presented:
    signer = _other_signer(platform, lambda spec: replace(spec, serial_number=4711))
    revoked = RevokedCertificate(serial_number=4711, since=YESTERDAY)
    return _with_items(
        platform,
        qe_identity=platform.issue_qe_identity(platform.qe_identity_spec(), AT, signer=signer),
        root_ca_crl=platform.issue_root_ca_crl(replace(platform.root_ca_crl_spec(), revoked=(revoked,)), AT),
    )


def _tcb_info_by_pck_ca(platform: SimulatedPlatform) -> Presented:
    document = platform.issue_tcb_info(platform.tcb_info_spec(), AT, signer=platform.pki.platform_ca)
    return _with_items(platform, tcb_info=document)


def _tcb_info_by_expired_signer(platform: SimulatedPlatform) -> Presented:
    signer = _other_signer(platform, lambda spec: replace(spec, not_before=LONG_AGO, not_after=YESTERDAY))
    return _with_items(platform, tcb_info=platform.issue_tcb_info(platform.tcb_info_spec(), AT, signer=signer))


def _tcb_info_altered(platform: SimulatedPlatform) -> Presented:
    document = platform.issue_tcb_info(platform.tcb_info_spec(), AT)
    body = document.body.replace(b'"tcbEvaluationDataNumber":17', b'"tcbEvaluationDataNumber":18')
    assert body != document.body
    return _with_items(platform, tcb_info=replace(document, body=body))


def _qe_identity_altered(platform: SimulatedPlatform) -> Presented:
    document = platform.issue_qe_identity(platform.qe_identity_spec(), AT)
    body = document.body.replace(b'"isvprodid":1', b'"isvprodid": 1')  # the same JSON, other bytes
    assert body != document.body
    return _with_items(platform, qe_identity=replace(document, body=body))


def _pck_crl(change: Callable[[SimulatedPlatform], dict[str, object]], *, forged: bool = False) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        spec = replace(platform.pck_crl_spec(), **change(platform))  # type: ignore[arg-type]
        return _with_items(platform, pck_crl=platform.issue_pck_crl(spec, AT, signer=OTHER_KEY if forged else None))

    return damage


def _root_crl(change: Callable[[SimulatedPlatform], dict[str, object]], *, forged: bool = False) -> Damage:
    def damage(platform: SimulatedPlatform) -> Presented:
        spec = replace(platform.root_ca_crl_spec(), **change(platform))  # type: ignore[arg-type]
        return _with_items(
            platform, root_ca_crl=platform.issue_root_ca_crl(spec, AT, signer=OTHER_KEY if forged else None)
        )

    return damage


def _pck_signed_by_stranger(platform: SimulatedPlatform) -> Presented:
    spec = platform.certificate_spec("pck")
    return _present(platform.with_certificate("pck", spec, signer=OTHER_KEY))


def _quote_of_other_platform(platform: SimulatedPlatform) -> Presented:
    other = SimulatedPlatform.create(at=AT)
    return Presented(quote=other.quote(report_data=REPORT_DATA), collateral=platform.collateral(AT))


def _quote_signed_by_other_attestation_key(platform: SimulatedPlatform) -> Presented:
    parts = replace(
        platform.quote_parts(report_data=REPORT_DATA), attestation_key=raw_public_key(platform.attestation_key)
    )
    return Presented(quote=platform.sign(parts, attestation_key=OTHER_KEY), collateral=platform.collateral(AT))


def _qe_report_signed_by_other_key(platform: SimulatedPlatform) -> Presented:
    parts = platform.quote_parts(report_data=REPORT_DATA)
    return Presented(quote=platform.sign(parts, pck_key=OTHER_KEY), collateral=platform.collateral(AT))


def _attestation_key_not_bound(platform: SimulatedPlatform) -> Presented:
    """A stranger's key signs the body; the QE's report, signed by the PCK, still names the genuine key."""
    parts = platform.quote_parts(report_data=REPORT_DATA)
    digest = hashlib.sha256(raw_public_key(platform.attestation_key) + parts.qe_auth_data).digest()
    bound = replace(parts, qe_report=replace(parts.qe_report, report_data=digest + bytes(32)))
    return Presented(quote=platform.sign(bound, attestation_key=OTHER_KEY), collateral=platform.collateral(AT))


def _qe_report_data_goes_on(platform: SimulatedPlatform) -> Presented:
    parts = platform.quote_parts(report_data=REPORT_DATA)
    digest = hashlib.sha256(raw_public_key(platform.attestation_key) + parts.qe_auth_data).digest()
    longer = replace(parts, qe_report=replace(parts.qe_report, report_data=digest + b"\1" * 32))
    return Presented(quote=platform.sign(longer), collateral=platform.collateral(AT))


def _debug_enclave(platform: SimulatedPlatform) -> Presented:
    quote = platform.quote(report_data=REPORT_DATA, debug=True)
    return Presented(quote=quote, collateral=platform.collateral(AT))


def _raise_first_component(spec: TCBInfoSpec) -> TCBInfoSpec:
    raised = (replace(level, components=b"\x0f" + level.components[1:]) for level in spec.levels)
    return replace(spec, levels=tuple(raised))


def _raise_last_component(spec: TCBInfoSpec) -> TCBInfoSpec:
    raised = (replace(level, components=level.components[:15] + b"\x01") for level in spec.levels)
    return replace(spec, levels=tuple(raised))


def _raise_pce_svn(spec: TCBInfoSpec) -> TCBInfoSpec:
    return replace(spec, levels=tuple(replace(level, pce_svn=14) for level in spec.levels))


def _raise_qe_svn(spec: QEIdentitySpec) -> QEIdentitySpec:
    return replace(spec, levels=tuple(replace(level, isv_svn=12) for level in spec.levels))


CASES: dict[str, tuple[Damage, str]] = {
    "another QE vendor": (in_quote(lambda parts: replace(parts, qe_vendor_id=bytes(16))), "quote.qe_vendor"),
    "another QE vendor, v4": (
        in_quote(lambda parts: replace(parts, qe_vendor_id=bytes(16)), version=4),
        "quote.qe_vendor",
    ),
    "encrypted PPID instead of a certificate": (
        in_quote(lambda parts: replace(parts, certification_type=3, certification_data=bytes(404))),
        "quote.certification_data",
    ),
    "quote body signed by a stranger": (_quote_signed_by_other_attestation_key, "quote.signature"),
    "signature of the quote is zero": (in_quote(lambda parts: replace(parts, signature=bytes(64))), "quote.signature"),
    "QE report signed by a stranger": (_qe_report_signed_by_other_key, "qe.report_signature"),
    "signature of the QE report is zero": (
        in_quote(lambda parts: replace(parts, qe_report_signature=bytes(64))),
        "qe.report_signature",
    ),
    "attestation key the QE did not make": (_attestation_key_not_bound, "qe.report_data"),
    "QE's report data goes on after the digest": (_qe_report_data_goes_on, "qe.report_data"),
    "QE with another MISCSELECT": (in_qe_report(misc_select=b"\x01\0\0\0"), "qe.misc_select"),
    "debug QE": (in_qe_report(attributes=bytes.fromhex("1700000000000000e700000000000000")), "qe.attributes"),
    "QE of another signer": (in_qe_report(mr_signer=bytes(32)), "qe.mr_signer"),
    "another enclave of the QE's signer": (in_qe_report(isv_prod_id=2), "qe.isv_prod_id"),
    "QE older than any that is endorsed": (in_qe_report(isv_svn=8), "qe.tcb_level"),
    "identity asks for a newer QE": (in_qe_identity(_raise_qe_svn), "qe.tcb_level"),
    "debug enclave": (_debug_enclave, "enclave.debug"),
    "another root": (_quote_of_other_platform, "pck.chain"),
    "PCK certificate of a stranger": (_pck_signed_by_stranger, "pck.chain"),
    "PCK certificate with SHA-384": (
        in_certificate("pck", lambda spec: replace(spec, hash_algorithm=hashes.SHA384())),
        "pck.chain",
    ),
    "PCK certificate of another name": (
        in_certificate("pck", lambda spec: replace(spec, subject=simulated_name("Somebody"))),
        "pck.chain",
    ),
    "PCK certificate without SGX extension": (
        in_certificate("pck", lambda spec: replace(spec, sgx_extension=None)),
        "pck.chain",
    ),
    "PCK certificate with an unknown critical extension": (
        in_certificate("pck", lambda spec: replace(spec, added=((UNKNOWN_EXTENSION, True),))),
        "pck.chain",
    ),
    "SGX extension without FMSPC": (
        in_sgx_extension(lambda spec: replace(spec, omitted=frozenset({4}))),
        "pck.chain",
    ),
    "SGX extension with a short PPID": (in_sgx_extension(lambda spec: replace(spec, ppid=bytes(15))), "pck.chain"),
    "PCK CA that is no CA": (
        in_certificate("platform-ca", lambda spec: replace(spec, is_ca=False, path_length=None)),
        "pck.chain",
    ),
    "PCK CA that may not sign certificates": (
        in_certificate("platform-ca", lambda spec: replace(spec, may_sign_certificates=False)),
        "pck.chain",
    ),
    "PCK certificate has expired": (
        in_certificate("pck", lambda spec: replace(spec, not_before=LONG_AGO, not_after=YESTERDAY)),
        "pck.validity",
    ),
    "PCK certificate is not valid yet": (
        in_certificate("pck", lambda spec: replace(spec, not_before=TOMORROW)),
        "pck.validity",
    ),
    "PCK is for another family": (in_sgx_extension(lambda spec: replace(spec, fmspc=b"OTHER\0")), "tcb_info.fmspc"),
    "TCB info is for another family": (in_tcb_info(lambda spec: replace(spec, fmspc=bytes(6))), "tcb_info.fmspc"),
    "TCB info is for another PCE": (in_tcb_info(lambda spec: replace(spec, pce_id=b"\0\1")), "tcb_info.pce_id"),
    "TCB info is for TDX": (in_tcb_info(lambda spec: tdx_tcb_info_spec(spec, created_at=AT)), "tcb_info.id"),
    "TCB info has expired": (
        in_tcb_info(lambda spec: replace(spec, issue_date=LONG_AGO, next_update=YESTERDAY)),
        "tcb_info.validity",
    ),
    "TCB info comes from the future": (
        in_tcb_info(lambda spec: replace(spec, issue_date=TOMORROW)),
        "tcb_info.validity",
    ),
    "TCB info was altered": (_tcb_info_altered, "tcb_info.signature"),
    "TCB info was signed by the PCK CA": (_tcb_info_by_pck_ca, "tcb_info.signature"),
    "signer of TCB info has expired": (_tcb_info_by_expired_signer, "tcb_info.validity"),
    "signer of TCB info is revoked": (_tcb_info_by_revoked_signer, "tcb_info.signer_revocation"),
    "signer of QE identity is revoked": (_qe_identity_by_revoked_signer, "qe_identity.signer_revocation"),
    "QE identity was altered": (_qe_identity_altered, "qe_identity.signature"),
    "QE identity is a TD's": (in_qe_identity(lambda spec: replace(spec, enclave_id="TD_QE")), "qe_identity.id"),
    "QE identity has expired": (
        in_qe_identity(lambda spec: replace(spec, issue_date=LONG_AGO, next_update=YESTERDAY)),
        "qe_identity.validity",
    ),
    "QE identity comes from the future": (
        in_qe_identity(lambda spec: replace(spec, issue_date=TOMORROW)),
        "qe_identity.validity",
    ),
    "no level for component 1": (in_tcb_info(_raise_first_component), "tcb.level"),
    "no level for component 16": (in_tcb_info(_raise_last_component), "tcb.level"),
    "no level for the PCESVN": (in_tcb_info(_raise_pce_svn), "tcb.level"),
    "PCK CRL of a stranger": (_pck_crl(lambda _: {}, forged=True), "pck_crl.signature"),
    "PCK CRL that is the root's": (
        _pck_crl(lambda platform: {"issuer": platform.pki.root_ca.certificate.subject}),
        "pck_crl.signature",
    ),
    "PCK CRL without number": (_pck_crl(lambda _: {"number": None}), "pck_crl.signature"),
    "PCK CRL with an unknown critical extension": (
        _pck_crl(lambda _: {"added": ((UNKNOWN_EXTENSION, True),)}),
        "pck_crl.signature",
    ),
    "PCK CRL has expired": (
        _pck_crl(lambda _: {"this_update": LONG_AGO, "next_update": YESTERDAY}),
        "pck_crl.validity",
    ),
    "PCK CRL comes from the future": (_pck_crl(lambda _: {"this_update": TOMORROW}), "pck_crl.validity"),
    "root CRL of a stranger": (_root_crl(lambda _: {}, forged=True), "root_ca_crl.signature"),
    "root CRL has expired": (
        _root_crl(lambda _: {"this_update": LONG_AGO, "next_update": YESTERDAY}),
        "root_ca_crl.validity",
    ),
    "root CRL comes from the future": (_root_crl(lambda _: {"this_update": TOMORROW}), "root_ca_crl.validity"),
    "PCK CA is revoked": (lambda platform: _present(platform.with_revoked("platform-ca")), "pck.ca_revocation"),
    "PCK certificate is revoked": (lambda platform: _present(platform.with_revoked("pck")), "pck.revocation"),
}

ORACLE_LETS_PASS = {
    "PCK CRL comes from the future": "it looks at the next update alone",
    "root CRL comes from the future": "it looks at the next update alone",
    "PCK CRL without number": "it does not use the number",
    "PCK certificate of another name": "it does not look at the subject's name",
    "QE's report data goes on after the digest": "it compares the first 32 bytes",
    "SGX extension with a short PPID": "it takes a PPID of any size",
    "TCB info is for another PCE": "it does not compare the PCEID",
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_damage_fails_one_check_and_no_other(platform: SimulatedPlatform, case: str) -> None:
    damage, check = CASES[case]
    presented = damage(platform)
    result = appraise(presented.quote, presented.collateral, platform)
    assert [refusal.name for refusal in result.refusals if refusal.result is CheckResult.FAIL] == [check]
    assert not result.allowed


@pytest.mark.parametrize("case", sorted(CASES.keys() - ORACLE_LETS_PASS.keys()))
def test_oracle_refuses_the_damage_too(platform: SimulatedPlatform, case: str) -> None:
    presented = CASES[case][0](platform)
    with pytest.raises(ValueError):
        oracle_verdict(presented.quote, presented.collateral, platform)


@pytest.mark.parametrize("case", sorted(ORACLE_LETS_PASS))
def test_oracle_lets_pass_what_it_does_not_check(platform: SimulatedPlatform, case: str) -> None:
    """Where this fails the oracle has learnt something: take the case off the list."""
    presented = CASES[case][0](platform)
    assert oracle_verdict(presented.quote, presented.collateral, platform)[0] == "UpToDate"


def test_nothing_is_refused_where_nothing_is_damaged(platform: SimulatedPlatform) -> None:
    presented = in_quote(lambda parts: parts)(platform)
    assert appraise(presented.quote, presented.collateral, platform).refusals == ()
    assert oracle_verdict(presented.quote, presented.collateral, platform) == ("UpToDate", [])


@pytest.mark.parametrize("role", ["root-ca", "platform-ca", "tcb-signing", "pck"])
def test_certificate_issued_anew_from_its_spec_still_holds(platform: SimulatedPlatform, role: CertificateRole) -> None:
    again = platform.with_certificate(role, platform.certificate_spec(role))
    before, after = platform.pki.credential(role).certificate, again.pki.credential(role).certificate
    assert after.tbs_certificate_bytes == before.tbs_certificate_bytes
    assert appraise(again.quote(report_data=REPORT_DATA), again.collateral(AT), again).allowed


def test_subject_s_key_can_be_exchanged(platform: SimulatedPlatform) -> None:
    exchanged = platform.with_certificate("pck", platform.certificate_spec("pck"), key=OTHER_KEY)
    assert exchanged.pki.pck.certificate.public_key() == OTHER_KEY.public_key()
    assert appraise(exchanged.quote(report_data=REPORT_DATA), exchanged.collateral(AT), platform).allowed
