"""Each check is proven by an input that this check alone refuses, everything around it being signed and in order.

Where a check fails, what could not be made for want of it is listed beside it, and nothing else refuses.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.unit.tees.inputs import (
    Input,
    issued_by_root,
    quote_parts,
    with_certificate,
    with_flipped_bit,
    with_item,
    with_key_of,
    with_parts,
    with_pck_crl,
    with_qe_identity,
    with_qe_level,
    with_qe_report,
    with_revoked_signer,
    with_root_ca_crl,
    with_sgx_extension,
    with_signer,
    with_tcb_info,
    with_tdx_tcb_info,
)
from tests.unit.tees.simulated import AT, REPORT_DATA, key_usage, other, platform, roots_of, with_extension
from verdictd.core.checks import CheckResult
from verdictd.simulator.certificate_builder import simulated_name
from verdictd.simulator.keys import generate_key, raw_public_key
from verdictd.simulator.quote_builder import encode_report
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, LEVEL_STATUSES, Acceptance, TCBStatus
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS

NOTHING: frozenset[str] = frozenset()
ALL_BUT_FORMAT = frozenset(REQUIREMENTS) - {"quote.format"}
"""A quote that cannot be read leaves nothing to check."""
NEEDS_LEVELS = frozenset({"tcb.status", "tcb.advisories"})
"""The status is of both levels together, and so are the advisories: without either level there are none."""
NEEDS_TCB_INFO = NEEDS_LEVELS | {"tcb.level", "tcb.evaluation_data_number"}
"""TCB info holds the levels, and one of the two evaluation data numbers."""
NEEDS_TCB_INFO_GENUINE = NEEDS_TCB_INFO | {
    "tcb_info.validity",
    "tcb_info.signer_revocation",
    "tcb_info.id",
    "tcb_info.fmspc",
    "tcb_info.pce_id",
}
"""What a document says is looked at only once it is known whose it is."""
NEEDS_QE_IDENTITY = NEEDS_LEVELS | {
    "tcb.evaluation_data_number",
    "qe.misc_select",
    "qe.attributes",
    "qe.mr_signer",
    "qe.isv_prod_id",
    "qe.tcb_level",
}
"""Everything that the quoting enclave is compared with, and the other evaluation data number."""
NEEDS_QE_IDENTITY_GENUINE = NEEDS_QE_IDENTITY | {
    "qe_identity.validity",
    "qe_identity.signer_revocation",
    "qe_identity.id",
}
NEEDS_ROOT_CRL = frozenset(
    {"root_ca_crl.validity", "pck.ca_revocation", "tcb_info.signer_revocation", "qe_identity.signer_revocation"}
)
"""The CRL by which the PCK CA and the signer of both documents are known not to be revoked."""
NEEDS_PCK_CRL = frozenset({"pck_crl.validity", "pck.revocation"})
NEEDS_PCK = NEEDS_TCB_INFO | NEEDS_PCK_CRL | {
    "pck.validity",
    "pck.ca_revocation",
    "pck_crl.signature",
    "tcb_info.fmspc",
    "tcb_info.pce_id",
    "qe.report_signature",
}  # fmt: skip
"""The PCK certificate names the CA whose CRL counts, the platform of the TCB info, and the key of the QE report."""


class Case(NamedTuple):
    """An input, the one check that fails, and the checks that then cannot be made."""

    name: str
    how: str
    make: Callable[[], Input]
    not_made: frozenset[str] = NOTHING


FUTURE, PAST, LONG_AGO = AT + timedelta(days=1), AT - timedelta(seconds=1), AT - timedelta(days=60)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
ISSUING_DISTRIBUTION_POINT = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


def binding(auth_data: bytes | None = None) -> bytes:
    """What the quoting enclave's report data has to be for the platform's attestation key."""
    data = quote_parts().qe_auth_data if auth_data is None else auth_data
    return hashlib.sha256(raw_public_key(platform().attestation_key) + data).digest() + bytes(32)


def debug_qe(mask: bytes) -> Input:
    """A quoting enclave in debug mode, and what the identity looks at."""
    sim = platform()
    attributes = quote_parts().qe_report.attributes
    quote = with_qe_report(attributes=bytes([attributes[0] | 2]) + attributes[1:]).quote
    identity = sim.issue_qe_identity(replace(sim.qe_identity_spec(), attributes_mask=mask), AT)
    return replace(with_item(qe_identity=identity), quote=quote)


def only_debug_bit() -> Input:
    """The identity looks at the debug bit alone, and wants it clear."""
    sim = platform()
    spec = replace(sim.qe_identity_spec(), attributes=bytes(16), attributes_mask=bytes([2]) + bytes(15))
    return replace(debug_qe(bytes(16)), collateral=with_item(qe_identity=sim.issue_qe_identity(spec, AT)).collateral)


def with_zero_signature(item: str) -> Input:
    return with_item(**{item: replace(getattr(platform().collateral(AT), item), signature=bytes(64))})


def accepting_every_status(item: Input) -> Input:
    return replace(item, acceptance=Acceptance(tcb_statuses=frozenset(LEVEL_STATUSES)))


def accepting_expired(item: Input) -> Input:
    return replace(item, acceptance=Acceptance(allow_expired_collateral=True))


def short_of(component: int) -> Input:
    """TCB info whose every level asks for one more of a component than the platform has."""
    level = platform().tcb_info_spec().levels[0]
    raised = bytearray(level.components)
    if raised[component] < 255:
        raised[component] += 1
        return with_tcb_info(levels=(replace(level, components=bytes(raised)),))
    lowered = bytearray(platform().sgx_extension_spec().components)
    lowered[component] -= 1
    sim = with_sgx_extension(components=bytes(lowered)).sim
    document = sim.issue_tcb_info(replace(sim.tcb_info_spec(), levels=(level,)), AT)
    return replace(with_item(tcb_info=document), sim=sim)


def short_of_pce_svn() -> Input:
    level = platform().tcb_info_spec().levels[0]
    return with_tcb_info(levels=(replace(level, pce_svn=level.pce_svn + 1),))


def all_but(status: TCBStatus) -> Input:
    """A platform at a status, with an acceptance of every other one."""
    statuses = frozenset(LEVEL_STATUSES) - {status}
    return Input(sim=platform().with_tcb_status(status), acceptance=Acceptance(tcb_statuses=statuses))


def denied(advisory: str) -> Input:
    sim = platform().with_tcb_status(TCBStatus.SW_HARDENING_NEEDED)
    acceptance = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED, denied_advisories=frozenset({advisory}))
    return Input(sim=sim, acceptance=acceptance)


def denied_of_qe() -> Input:
    acceptance = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED, denied_advisories=frozenset({"INTEL-SA-00615"}))
    return replace(with_qe_level("OutOfDate", advisory_ids=("INTEL-SA-00615",)), acceptance=acceptance)


def denied_without_names() -> Input:
    """TCB info of API v3, by which a platform that an advisory applies to looks like one without."""
    return replace(denied("INTEL-SA-00334"), collateral=denied("").sim.collateral(AT, tcb_info_version=2))


def denied_of_qe_without_names() -> Input:
    tcb_info = platform().collateral(AT, tcb_info_version=2).tcb_info
    of_qe = denied_of_qe()
    assert of_qe.collateral is not None
    return replace(of_qe, collateral=replace(of_qe.collateral, tcb_info=tcb_info))


def aged(item: Input, days: int) -> Input:
    return replace(item, acceptance=Acceptance(max_collateral_age=timedelta(days=days)))


def numbered(tcb_info: int, qe_identity: int) -> Input:
    """Documents with evaluation data numbers of their own, of which 17 is required."""
    sim = platform()
    info = sim.issue_tcb_info(replace(sim.tcb_info_spec(), evaluation_data_number=tcb_info), AT)
    identity = sim.issue_qe_identity(replace(sim.qe_identity_spec(), evaluation_data_number=qe_identity), AT)
    return replace(with_item(tcb_info=info, qe_identity=identity), acceptance=Acceptance(min_evaluation_data_number=17))


def under_other_trusted_root(item: str) -> Input:
    foreign = getattr(other().collateral(AT), item)
    return replace(with_item(**{item: foreign}), roots=roots_of(platform(), other()))


def of_processor_ca() -> Input:
    """A CRL of the vendor's other PCK CA, which has a key of its own, in the place of the platform CA's."""
    return with_pck_crl(issuer=simulated_name("Simulated SGX PCK Processor CA"))


def chain_of(*pems: bytes) -> Input:
    return with_parts(certification_data=b"".join(pems))


QUOTE_CASES = [
    Case("quote.format", "nothing", lambda: Input(quote=b""), ALL_BUT_FORMAT),
    Case("quote.format", "version 2", lambda: with_parts(2), ALL_BUT_FORMAT),
    Case("quote.format", "another kind of key", lambda: with_parts(attestation_key_type=3), ALL_BUT_FORMAT),
    Case("quote.format", "reserved bytes", lambda: with_parts(tee_type=0x81), ALL_BUT_FORMAT),
    Case("quote.format", "a TDX quote", lambda: with_parts(4, tee_type=0x81), ALL_BUT_FORMAT),
    Case("quote.format", "trailing bytes", lambda: with_parts(trailing=b"\0\1"), ALL_BUT_FORMAT),
    Case(
        "quote.format",
        "cut off",
        lambda: Input(quote=platform().quote(report_data=REPORT_DATA)[:-1]),
        ALL_BUT_FORMAT,
    ),
    Case("quote.qe_vendor", "not Intel's", lambda: with_parts(qe_vendor_id=bytes(16))),
    Case("quote.qe_vendor", "not Intel's, version 4", lambda: with_parts(4, qe_vendor_id=bytes(16))),
    Case("quote.qe_vendor", "not Intel's, version 5", lambda: with_parts(5, qe_vendor_id=b"\xff" * 16)),
    *[
        Case(
            "quote.certification_data",
            f"type {kind}, version {version}",
            partial(with_parts, version, certification_type=kind),
            NEEDS_PCK | {"pck.chain"},
        )
        for version in (3, 4, 5)
        for kind in (0, 1, 2, 3, 4, 6, 7, 8, 0xFFFF)
    ],
    Case("quote.signature", "zero", lambda: with_parts(signature=bytes(64))),
    Case("quote.signature", "header changed", lambda: with_flipped_bit(40 * 8)),
    Case("quote.signature", "QE SVN changed", lambda: with_flipped_bit(8 * 8)),
    Case("quote.signature", "report data changed", lambda: with_flipped_bit(431 * 8 + 7)),
    Case("quote.signature", "signature changed", lambda: with_flipped_bit(436 * 8)),
    Case(
        "quote.signature",
        "another key than the one in the quote",
        lambda: Input(
            quote=platform().sign(
                replace(quote_parts(), attestation_key=raw_public_key(platform().attestation_key)),
                attestation_key=generate_key(),
            )
        ),
    ),
    Case("enclave.debug", "debug", lambda: Input(quote=platform().quote(report_data=REPORT_DATA, debug=True))),
    Case(
        "enclave.debug",
        "debug, and every status accepted",
        lambda: Input(
            quote=platform().quote(report_data=REPORT_DATA, debug=True),
            acceptance=Acceptance(tcb_statuses=frozenset(LEVEL_STATUSES), allow_expired_collateral=True),
        ),
    ),
]

PCK_CASES = [
    Case(
        "pck.chain",
        "another vendor's",
        lambda: Input(quote=other().quote(report_data=REPORT_DATA)),
        NEEDS_PCK,
    ),
    Case("pck.chain", "no PEM", lambda: chain_of(b"\0"), NEEDS_PCK),
    Case("pck.chain", "without its CA", lambda: chain_of(platform().pki.pck.pem, platform().trust_root_pem), NEEDS_PCK),
    Case("pck.chain", "without its leaf", lambda: chain_of(platform().pki.chain("platform-ca")), NEEDS_PCK),
    Case("pck.chain", "the TCB signer's", lambda: chain_of(platform().pki.chain("tcb-signing")), NEEDS_PCK),
    Case("pck.chain", "one more PCK", lambda: chain_of(platform().pki.chain("pck"), other().pki.pck.pem), NEEDS_PCK),
    Case(
        "pck.chain",
        "one more root",
        lambda: chain_of(platform().pki.chain("pck"), other().trust_root_pem),
        NEEDS_PCK,
    ),
    Case("pck.chain", "another name", lambda: with_certificate("pck", subject=simulated_name("Somebody")), NEEDS_PCK),
    Case("pck.chain", "no SGX extension", lambda: with_certificate("pck", sgx_extension=None), NEEDS_PCK),
    Case("pck.chain", "incomplete SGX extension", lambda: with_sgx_extension(omitted=frozenset({4})), NEEDS_PCK),
    Case("pck.chain", "critical extension", lambda: with_certificate("pck", added=((UNKNOWN, True),)), NEEDS_PCK),
    Case("pck.chain", "leaf is a CA", lambda: with_certificate("pck", is_ca=True), NEEDS_PCK),
    Case("pck.chain", "key usage", lambda: with_certificate("pck", may_sign_certificates=True), NEEDS_PCK),
    Case("pck.chain", "SHA-384", lambda: with_certificate("pck", hash_algorithm=hashes.SHA384()), NEEDS_PCK),
    Case(
        "pck.chain",
        "signed by a stranger",
        lambda: Input(
            sim=platform().with_certificate("pck", platform().certificate_spec("pck"), signer=generate_key())
        ),
        NEEDS_PCK,
    ),
    Case(
        "pck.chain",
        "CA that is none",
        lambda: with_certificate("platform-ca", is_ca=False, path_length=None),
        NEEDS_PCK,
    ),
    Case(
        "pck.chain",
        "CA that may not sign",
        lambda: with_certificate("platform-ca", may_sign_certificates=False),
        NEEDS_PCK,
    ),
    Case("pck.chain", "root that allows no CA", lambda: with_certificate("root-ca", path_length=0), NEEDS_PCK),
    Case("pck.validity", "leaf expired", lambda: with_certificate("pck", not_after=PAST)),
    Case("pck.validity", "leaf expires now", lambda: with_certificate("pck", not_after=AT)),
    Case("pck.validity", "leaf not yet", lambda: with_certificate("pck", not_before=FUTURE)),
    Case(
        "pck.validity",
        "not yet, where expired is accepted",
        lambda: accepting_expired(with_certificate("pck", not_before=FUTURE)),
    ),
    Case("pck.validity", "CA not yet", lambda: with_certificate("platform-ca", not_before=FUTURE)),
    Case("pck.ca_revocation", "revoked", lambda: Input(sim=platform().with_revoked("platform-ca"))),
    Case("pck.ca_revocation", "the root itself", lambda: issued_by_root(platform().pki.root_ca.certificate)),
    Case("pck.revocation", "revoked", lambda: Input(sim=platform().with_revoked("pck"))),
    Case(
        "pck.revocation",
        "revoked, only after the instant",
        lambda: Input(sim=platform().with_revoked("pck", since=FUTURE)),
    ),
]


def crl_cases(item: str, make: Callable[..., Input], needs: frozenset[str]) -> list[Case]:
    """What is refused of either CRL alike."""
    signature, validity = f"{item}.signature", f"{item}.validity"
    return [
        Case(signature, "absent", lambda: with_item(**{item: None}), needs),
        Case(signature, "of another vendor", lambda: under_other_trusted_root(item), needs),
        Case(signature, "partial", lambda: make(added=((ISSUING_DISTRIBUTION_POINT, True),)), needs),
        Case(signature, "delta", lambda: make(added=((x509.DeltaCRLIndicator(1), True),)), needs),
        Case(signature, "unknown extension", lambda: make(added=((UNKNOWN, True),)), needs),
        Case(signature, "without number", lambda: make(number=None), needs),
        Case(signature, "SHA-512", lambda: make(hash_algorithm=hashes.SHA512()), needs),
        Case(signature, "of somebody", lambda: make(issuer=simulated_name("Somebody")), needs),
        Case(validity, "expired", lambda: make(this_update=LONG_AGO, next_update=PAST)),
        Case(validity, "expires now", lambda: make(this_update=LONG_AGO, next_update=AT)),
        Case(validity, "not yet", lambda: make(this_update=FUTURE)),
        Case(validity, "not yet, where expired is accepted", lambda: accepting_expired(make(this_update=FUTURE))),
    ]


CRL_CASES = [
    *crl_cases("root_ca_crl", with_root_ca_crl, NEEDS_ROOT_CRL),
    *crl_cases("pck_crl", with_pck_crl, NEEDS_PCK_CRL),
    Case(
        "pck_crl.signature",
        "the root's in its place",
        lambda: with_item(pck_crl=platform().collateral(AT).root_ca_crl),
        NEEDS_PCK_CRL,
    ),
    Case(
        "root_ca_crl.signature",
        "the PCK CA's in its place",
        lambda: with_item(root_ca_crl=platform().collateral(AT).pck_crl),
        NEEDS_ROOT_CRL,
    ),
    Case("pck_crl.signature", "of the other PCK CA", of_processor_ca, NEEDS_PCK_CRL),
    Case(
        "pck_crl.signature",
        "CA that signs no CRLs",
        lambda: Input(sim=with_extension(platform(), "platform-ca", key_usage("key_cert_sign"), critical=True)),
        NEEDS_PCK_CRL,
    ),
]


def document_cases(item: str, make: Callable[..., Input], not_genuine: frozenset[str]) -> list[Case]:
    """What is refused of either document alike."""
    signature, validity = f"{item}.signature", f"{item}.validity"
    return [
        Case(signature, "absent", lambda: with_item(**{item: None}), not_genuine),
        Case(signature, "zero", lambda: with_zero_signature(item), not_genuine),
        Case(signature, "by the PCK", lambda: with_key_of("pck", item), not_genuine),
        Case(signature, "by the platform CA", lambda: with_key_of("platform-ca", item), not_genuine),
        Case(signature, "by the root", lambda: with_key_of("root-ca", item), not_genuine),
        Case(signature, "of another vendor", lambda: under_other_trusted_root(item), not_genuine),
        Case(signature, "signer is a CA", lambda: with_signer(item, is_ca=True), not_genuine),
        Case(
            signature,
            "signer of another name",
            lambda: with_signer(item, subject=simulated_name("Somebody")),
            not_genuine,
        ),
        Case(signature, "version 4", lambda: make(version=4), not_genuine),
        Case(signature, "version 1", lambda: make(version=1), not_genuine),
        Case(signature, "no levels", lambda: make(levels=()), not_genuine),
        Case(validity, "expired", lambda: make(issue_date=LONG_AGO, next_update=PAST)),
        Case(validity, "expires now", lambda: make(issue_date=LONG_AGO, next_update=AT)),
        Case(validity, "not yet", lambda: make(issue_date=FUTURE)),
        Case(validity, "not yet, where expired is accepted", lambda: accepting_expired(make(issue_date=FUTURE))),
        Case(validity, "signer expired", lambda: with_signer(item, not_after=PAST)),
        Case(validity, "signer not yet", lambda: with_signer(item, not_before=FUTURE)),
        Case(f"{item}.signer_revocation", "revoked", lambda: with_revoked_signer(item)),
    ]


DOCUMENT_CASES = [
    *document_cases("tcb_info", with_tcb_info, NEEDS_TCB_INFO_GENUINE),
    *document_cases("qe_identity", with_qe_identity, NEEDS_QE_IDENTITY_GENUINE),
    Case("tcb_info.id", "TDX", with_tdx_tcb_info, NEEDS_TCB_INFO),
    Case("qe_identity.id", "TD_QE", lambda: with_qe_identity(enclave_id="TD_QE"), NEEDS_QE_IDENTITY),
    Case("qe_identity.id", "QVE", lambda: with_qe_identity(enclave_id="QVE"), NEEDS_QE_IDENTITY),
    Case("tcb_info.signature", "tcbType 1", lambda: with_tcb_info(tcb_type=1), NEEDS_TCB_INFO_GENUINE),
    Case("tcb_info.signature", "neither SGX nor TDX", lambda: with_tcb_info(tee_id="SEV"), NEEDS_TCB_INFO_GENUINE),
    Case("tcb_info.fmspc", "another", lambda: with_tcb_info(fmspc=bytes(6)), NEEDS_TCB_INFO),
    Case("tcb_info.fmspc", "the platform's is another", lambda: with_sgx_extension(fmspc=bytes(6)), NEEDS_TCB_INFO),
    Case("tcb_info.pce_id", "another", lambda: with_tcb_info(pce_id=b"\0\1"), NEEDS_TCB_INFO),
    Case("tcb_info.pce_id", "the platform's is another", lambda: with_sgx_extension(pce_id=b"\1\0"), NEEDS_TCB_INFO),
]


QE_CASES = [
    Case(
        "qe.report_signature",
        "another key",
        lambda: Input(quote=platform().sign(quote_parts(), pck_key=generate_key())),
    ),
    Case("qe.report_signature", "zero", lambda: with_parts(qe_report_signature=bytes(64))),
    Case("qe.report_data", "zero", lambda: with_qe_report(report_data=bytes(64))),
    Case("qe.report_data", "last byte", lambda: with_qe_report(report_data=binding()[:63] + b"\1")),
    Case("qe.report_data", "behind the hash", lambda: with_qe_report(report_data=binding()[:32] + b"\1" + bytes(31))),
    Case("qe.report_data", "the hash twice", lambda: with_qe_report(report_data=binding()[:32] * 2)),
    Case(
        "qe.report_data",
        "other auth data",
        lambda: with_parts(qe_auth_data=bytes(32), qe_report=replace(quote_parts().qe_report, report_data=binding())),
    ),
    Case(
        "qe.report_data",
        "auth data moved into the key",
        lambda: with_parts(qe_auth_data=b"", qe_report=replace(quote_parts().qe_report, report_data=binding())),
    ),
    Case(
        "qe.report_data",
        "a key that the quoting enclave did not make",
        lambda: Input(
            quote=platform().sign(
                replace(quote_parts(), qe_report=replace(quote_parts().qe_report, report_data=binding())),
                attestation_key=generate_key(),
            )
        ),
    ),
    Case("qe.misc_select", "a bit", lambda: with_qe_report(misc_select=b"\1\0\0\0")),
    Case("qe.misc_select", "the last bit", lambda: with_qe_report(misc_select=b"\0\0\0\x80")),
    Case("qe.misc_select", "one that is endorsed and not there", lambda: with_qe_identity(misc_select=b"\1\0\0\0")),
    Case("qe.misc_select", "endorsed outside of the mask", lambda: with_qe_identity(
        misc_select=b"\1\0\0\0", misc_select_mask=b"\xfe\xff\xff\xff")),
    Case("qe.attributes", "debug", lambda: debug_qe(bytes.fromhex("fbffffffffffffff0000000000000000"))),
    Case("qe.attributes", "debug, the only bit looked at", only_debug_bit),
    Case("qe.attributes", "endorsed outside of the mask", lambda: with_qe_identity(
        attributes=bytes.fromhex("11000000000000000100000000000000"))),
    Case("qe.mr_signer", "another", lambda: with_qe_report(mr_signer=bytes(32))),
    Case("qe.mr_signer", "another is endorsed", lambda: with_qe_identity(mr_signer=bytes(32))),
    Case("qe.isv_prod_id", "another", lambda: with_qe_report(isv_prod_id=2)),
    Case("qe.isv_prod_id", "a higher one is endorsed", lambda: with_qe_identity(isv_prod_id=0)),
    Case("qe.tcb_level", "below every level", lambda: with_qe_level("UpToDate", 12), NEEDS_LEVELS),
    Case("qe.tcb_level", "an old quoting enclave", lambda: with_qe_report(isv_svn=8), NEEDS_LEVELS),
]  # fmt: skip


TCB_CASES = [
    *[
        Case("tcb.level", f"component {number + 1} one below", partial(short_of, number), NEEDS_LEVELS)
        for number in range(16)
    ],
    Case("tcb.level", "PCESVN one below", short_of_pce_svn, NEEDS_LEVELS),
    *[Case("tcb.status", str(status), partial(all_but, status)) for status in LEVEL_STATUSES],
    Case(
        "tcb.status",
        "Revoked, where any is accepted",
        lambda: replace(all_but(TCBStatus.REVOKED), acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)),
    ),
    Case("tcb.status", "none accepted", lambda: Input(acceptance=Acceptance(tcb_statuses=frozenset()))),
    Case("tcb.status", "the QE's OutOfDate", lambda: with_qe_level("OutOfDate")),
    Case("tcb.status", "the QE's Revoked", lambda: with_qe_level("Revoked")),
    Case(
        "tcb.status",
        "the QE's Revoked, where any is accepted",
        lambda: replace(with_qe_level("Revoked"), acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)),
    ),
    *[
        Case(
            "tcb.status",
            f"a QE's status without meaning, {status}",
            partial(accepting_every_status, with_qe_level(status)),
        )
        for status in sorted(set(LEVEL_STATUSES) - {TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE, TCBStatus.REVOKED})
    ],
    Case("tcb.advisories", "the platform's", lambda: denied("INTEL-SA-00334")),
    Case("tcb.advisories", "the quoting enclave's", denied_of_qe),
    Case("tcb.advisories", "TCB info that names none", denied_without_names),
    Case("tcb.advisories", "TCB info that names none, and the quoting enclave's", denied_of_qe_without_names),
    Case("tcb.evaluation_data_number", "TCB info's", lambda: numbered(16, 18)),
    Case("tcb.evaluation_data_number", "QE identity's", lambda: numbered(18, 16)),
    Case("collateral.age", "TCB info's", lambda: aged(with_tcb_info(issue_date=AT - timedelta(days=20)), 19)),
    Case("collateral.age", "QE identity's", lambda: aged(with_qe_identity(issue_date=AT - timedelta(days=20)), 19)),
    Case("collateral.age", "the PCK CRL's", lambda: aged(with_pck_crl(this_update=AT - timedelta(days=20)), 19)),
    Case("collateral.age", "the root CRL's", lambda: aged(with_root_ca_crl(this_update=AT - timedelta(days=20)), 19)),
    Case("collateral.age", "a second more", lambda: aged(
        with_tcb_info(issue_date=AT - timedelta(days=19, seconds=1)), 19)),
]  # fmt: skip

CASES = [*QUOTE_CASES, *PCK_CASES, *CRL_CASES, *DOCUMENT_CASES, *QE_CASES, *TCB_CASES]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.how}")


def test_everything_in_order_is_accepted() -> None:
    result = Input().appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert {check.result for check in result.checks} == {CheckResult.PASS}


def test_every_check_has_such_an_input() -> None:
    assert {case.name for case in CASES} == set(REQUIREMENTS)


def test_no_input_is_listed_twice() -> None:
    assert len({(case.name, case.how) for case in CASES}) == len(CASES)


@each_case
def test_only_this_check_refuses(case: Case) -> None:
    result = case.make().appraise()
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS), "every check is listed, once, in order"
    failed = [check.name for check in result.checks if check.result is CheckResult.FAIL]
    not_made = {check.name for check in result.checks if check.result is CheckResult.NOT_MADE}
    assert failed == [case.name]
    assert not_made == case.not_made


@each_case
def test_the_refusal_says_what_was_expected_what_was_found_and_what_to_do(case: Case) -> None:
    for check in case.make().appraise().refusals:
        assert check.expected == REQUIREMENTS[check.name]
        assert check.found
        assert check.found != check.expected
        if check.result is CheckResult.FAIL:
            assert check.remedy, f"nobody learns what to do about {check.name}: {check.found}"
            assert check.remedy not in check.found


@each_case
def test_nothing_remembered_lets_it_pass(case: Case) -> None:
    memory = FactMemory()
    assert Input().appraise(memory).allowed
    bad = case.make()
    assert bad.appraise(memory) == bad.appraise(memory) == bad.appraise()


def test_report_bytes_are_the_builders() -> None:
    """The cases above change what a report says, not how it is written."""
    assert len(encode_report(replace(quote_parts().qe_report, report_data=binding()))) == 384
