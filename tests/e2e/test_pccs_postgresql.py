"""Several processes of `pccs` on one PostgreSQL database."""

from pathlib import Path

import pytest

from tests.e2e.collateral_services import Machine, cache, make_vendor, vendor
from tests.unit.pccs.database.postgresql import ServerMissingError, postgresql_server


def test_what_one_process_fetched_another_hands_out_without_asking(tmp_path: Path) -> None:
    platform = make_vendor(tmp_path)
    machine = Machine(b"one", platform)
    try:
        server = postgresql_server()
        with server as database, vendor(tmp_path) as sim:
            url = database.url(database.create_database())
            with (
                cache(tmp_path, "--upstream", sim.url, "--database", url) as one,
                cache(tmp_path, "--upstream", sim.url, "--database", url) as other,
            ):
                first = [one.get("qe/identity"), one.pck_certificate(machine)]
                sim.told(faults=[{"status": 503}])
                second = [other.get("qe/identity"), other.pck_certificate(machine)]
    except ServerMissingError as missing:
        pytest.skip(f"PostgreSQL is not tested: {missing}")
    assert [reply.status for reply in first + second] == [200] * 4
    assert [reply.body for reply in second] == [reply.body for reply in first]
