"""A cache whose upstream is another cache, which has one PCK certificate at a time to give."""

from pathlib import Path

from tests.e2e.collateral_services import Machine, cache, make_vendor, vendor


def test_a_cache_of_a_cache_hands_out_what_the_vendor_said(tmp_path: Path) -> None:
    platform = make_vendor(tmp_path)
    machine = Machine(b"one", platform)
    fmspc = platform.hardware.fmspc.hex()
    with (
        vendor(tmp_path) as sim,
        cache(tmp_path, "--upstream", sim.url) as near_vendor,
        cache(tmp_path, "--upstream", near_vendor.url, "--data-dir", "second") as far,
    ):
        first = [near_vendor.get("tcb", {"fmspc": fmspc}), near_vendor.pck_certificate(machine)]
        second = [far.get("tcb", {"fmspc": fmspc}), far.pck_certificate(machine)]
        crl = far.get("pckcrl", {"ca": "platform"})
        near_vendor.service.stop()
        third = [far.get("tcb", {"fmspc": fmspc}), far.pck_certificate(machine)]
    assert [reply.status for reply in (*first, *second, crl, *third)] == [200] * 7
    assert [reply.body for reply in second] == [reply.body for reply in first]
    assert [reply.body for reply in third] == [reply.body for reply in first]
