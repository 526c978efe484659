"""Each check is proven by an input that this check alone refuses, everything around it being signed and in order.

Where a check fails, what could not be made for want of it is listed beside it and nothing else.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509

from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.simulator.documents import QELevelSpec
from verdictd.simulator.keys import generate_key, raw_public_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots
from verdictd.tees.sgx_ecdsa.verifier import REQUIREMENTS, appraise_sgx

AT = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
QE_CHECKS = frozenset({"qe.misc_select", "qe.attributes", "qe.mr_signer", "qe.isv_prod_id", "qe.tcb_level"})
NEEDS_TCB_INFO = frozenset({"tcb.level", "tcb.status", "tcb.advisories", "tcb.evaluation_data_number"})
NEEDS_QE_IDENTITY = QE_CHECKS | {"tcb.status", "tcb.advisories", "tcb.evaluation_data_number"}
NEEDS_ROOT_CRL = frozenset({"pck.ca_revocation", "tcb_info.signer_revocation", "qe_identity.signer_revocation"})
NEEDS_PCK = frozenset(
    {"pck.validity", "pck.ca_revocation", "pck_crl.signature", "pck_crl.validity", "pck.revocation", "tcb_info.fmspc",
     "tcb_info.pce_id", "qe.report_signature"}
) | NEEDS_TCB_INFO  # fmt: skip


@cache
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=AT)


@cache
def other() -> SimulatedPlatform:
    """A platform of another vendor."""
    return SimulatedPlatform.create(at=AT)


def roots_of(*platforms: SimulatedPlatform) -> TrustRoots:
    return TrustRoots(tuple(root for each in platforms for root in parse_trust_roots(each.trust_root_pem, "simulated")))


@dataclass(frozen=True)
class Input:
    """What is appraised; by default everything is in order."""

    sim: SimulatedPlatform = field(default_factory=platform)
    quote: bytes = b""
    collateral: Collateral | None = None
    acceptance: Acceptance = field(default_factory=Acceptance)
    at: datetime = AT
    roots: TrustRoots | None = None

    def appraise(self, memory: FactMemory | None = None) -> AppraisalResult:
        return appraise_sgx(
            self.quote or self.sim.quote(report_data=REPORT_DATA),
            collateral=self.sim.collateral(AT) if self.collateral is None else self.collateral,
            roots=self.roots or roots_of(self.sim),
            acceptance=self.acceptance,
            at=self.at,
            memory=memory,
        )


def with_parts(**changes: object) -> Input:
    sim = platform()
    return Input(quote=sim.sign(replace(sim.quote_parts(report_data=REPORT_DATA), **changes)))  # type: ignore[arg-type]


def with_qe_report(**changes: object) -> Input:
    report = platform().quote_parts(report_data=REPORT_DATA).qe_report
    return with_parts(qe_report=replace(report, **changes))  # type: ignore[arg-type]


def with_tcb_info(**changes: object) -> Input:
    sim = platform()
    document = sim.issue_tcb_info(replace(sim.tcb_info_spec(), **changes), AT)  # type: ignore[arg-type]
    return Input(collateral=replace(sim.collateral(AT), tcb_info=document))


def with_qe_identity(**changes: object) -> Input:
    sim = platform()
    document = sim.issue_qe_identity(replace(sim.qe_identity_spec(), **changes), AT)  # type: ignore[arg-type]
    return Input(collateral=replace(sim.collateral(AT), qe_identity=document))


def with_pck_crl(**changes: object) -> Input:
    sim = platform()
    crl = sim.issue_pck_crl(replace(sim.pck_crl_spec(), **changes), AT)  # type: ignore[arg-type]
    return Input(collateral=replace(sim.collateral(AT), pck_crl=crl))


def with_root_ca_crl(**changes: object) -> Input:
    sim = platform()
    crl = sim.issue_root_ca_crl(replace(sim.root_ca_crl_spec(), **changes), AT)  # type: ignore[arg-type]
    return Input(collateral=replace(sim.collateral(AT), root_ca_crl=crl))


def with_pck(**changes: object) -> Input:
    sim = platform()
    return Input(sim=sim.with_certificate("pck", replace(sim.certificate_spec("pck"), **changes)))  # type: ignore[arg-type]


def with_pck_extension(**changes: object) -> Input:
    return with_pck(sgx_extension=replace(platform().sgx_extension_spec(), **changes))  # type: ignore[arg-type]


def revoked_signer() -> Input:
    """The root's CRL lists the TCB signing certificate; documents of another signer stay good."""
    sim = platform()
    serial = sim.pki.tcb_signing.certificate.serial_number
    listed = replace(sim.with_revoked("platform-ca").root_ca_crl_spec())
    revoked = tuple(replace(entry, serial_number=serial) for entry in listed.revoked)
    return with_root_ca_crl(revoked=revoked)


