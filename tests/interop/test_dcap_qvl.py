"""Our appraisal beside dcap-qvl's, an independent verifier, on the same valid and damaged inputs.

Both must come to the same class of verdict, with the same status and advisories. Where they may differ, `EXPLAINED`
says in which direction, and by which clause of the specification ours is right; nothing else may differ.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import dcap_qvl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.interop.scenario import (
    AT,
    Presented,
    Scenario,
    platform,
    usual_pck_crl,
    usual_qe_identity,
    usual_root_ca_crl,
    usual_tcb_info,
)
from verdictd.simulator.certificate_builder import simulated_name
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.simulator.documents import QELevelSpec, TCBLevelSpec
from verdictd.simulator.keys import raw_public_key
from verdictd.simulator.pki import CertificateRole
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, LEVEL_STATUSES, Acceptance, TCBStatus
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Verdict:
    """What a verifier says: a status and the advisories that apply, or a refusal (no status), and why."""

    status: str | None
    advisory_ids: frozenset[str] = frozenset()
    why: str = ""

    @property
    def accepts(self) -> bool:
        return self.status is not None


def ours(presented: Presented) -> Verdict:
    """Like the oracle, every status but Revoked is let pass, to be told apart by what it is."""
    result = appraise_sgx(
        presented.quote,
        collateral=presented.collateral,
        roots=TrustRoots(parse_trust_roots(presented.root.trust_root_pem, "simulated")),
        acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED),
        at=presented.at,
    )
    if not result.allowed:
        return Verdict(None, why="; ".join(check.sentence for check in result.refusals))
    assert result.tcb_status is not None
    return Verdict(str(result.tcb_status), frozenset(result.advisory_ids))


def oracles(presented: Presented) -> Verdict:
    """Its collateral is text, so that a document which is no UTF-8 cannot even be given to it: a refusal too."""
    try:
        collateral = dcap_qvl.QuoteCollateralV3.from_json(encode_collateral_file(presented.collateral).decode())
        report = dcap_qvl.verify_with_root_ca(
            presented.quote, collateral, presented.root_der, int(presented.at.timestamp())
        )
    except ValueError as error:
        return Verdict(None, why=str(error))
    return Verdict(report.status, frozenset(report.advisory_ids))


WE_ARE_STRICTER, IT_IS_STRICTER, STATUS_DIFFERS = "we are stricter", "it is stricter", "the status differs"


@dataclass(frozen=True)
class Explanation:
    """Where the two may differ: when, in which direction, and by which clause."""

    applies: Callable[[Scenario], bool]
    direction: str
    clause: str


def _levels_are_sorted(scenario: Scenario) -> bool:
    keys = [(level.components, level.pce_svn) for level in scenario.tcb_info.levels]
    return keys == sorted(keys, reverse=True)


def _reached_qe_status(scenario: Scenario) -> str | None:
    isv_svn = scenario.qe_report.get("isv_svn", 11)
    reached = [level.status for level in scenario.qe_identity.levels if level.isv_svn <= isv_svn]
    return reached[0] if reached else None


def _has_something_expire_now(scenario: Scenario) -> bool:
    ends = [
        scenario.tcb_info.next_update,
        scenario.qe_identity.next_update,
        scenario.pck_crl.next_update,
        scenario.root_ca_crl.next_update,
        *[changes.get("not_after") for changes in scenario.certificates.values()],
    ]
    return scenario.at in ends


def _is_root_out_of_validity(scenario: Scenario) -> bool:
    changes = scenario.certificates.get("root-ca", {})
    return not changes.get("not_before", scenario.at) <= scenario.at <= changes.get("not_after", scenario.at)


EXPLAINED = {
    "PCEID": Explanation(
        lambda scenario: scenario.tcb_info.pce_id != scenario.sgx_extension.get("pce_id", bytes(2)),
        WE_ARE_STRICTER,
        "Intel's quote verification library, 4.1.2.4.10: PCEID of TCB info and PCK certificate are the same",
    ),
    "report data behind the hash": Explanation(
        lambda scenario: "report_data" in scenario.qe_report,
        WE_ARE_STRICTER,
        "SGX ECDSA Quote Library Reference, A.4: SHA-256 of key and authentication data, followed by 32 zero bytes",
    ),
    "CRL that is not valid yet": Explanation(
        lambda scenario: any((crl.this_update or AT) > scenario.at for crl in (scenario.pck_crl, scenario.root_ca_crl)),
        WE_ARE_STRICTER,
        "RFC 5280, 5.1.2.4: thisUpdate is when the CRL was issued; one from the future says nothing about now",
    ),
    "CRL without number": Explanation(
        lambda scenario: None in {scenario.pck_crl.number, scenario.root_ca_crl.number},
        WE_ARE_STRICTER,
        "PCK certificate and CRL profile 1.5, 1.4: CRLs have a number; by it the newest known is told from older ones",
    ),
    "instant of expiry": Explanation(
        _has_something_expire_now,
        WE_ARE_STRICTER,
        "the issue asks for what is not expired: at nextUpdate the next one is due, so the validity is half open",
    ),
    "TCB info of an unknown version": Explanation(
        lambda scenario: scenario.tcb_info.version > 3,
        WE_ARE_STRICTER,
        "PCS API v4, Get TCB Info: version 3; what a later one means is not known, and Intel's library refuses it too",
    ),
    "root out of its validity": Explanation(
        _is_root_out_of_validity,
        WE_ARE_STRICTER,
        "RFC 5280, 6.1.1 d leaves a trust anchor's validity to whoever trusts it; the issue asks for the whole chain's",
    ),
    "identity outside of its mask": Explanation(
        lambda scenario: (
            _outside_mask(scenario.qe_identity.attributes, scenario.qe_identity.attributes_mask)
            or _outside_mask(scenario.qe_identity.misc_select, scenario.qe_identity.misc_select_mask)
        ),
        WE_ARE_STRICTER,
        "Intel's quote verification library, 4.1.2.9.5 and 6: the masked report is compared with the whole value",
    ),
    "QE status without meaning": Explanation(
        lambda scenario: _reached_qe_status(scenario) not in {None, "UpToDate", "OutOfDate", "Revoked"},
        WE_ARE_STRICTER,
        "PCS API v4, Get QE Identity: tcbStatus is UpToDate, OutOfDate or Revoked",
    ),
    "order of the PEM": Explanation(
        lambda scenario: scenario.pem_order[:1] != (0,),
        IT_IS_STRICTER,
        "the issue asks for PEM in any order: the quoting library writes what its provider hands it",
    ),
    "later containers": Explanation(
        lambda scenario: scenario.quote_version != 3,
        IT_IS_STRICTER,
        "TDX DCAP Quoting Library API, A.3 and A.4: versions 4 and 5 carry SGX quotes too",
    ),
    "size of the authentication data": Explanation(
        lambda scenario: len(scenario.parts.get("qe_auth_data", bytes(32))) != 32,
        IT_IS_STRICTER,
        "SGX ECDSA Quote Library Reference, A.4: QE authentication data has a size field and any size",
    ),
    "TCB info of API v3": Explanation(
        lambda scenario: scenario.tcb_info.version == 2,
        IT_IS_STRICTER,
        "PCS API v3, Get TCB Info",
    ),
    "debug bit that the identity does not look at": Explanation(
        lambda scenario: (
            bool(scenario.qe_report.get("attributes", bytes(16))[0] & 2)
            and not scenario.qe_identity.attributes_mask[0] & 2
        ),
        IT_IS_STRICTER,
        "Intel's quote verification library, 4.1.2.9.6: what counts of the attributes is for the identity to say",
    ),
    "order of the levels": Explanation(
        lambda scenario: not _levels_are_sorted(scenario),
        STATUS_DIFFERS,
        "PCS API v4, Get TCB Info: the first item of the list counts that is reached; it sorts the list again",
    ),
}


def _outside_mask(value: bytes, mask: bytes) -> bool:
    return any(byte & ~looked_at for byte, looked_at in zip(value, mask, strict=True))


def binding() -> bytes:
    """What the quoting enclave's report data begins with for the platform's attestation key."""
    parts = platform().quote_parts(report_data=bytes(64))
    return hashlib.sha256(raw_public_key(platform().attestation_key) + parts.qe_auth_data).digest()


def compare(scenario: Scenario) -> tuple[Verdict, Verdict]:
    """Ask both; whatever differs must be explained."""
    presented = scenario.build()
    mine, other = ours(presented), oracles(presented)
    directions = {each.direction for each in EXPLAINED.values() if each.applies(scenario)}
    said = f"ours: {mine}\noracle: {other}\nunusual: {scenario.unusual}"
    if mine.accepts and not other.accepts:
        assert directions & {IT_IS_STRICTER, STATUS_DIFFERS}, f"it refuses and we do not\n{said}"
    elif other.accepts and not mine.accepts:
        assert directions & {WE_ARE_STRICTER, STATUS_DIFFERS}, f"we refuse and it does not\n{said}"
    elif STATUS_DIFFERS not in directions:
        assert (mine.status, mine.advisory_ids) == (other.status, other.advisory_ids), said
    return mine, other


STATUSES = st.sampled_from([str(status) for status in LEVEL_STATUSES])
ADVISORIES = st.lists(st.sampled_from(("INTEL-SA-00001", "INTEL-SA-00002", "INTEL-SA-00003")), max_size=2).map(tuple)
NEARBY = st.sampled_from(
    [AT + offset for days in (1, 40) for offset in (timedelta(days=days), -timedelta(days=days))]
    + [AT - SECOND, AT + SECOND]
)
LATER, EARLIER = NEARBY.filter(lambda at: at > AT - timedelta(days=1)), NEARBY.filter(lambda at: at < AT)
PARTS: tuple[dict[str, Any], ...] = ({"qe_auth_data": b""}, {"qe_vendor_id": bytes(16)}, {"signature": bytes(64)})
PEM_ORDERS = ((0, 1), (0, 2, 1), (2, 1, 0), (1, 0), (0,), (0, 2), (0, 0, 1, 2))
OWN_COMPONENTS, OWN_PCE_SVN = platform().hardware.components, platform().hardware.pce_svn


@st.composite
def levels(draw: st.DrawFn) -> tuple[TCBLevelSpec, ...]:
    """Levels around the platform's own SVNs, some above and some below, in the order in which Intel writes them."""
    made = []
    for _ in range(draw(st.integers(1, 4))):
        components = bytearray(OWN_COMPONENTS)
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(0, 15))
            components[place] = max(0, min(255, components[place] + draw(st.sampled_from((-1, -1, 1)))))
        pce_svn = OWN_PCE_SVN + draw(st.sampled_from((0, 0, -1, 1)))
        made.append(
            TCBLevelSpec(
                components=bytes(components),
                pce_svn=pce_svn,
                date=AT,
                status=draw(STATUSES),
                advisory_ids=draw(ADVISORIES),
            )
        )
    ordered = sorted(made, key=lambda level: (level.components, level.pce_svn), reverse=True)
    unique = {(level.components, level.pce_svn): level for level in ordered}
    return tuple(unique.values())


