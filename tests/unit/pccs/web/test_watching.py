"""What operators see."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.pccs.web.desk import ENDORSER, FMSPC, PCK_QUERY, QE_IDENTITY, TCB_INFO, TDX, V4, Desk
from tests.unit.pccs.web.fakes import amd_item
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.pccs.errors import StorageError
from verdictd.pccs.model import STANDARD


def samples(desk: Desk) -> dict[tuple[str, ...], float]:
    reply = desk.get("/metrics")
    assert reply.status == 200
    families = text_string_to_metric_families(reply.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_requests_are_counted_by_route_and_status() -> None:
    desk = Desk()
    desk.fill()
    for _ in range(3):
        desk.get(f"{TDX}/tcb?fmspc={FMSPC}")
    desk.get(f"{TDX}/tcb?fmspc=1")
    desk.get("/made/up/by/a/client")
    found = samples(desk)
    assert found["pccs_requests_total", f"{TDX}/tcb", "200"] == 3
    assert found["pccs_requests_total", f"{TDX}/tcb", "400"] == 1
    assert found["pccs_requests_total", "unknown", "404"] == 1
    assert found["pccs_request_seconds_count", f"{TDX}/tcb"] == 4
    assert found["pccs_cache_answers_total", "tcb_info", "hit"] == 3
    assert "made" not in str(found)


def test_what_is_looked_for_is_a_miss() -> None:
    desk = Desk()
    desk.get(f"{V4}/tcb?fmspc={FMSPC}")
    desk.get(f"{V4}/pckcert?{PCK_QUERY}")
    desk.get("/vcek/v1/Milan/crl")
    found = samples(desk)
    for kind in ("tcb_info", "pck_certificate", "vcek_crl"):
        assert found["pccs_cache_answers_total", kind, "miss"] == 1


def test_what_is_stored() -> None:
    desk = Desk()
    desk.fill()
    storage = desk.storage
    storage.items.keep(STANDARD, TCB_INFO, desk.now - timedelta(hours=2))
    desk.get("/metrics")
    storage.items.keep(STANDARD, QE_IDENTITY, desk.now - timedelta(hours=1))
    name = AMDCertificateName("vcek", "Milan", "crl")
    storage.amd.keep(amd_item(name, b"x", desk.now))
    storage.attempts.succeeded("one", desk.now)
    storage.attempts.failed("CRL of the root CA, from PCCS x", desk.now - timedelta(minutes=5), "refused", None)
    [(certificate, pck_set)] = desk.pck.sets.values()
    storage.platforms.known.append((pck_set.platform, (certificate.tcb,)))
    found = samples(desk)
    assert found["pccs_items", "tcb_info"] == 1
    assert found["pccs_items", "qe_identity"] == 1
    assert found["pccs_item_age_seconds", "tcb_info"] == 7200
    assert found["pccs_item_expires_seconds", "tcb_info"] == (TCB_INFO.expires_at - desk.now).total_seconds()
    assert found["pccs_item_expires_seconds", "vcek_crl"] == 9 * 86400
    assert found["pccs_upstream_failing",] == 1
    assert found["pccs_upstream_failing_seconds",] == 300
    assert found["pccs_platforms",] == 1
    assert found["pccs_family_platforms", FMSPC.upper()] == 1
    assert found["pccs_registrations", "reg"] == 0


def test_metrics_of_a_database_that_fails() -> None:
    desk = Desk()
    desk.storage.failure = StorageError("it is gone")
    assert desk.get("/metrics").status == 503


def test_health_does_not_ask_the_database() -> None:
    desk = Desk()
    desk.storage.failure = StorageError("it is gone")
    reply = desk.get("/healthz")
    assert (reply.status, reply.document) == (200, {"alive": True})


def test_readiness() -> None:
    desk = Desk()
    assert desk.get("/readyz").document == {"ready": True, "why_not": [], "missing": []}
    desk.storage.failure = StorageError("it is gone from /secret")
    reply = desk.get("/readyz")
    assert reply.status == 503
    assert reply.document == {"ready": False, "why_not": ["the database does not answer"], "missing": []}


def test_readiness_names_what_would_be_missing() -> None:
    desk = Desk()
    desk.storage.items.keep(STANDARD, TCB_INFO, desk.now)
    desk.storage.items.keep(STANDARD, QE_IDENTITY, desk.now)
    desk.storage.attempts.failed("CRL of the root CA, from PCCS x", desk.now, "it answered 500", None)
    [failing] = desk.get("/readyz").document["missing"]
    assert failing.startswith("CRL of the root CA, from PCCS x cannot be had from upstream since 2026-")
    desk.now = TCB_INFO.expires_at
    first, _, _ = desk.get("/readyz").document["missing"]
    assert first.startswith(f"SGX TCB info for FMSPC {ENDORSER.fmspc.hex()} (v4/standard) has expired at ")
    assert desk.get("/readyz").status == 200
    desk.now = TCB_INFO.issue_date - timedelta(seconds=1)
    assert "is not valid before 2026-" in desk.get("/readyz").document["missing"][0]


@pytest.mark.parametrize(
    "name",
    [
        "SGX TCB info for FMSPC 001122334455, v4/standard",
        f"SGX TCB info for FMSPC {FMSPC}, v4/1000",
        "SGX QE identity, v4/1000",
        "PCK certificates of the platform C0FFEE00 0000",
    ],
)
def test_what_a_client_made_up_does_not_look_like_an_outage(name: str) -> None:
    desk = Desk()
    desk.storage.items.keep(STANDARD, TCB_INFO, desk.now)
    desk.storage.attempts.failed(f"{name}, from PCCS x", desk.now, "it answered 404", None)
    desk.now += timedelta(hours=1)
    assert desk.get("/readyz").document["missing"] == []
    assert samples(desk)["pccs_upstream_failing_seconds",] == 0
    desk.storage.attempts.failed(
        f"SGX TCB info for FMSPC {FMSPC}, v4/standard, from PCCS x", desk.now, "it answered 500", None
    )
    desk.now += timedelta(minutes=1)
    assert len(desk.get("/readyz").document["missing"]) == 1
    assert samples(desk)["pccs_upstream_failing_seconds",] == 60


def test_without_metrics_there_is_no_such_path() -> None:
    desk = Desk(with_metrics=False)
    assert desk.get("/metrics").status == desk.get("/METRICS/").status == 404
    assert desk.get("/healthz").status == 200
    assert desk.get("/readyz").status == 200