def behind_by_one(number: int) -> Input:
    components = bytearray(platform().sgx_extension_spec().components)
    components[number] -= 1
    return with_pck_extension(components=bytes(components))


def missing(name: str) -> Input:
    return Input(collateral=replace(platform().collateral(AT), **{name: None}))


def wrong_signature() -> Input:
    sim = platform()
    genuine = sim.collateral(AT)
    assert genuine.tcb_info is not None
    return Input(collateral=replace(genuine, tcb_info=replace(genuine.tcb_info, signature=bytes(63) + b"\1")))


def signed_by(role: str, document: str) -> Input:
    """A genuine key of the platform's PKI that is not the TCB signer's."""
    sim = platform()
    credential = sim.pki.pck if role == "pck" else sim.pki.platform_ca
    genuine = sim.collateral(AT)
    if document == "tcb_info":
        signed = sim.issue_tcb_info(sim.tcb_info_spec(), AT, signer=credential)
        chain = sim.pki.chain("pck" if role == "pck" else "platform-ca")
        return Input(collateral=replace(genuine, tcb_info=replace(signed, issuer_chain=chain)))
    signed = sim.issue_qe_identity(sim.qe_identity_spec(), AT, signer=credential)
    chain = sim.pki.chain("pck" if role == "pck" else "platform-ca")
    return Input(collateral=replace(genuine, qe_identity=replace(signed, issuer_chain=chain)))


def under_another_trusted_root(item: str) -> Input:
    """An item that is genuine under a root that is trusted too, but does not vouch for this platform."""
    foreign = getattr(other().collateral(AT), item)
    return Input(collateral=replace(platform().collateral(AT), **{item: foreign}), roots=roots_of(platform(), other()))


def quote_bytes(change: Callable[[bytearray], None]) -> Input:
    quote = bytearray(platform().quote(report_data=REPORT_DATA))
    change(quote)
    return Input(quote=bytes(quote))


def flip(offset: int) -> Callable[[bytearray], None]:
    def change(quote: bytearray) -> None:
        quote[offset] ^= 1

    return change


def lenient(status: TCBStatus) -> Input:
    """A platform at a status, with an acceptance of every other one."""
    statuses = frozenset(TCBStatus) - {status}
    return Input(sim=platform().with_tcb_status(status), acceptance=Acceptance(tcb_statuses=statuses))


def with_qe_level(status: str, isv_svn: int = 0) -> Input:
    level = QELevelSpec(isv_svn=isv_svn, date=AT - timedelta(days=100), status=status)
    return with_qe_identity(levels=(level,))


def binding() -> bytes:
    parts = platform().quote_parts(report_data=REPORT_DATA)
    return hashlib.sha256(raw_public_key(platform().attestation_key) + parts.qe_auth_data).digest() + bytes(32)


def denied_advisory() -> Input:
    sim = platform().with_tcb_status(TCBStatus.SW_HARDENING_NEEDED)
    lenient_one = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)
    advisory = Input(sim=sim, acceptance=lenient_one).appraise().advisory_ids[0]
    return Input(sim=sim, acceptance=replace(lenient_one, denied_advisories=frozenset({advisory})))


IDP = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)
FUTURE, PAST = AT + timedelta(days=1), AT - timedelta(seconds=1)
LONG_AGO = AT - timedelta(days=60)
ALL_BUT_FORMAT = frozenset(REQUIREMENTS) - {"quote.format"}