@st.composite
def qe_levels(draw: st.DrawFn) -> tuple[QELevelSpec, ...]:
    svns = sorted(draw(st.sets(st.integers(9, 13), min_size=1, max_size=3)), reverse=True)
    return tuple(
        QELevelSpec(isv_svn=svn, date=AT, status=draw(STATUSES), advisory_ids=draw(ADVISORIES)) for svn in svns
    )


def serial(role: Any) -> int:
    return platform().pki.credential(role).certificate.serial_number


Change = Callable[[Scenario], Scenario]


def fields(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
    """One field of a scenario, other than usual."""
    return st.one_of(*(each.map(partial(_with_field, name)) for name, each in values.items()))


def _with_field(name: str, value: Any) -> Change:
    return lambda scenario: replace(scenario, **{name: value})


def of_item(item: str, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
    """One field of an item of collateral."""
    return st.one_of(*(each.map(partial(_with_item_field, item, name)) for name, each in values.items()))


def _with_item_field(item: str, name: str, value: Any) -> Change:
    return lambda scenario: replace(scenario, **{item: replace(getattr(scenario, item), **{name: value})})


def of_certificate(role: CertificateRole, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
    """One field of a certificate."""
    return st.one_of(*(each.map(partial(_with_certificate_field, role, name)) for name, each in values.items()))


def _with_certificate_field(role: Any, name: str, value: Any) -> Change:
    return lambda scenario: replace(
        scenario, certificates={**scenario.certificates, role: {**scenario.certificates.get(role, {}), name: value}}
    )


def of_crl(item: str, *serials: int) -> st.SearchStrategy[Change]:
    listed = st.lists(st.sampled_from((*serials, 4711)), min_size=1, max_size=2, unique=True)
    return of_item(
        item,
        issuer=st.just(simulated_name("Simulated SGX PCK Processor CA")),
        number=st.sampled_from((None, 0, 2**64)),
        revoked=listed.map(lambda listed: tuple(RevokedCertificate(serial_number=each, since=AT) for each in listed)),
        this_update=st.sampled_from((AT - timedelta(days=400), AT + SECOND)),
        next_update=LATER,
    )


QE_REPORTS: tuple[dict[str, Any], ...] = (
    {"isv_svn": 12},
    {"isv_svn": 9},
    {"isv_svn": 8},
    {"isv_prod_id": 2},
    {"mr_signer": bytes(32)},
    {"misc_select": b"\1\0\0\0"},
    {"misc_select": b"\0\0\0\1"},
    {"attributes": bytes.fromhex("1700000000000000e700000000000000")},
    {"attributes": bytes.fromhex("1500000000000000ff00000000000000")},
    {"attributes": bytes.fromhex("1100000000000000e700000000000000")},
)
SGX_EXTENSIONS: tuple[dict[str, Any], ...] = (
    {"fmspc": bytes(6)},
    {"pce_id": b"\0\1"},
    {"pce_svn": 12},
    {"pce_svn": 300},
)
FLIPS = st.tuples(st.sampled_from(("quote", "tcb_info", "qe_identity", "pck_crl", "root_ca_crl")), st.floats(0, 1)).map(
    lambda flip: (flip,)
)
TIMES = {"not_before": EARLIER | LATER, "not_after": LATER}
DATES = {"issue_date": EARLIER, "next_update": LATER}

ASPECTS: tuple[st.SearchStrategy[Change], ...] = (
    fields(at=st.sampled_from((AT + timedelta(hours=1), AT + timedelta(days=35), AT - timedelta(days=3)))),
    fields(quote_version=st.sampled_from((4, 5))),
    fields(sgx_extension=st.sampled_from(SGX_EXTENSIONS)),
    fields(parts=st.sampled_from(PARTS)),
    fields(report=st.fixed_dictionaries({"debug": st.booleans(), "isv_svn": st.integers(0, 65535)})),
    fields(qe_report=st.sampled_from(QE_REPORTS)),
    fields(pem_order=st.sampled_from(PEM_ORDERS)),
    fields(flipped_bits=FLIPS),
    of_certificate("root-ca", **TIMES),
    of_certificate("platform-ca", **TIMES, may_sign_certificates=st.booleans()),
    of_certificate("tcb-signing", **TIMES, is_ca=st.booleans()),
    of_certificate("pck", **TIMES, is_ca=st.booleans()),
    of_item("tcb_info", **DATES, fmspc=st.just(bytes(6)), pce_id=st.just(b"\0\1"), tee_id=st.just("TDX")),
    of_item("tcb_info", version=st.sampled_from((2, 4))),
    of_item("tcb_info", levels=levels()),
    of_item("tcb_info", levels=levels()),
    of_item("qe_identity", **DATES, enclave_id=st.sampled_from(("TD_QE", "QVE")), version=st.sampled_from((1, 3))),
    of_item("qe_identity", misc_select_mask=st.sampled_from((bytes(4), b"\xfe\xff\xff\xff"))),
    of_item("qe_identity", attributes_mask=st.just(b"\xf9" + b"\xff" * 7 + bytes(8))),
    of_item("qe_identity", levels=qe_levels()),
    of_item("qe_identity", levels=qe_levels()),
    of_crl("pck_crl", serial("pck"), serial("platform-ca")),
    of_crl("root_ca_crl", serial("platform-ca"), serial("tcb-signing"), serial("root-ca"), serial("pck")),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A few unusual things at once: an input that is wrong in everything shows little."""
    scenario = Scenario()
    for change in draw(st.lists(st.one_of(ASPECTS), max_size=4)):
        scenario = change(scenario)
    assume(_can_be_written(scenario))
    return scenario


def _can_be_written(scenario: Scenario) -> bool:
    """What ends before it begins is no certificate and no CRL."""
    spans = [
        *[(each.get("not_before"), each.get("not_after")) for each in scenario.certificates.values()],
        *[(crl.this_update, crl.next_update) for crl in (scenario.pck_crl, scenario.root_ca_crl)],
    ]
    return all(not start or not end or start < end for start, end in spans)


def test_the_generator_makes_inputs_that_are_accepted_and_refused() -> None:
    """Verdicts that are all the same would show nothing."""
    seen: Counter[bool] = Counter()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(scenarios())
    def count(scenario: Scenario) -> None:
        seen[ours(scenario.build()).accepts] += 1

    count()
    assert min(seen[True], seen[False]) >= 30


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios())
def test_both_come_to_the_same_verdict_or_it_is_explained(scenario: Scenario) -> None:
    compare(scenario)


@pytest.mark.parametrize("status", LEVEL_STATUSES)
def test_each_status_of_a_platform(status: TCBStatus) -> None:
    tcb_info = replace(platform().with_tcb_status(status).tcb_info_spec(), issue_date=AT)
    mine, other = compare(Scenario(tcb_info=tcb_info))
    assert mine.status == (None if status is TCBStatus.REVOKED else str(status))
    assert mine.accepts is other.accepts


def two_levels(first: str, second: str) -> tuple[TCBLevelSpec, ...]:
    """Two levels that the platform reaches, the higher one first."""
    higher = TCBLevelSpec(components=OWN_COMPONENTS, pce_svn=OWN_PCE_SVN, date=AT, status=first)
    return higher, replace(higher, components=bytes(16), status=second)


def qe_level(status: str) -> tuple[QELevelSpec, ...]:
    return (QELevelSpec(isv_svn=0, date=AT, status=status),)


PLAIN_EXAMPLES = {
    "PCEID": Scenario(tcb_info=replace(usual_tcb_info(), pce_id=b"\0\1")),
    "report data behind the hash": Scenario(qe_report={"report_data": binding() + b"\1" * 32}),
    "CRL that is not valid yet": Scenario(pck_crl=replace(usual_pck_crl(), this_update=AT + SECOND)),
    "CRL without number": Scenario(root_ca_crl=replace(usual_root_ca_crl(), number=None)),
    "instant of expiry": Scenario(tcb_info=replace(usual_tcb_info(), next_update=AT)),
    "TCB info of an unknown version": Scenario(tcb_info=replace(usual_tcb_info(), version=4)),
    "root out of its validity": Scenario(certificates={"root-ca": {"not_after": AT - SECOND}}),
    "identity outside of its mask": Scenario(
        qe_identity=replace(usual_qe_identity(), misc_select=b"\1\0\0\0", misc_select_mask=b"\xfe\xff\xff\xff")
    ),
    "QE status without meaning": Scenario(
        qe_identity=replace(usual_qe_identity(), levels=qe_level("ConfigurationNeeded"))
    ),
    "order of the PEM": Scenario(pem_order=(1, 0)),
    "later containers": Scenario(quote_version=4),
    "size of the authentication data": Scenario(parts={"qe_auth_data": b"x" * 31}),
    "TCB info of API v3": Scenario(tcb_info=replace(usual_tcb_info(), version=2)),
    "debug bit that the identity does not look at": Scenario(
        qe_report={"attributes": bytes.fromhex("1700000000000000e700000000000000")},
        qe_identity=replace(usual_qe_identity(), attributes_mask=b"\xf9" + b"\xff" * 7 + bytes(8)),
    ),
    "order of the levels": Scenario(
        tcb_info=replace(usual_tcb_info(), levels=two_levels("UpToDate", "OutOfDate")[::-1])
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_explanation_is_needed(name: str) -> None:
    """Where this fails the oracle has learnt something: take the explanation off the list."""
    scenario = PLAIN_EXAMPLES[name]
    assert [each for each, explanation in EXPLAINED.items() if explanation.applies(scenario)] == [name]
    mine, other = compare(scenario)
    match EXPLAINED[name].direction:
        case "we are stricter":
            assert (mine.accepts, other.accepts) == (False, True)
        case "it is stricter":
            assert (mine.accepts, other.accepts) == (True, False)
        case _:
            assert mine.accepts
            assert other.accepts
            assert mine.status != other.status