CASES: list[tuple[str, str, Callable[[], Input], frozenset[str]]] = [
    ("quote.format", "version 2", lambda: with_parts(version=2), ALL_BUT_FORMAT),
    ("quote.format", "attestation key type 3", lambda: with_parts(attestation_key_type=3), ALL_BUT_FORMAT),
    ("quote.format", "trailing bytes", lambda: with_parts(trailing=b"\0\1"), ALL_BUT_FORMAT),
    ("quote.format", "cut off", lambda: Input(quote=platform().quote(report_data=REPORT_DATA)[:-1]), ALL_BUT_FORMAT),
    ("quote.qe_vendor", "not Intel's", lambda: with_parts(qe_vendor_id=bytes(16)), frozenset()),
    *[
        (
            "quote.certification_data",
            f"type {kind}",
            lambda kind=kind: with_parts(certification_type=kind),
            NEEDS_PCK | {"pck.chain"},
        )
        for kind in (1, 2, 3, 4, 6, 7, 9)
    ],
    ("pck.chain", "another vendor's root", lambda: Input(roots=roots_of(other())),
     NEEDS_PCK | frozenset(n for n in REQUIREMENTS if n.startswith(("root_ca_crl", "tcb_info", "qe_identity")))
     | QE_CHECKS),
    ("pck.chain", "a leaf that is no PCK certificate",
     lambda: with_pck(subject=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])), NEEDS_PCK),
    ("pck.chain", "no SGX extension", lambda: with_pck(sgx_extension=None), NEEDS_PCK),
    ("pck.chain", "an incomplete SGX extension", lambda: with_pck_extension(omitted=frozenset({4})), NEEDS_PCK),
    ("pck.chain", "an unknown critical extension",
     lambda: with_pck(added=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True),)),
     NEEDS_PCK),
    ("pck.chain", "signed by another key", lambda: Input(sim=platform().with_certificate(
        "pck", platform().certificate_spec("pck"), signer=generate_key())), NEEDS_PCK),
    ("pck.validity", "expired", lambda: with_pck(not_after=PAST), frozenset()),
    ("pck.validity", "not yet valid", lambda: with_pck(not_before=FUTURE), frozenset()),
    ("root_ca_crl.signature", "absent", lambda: missing("root_ca_crl"), NEEDS_ROOT_CRL | {"root_ca_crl.validity"}),
    ("root_ca_crl.signature", "of another trusted root", lambda: under_another_trusted_root("root_ca_crl"),
     NEEDS_ROOT_CRL | {"root_ca_crl.validity"}),
    ("root_ca_crl.signature", "partial", lambda: with_root_ca_crl(added=((IDP, True),)),
     NEEDS_ROOT_CRL | {"root_ca_crl.validity"}),
    ("root_ca_crl.signature", "without number", lambda: with_root_ca_crl(number=None),
     NEEDS_ROOT_CRL | {"root_ca_crl.validity"}),
    ("root_ca_crl.validity", "expired", lambda: with_root_ca_crl(this_update=LONG_AGO, next_update=PAST), frozenset()),
    ("root_ca_crl.validity", "not yet", lambda: with_root_ca_crl(this_update=FUTURE), frozenset()),
    ("pck.ca_revocation", "revoked", lambda: Input(sim=platform().with_revoked("platform-ca")), frozenset()),
    ("pck_crl.signature", "absent", lambda: missing("pck_crl"), frozenset({"pck_crl.validity", "pck.revocation"})),
    ("pck_crl.signature", "of another trusted root", lambda: under_another_trusted_root("pck_crl"),
     frozenset({"pck_crl.validity", "pck.revocation"})),
    ("pck_crl.signature", "the root's in its place",
     lambda: Input(collateral=replace(platform().collateral(AT), pck_crl=platform().collateral(AT).root_ca_crl)),
     frozenset({"pck_crl.validity", "pck.revocation"})),
    ("pck_crl.signature", "partial", lambda: with_pck_crl(added=((IDP, True),)),
     frozenset({"pck_crl.validity", "pck.revocation"})),
    ("pck_crl.validity", "expired", lambda: with_pck_crl(this_update=LONG_AGO, next_update=PAST), frozenset()),
    ("pck_crl.validity", "not yet", lambda: with_pck_crl(this_update=FUTURE), frozenset()),
    ("pck.revocation", "revoked", lambda: Input(sim=platform().with_revoked("pck")), frozenset()),
    ("tcb_info.signature", "absent", lambda: missing("tcb_info"),
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.signature", "damaged", wrong_signature,
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.signature", "by the PCK", lambda: signed_by("pck", "tcb_info"),
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.signature", "by the platform CA", lambda: signed_by("platform-ca", "tcb_info"),
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.signature", "of another trusted root", lambda: under_another_trusted_root("tcb_info"),
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.signature", "another kind of TCB", lambda: with_tcb_info(tcb_type=1),
     NEEDS_TCB_INFO | frozenset(n for n in REQUIREMENTS if n.startswith("tcb_info."))),
    ("tcb_info.validity", "expired", lambda: with_tcb_info(issue_date=LONG_AGO, next_update=PAST), frozenset()),
    ("tcb_info.validity", "not yet", lambda: with_tcb_info(issue_date=FUTURE), frozenset()),
    ("tcb_info.signer_revocation", "revoked", revoked_signer, frozenset({"qe_identity.signer_revocation"})),
    ("tcb_info.id", "TDX", lambda: with_tcb_info(tee_id="TDX"), NEEDS_TCB_INFO),
    ("tcb_info.fmspc", "another", lambda: with_tcb_info(fmspc=bytes(6)), NEEDS_TCB_INFO),
    ("tcb_info.pce_id", "another", lambda: with_tcb_info(pce_id=b"\0\1"), NEEDS_TCB_INFO),
    ("qe_identity.signature", "absent", lambda: missing("qe_identity"),
     NEEDS_QE_IDENTITY | {"qe_identity.validity", "qe_identity.signer_revocation", "qe_identity.id"}),
    ("qe_identity.signature", "by the PCK", lambda: signed_by("pck", "qe_identity"),
     NEEDS_QE_IDENTITY | {"qe_identity.validity", "qe_identity.signer_revocation", "qe_identity.id"}),
    ("qe_identity.signature", "of another trusted root", lambda: under_another_trusted_root("qe_identity"),
     NEEDS_QE_IDENTITY | {"qe_identity.validity", "qe_identity.signer_revocation", "qe_identity.id"}),
    ("qe_identity.validity", "expired", lambda: with_qe_identity(issue_date=LONG_AGO, next_update=PAST), frozenset()),
    ("qe_identity.signer_revocation", "revoked", revoked_signer, frozenset({"tcb_info.signer_revocation"})),
    ("qe_identity.id", "TD_QE", lambda: with_qe_identity(enclave_id="TD_QE"), NEEDS_QE_IDENTITY),
    ("qe.report_signature", "another key", lambda: Input(quote=platform().sign(
        platform().quote_parts(report_data=REPORT_DATA), pck_key=generate_key())), frozenset()),
    ("qe.report_data", "hash of another key", lambda: with_qe_report(report_data=bytes(64)), frozenset()),
    ("qe.report_data", "auth data changed", lambda: with_qe_report(
        report_data=binding()[:32] + bytes(31) + b"\1"), frozenset()),
    ("qe.misc_select", "other", lambda: with_qe_report(misc_select=b"\1\0\0\0"), frozenset()),
    ("qe.attributes", "debug", lambda: with_qe_report(
        attributes=bytes([platform().quote_parts(report_data=REPORT_DATA).qe_report.attributes[0] | 2])
        + platform().quote_parts(report_data=REPORT_DATA).qe_report.attributes[1:]), frozenset()),
    ("qe.mr_signer", "another", lambda: with_qe_report(mr_signer=bytes(32)), frozenset()),
    ("qe.isv_prod_id", "another", lambda: with_qe_report(isv_prod_id=2), frozenset()),
    ("qe.tcb_level", "below every level", lambda: with_qe_level("UpToDate", 65535),
     frozenset({"tcb.status", "tcb.advisories"})),
    ("quote.signature", "another key", lambda: with_parts(signature=bytes(63) + b"\1"), frozenset()),
    ("quote.signature", "header changed", lambda: quote_bytes(flip(40)), frozenset()),
    ("quote.signature", "body changed", lambda: quote_bytes(flip(48 + 64)), frozenset()),
    ("tcb.level", "PCESVN below every level", lambda: with_tcb_info(levels=tuple(
        replace(level, pce_svn=0xFFFF) for level in platform().tcb_info_spec().levels)),
     frozenset({"tcb.status", "tcb.advisories"})),
    *[("tcb.status", str(status), lambda status=status: lenient(status), frozenset())
      for status in TCBStatus],
    ("tcb.status", "the QE's OutOfDate", lambda: with_qe_level("OutOfDate"), frozenset()),
    ("tcb.status", "the QE's Revoked", lambda: with_qe_level("Revoked"), frozenset()),
    ("tcb.status", "a QE status without meaning", lambda: with_qe_level("ConfigurationNeeded"), frozenset()),
    ("tcb.advisories", "denied", denied_advisory, frozenset()),
    ("tcb.evaluation_data_number", "too low",
     lambda: Input(acceptance=Acceptance(min_evaluation_data_number=1000)), frozenset()),
    ("collateral.age", "too old", lambda: replace(
        with_pck_crl(this_update=AT - timedelta(days=20)),
        acceptance=Acceptance(max_collateral_age=timedelta(days=19))), frozenset()),
    ("enclave.debug", "debug", lambda: Input(quote=platform().quote(report_data=REPORT_DATA, debug=True)), frozenset()),
]  # fmt: skip


def test_everything_in_order_is_accepted() -> None:
    result = Input().appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert {check.result for check in result.checks} == {CheckResult.PASS}


@pytest.mark.parametrize(("name", "how", "make", "beside"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_only_this_check_refuses(name: str, how: str, make: Callable[[], Input], beside: frozenset[str]) -> None:
    result = make().appraise()
    assert not result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS), "every check is listed, once, in order"
    refusing = {check.name: check for check in result.refusals}
    assert name in refusing, f"{how} was not noticed"
    assert refusing[name].result is CheckResult.FAIL
    assert set(refusing) - (beside - {name}) == {name}
    # One certificate signs both documents, and one root vouches for everything: there the same fault shows twice.
    same_fault = name.endswith("signer_revocation") or how == "another vendor's root"
    for dependent in set(refusing) - {name}:
        assert same_fault or refusing[dependent].result is CheckResult.NOT_MADE


def test_every_check_has_such_an_input() -> None:
    assert {case[0] for case in CASES} == set(REQUIREMENTS)


@pytest.mark.parametrize(("name", "how", "make", "beside"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_nothing_remembered_lets_it_pass(
    name: str, how: str, make: Callable[[], Input], beside: frozenset[str]
) -> None:
    memory = FactMemory()
    assert Input().appraise(memory).allowed
    bad = make()
    assert bad.appraise(memory) == bad.appraise()


@pytest.mark.parametrize("number", range(16))
def test_each_component_counts(number: int) -> None:
    components = platform().sgx_extension_spec().components
    if components[number] == 0:
        level = platform().tcb_info_spec().levels[0]
        raised = bytearray(level.components)
        raised[number] = 1
        result = with_tcb_info(levels=(replace(level, components=bytes(raised)),)).appraise()
    else:
        result = behind_by_one(number).appraise()
    (check,) = [
        check for check in result.refusals if check.name in {"tcb.level", "tcb.status"} and check.result == "fail"
    ]
    assert f"component {number + 1} " in check.found


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_container_version_is_appraised(version: int) -> None:
    assert Input(quote=platform().quote(report_data=REPORT_DATA, quote_version=version)).appraise().allowed


def test_tcb_info_of_version_2_is_appraised() -> None:
    assert Input(collateral=platform().collateral(AT, tcb_info_version=2)).appraise().allowed


def test_pck_chain_in_any_order() -> None:
    chain = platform().pki.chain("pck")
    blocks = [block + b"-----END CERTIFICATE-----\n" for block in chain.split(b"-----END CERTIFICATE-----\n")[:-1]]
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0), (0, 1)):
        assert with_parts(certification_data=b"".join(blocks[number] for number in order)).appraise().allowed
    assert not with_parts(certification_data=b"".join(blocks) + other().pki.pck.pem).appraise().allowed


def test_one_expired_pck_does_not_expire_the_crl_for_another() -> None:
    memory = FactMemory()
    assert not with_pck(not_after=PAST).appraise(memory).allowed
    assert Input().appraise(memory).allowed


def test_any_does_not_stand_for_revoked() -> None:
    assert TCBStatus.REVOKED not in ANY_STATUS_BUT_REVOKED
    sim = platform().with_tcb_status(TCBStatus.REVOKED)
    assert not Input(sim=sim, acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)).appraise().allowed


def test_kss_fields_are_claims() -> None:
    quote = platform().quote(
        report_data=REPORT_DATA,
        config_id=b"\1" * 64,
        config_svn=7,
        isv_ext_prod_id=b"\2" * 16,
        isv_family_id=b"\3" * 16,
    )
    claims = Input(quote=quote).appraise().claims
    assert (claims["config_id"], claims["config_svn"]) == ("01" * 64, 7)
    assert (claims["isv_ext_prod_id"], claims["isv_family_id"]) == ("02" * 16, "03" * 16)
