"""`verdict collateral` with a real verdictd: what an operator brings counts at once, in all workers, and later on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.conftest import TRUST
from tests.e2e.processes import GREETING, verifier
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform

TWO = ("--workers", "2")


def test_what_is_imported_is_judged_by_also_after_a_restart_and_can_be_carried_elsewhere(place: Path) -> None:
    with verifier(place, *TRUST, *TWO) as running:
        running.name_reference()
        assert running.verdict("collateral", "list").stdout == "nothing\n"
        done = running.verdict("collateral", "import", "collateral.json")
        assert (done.returncode, done.stdout.count("           kept  ")) == (0, 4), done.stdout + done.stderr
        assert GREETING in running.attest().stdout
        done = running.verdict("collateral", "export", "-o", "exported")
        assert done.returncode == 0, done.stdout + done.stderr
    with verifier(place, *TRUST, *TWO) as restarted:
        assert GREETING in restarted.attest().stdout
        listed = json.loads(restarted.verdict("collateral", "list", "--json").stdout)
        assert [item["source"] for item in listed] == ["collateral.json"] * 4
    elsewhere = ("--data-dir", "elsewhere", "--collateral", "exported")
    with verifier(place, *TRUST, *TWO, *elsewhere) as other:
        other.name_reference()
        assert GREETING in other.attest().stdout


def test_a_refresh_at_a_pccs_that_is_dead_fails_with_the_reason_and_leaves_what_is_held(place: Path) -> None:
    with verifier(place, *TRUST, *TWO, "--pccs-url", "http://127.0.0.1:9/sgx/certification/v4/") as running:
        running.name_reference()
        running.verdict("collateral", "import", "collateral.json")
        done = running.verdict("collateral", "refresh")
        assert (done.returncode, done.stdout.count("failed  ")) == (1, 4), done.stdout + done.stderr
        assert done.stdout.count("cannot be reached") == 4
        listed = json.loads(running.verdict("collateral", "list", "--json").stdout)
        assert all("cannot be reached" in item["last_failure"] for item in listed)
        assert "failed last: " in running.verdict("status").stdout
        assert GREETING in running.attest().stdout


def test_what_another_vendor_signed_is_refused_by_name(place: Path) -> None:
    now = datetime.now(UTC)
    other = SimulatedPlatform.create(at=now - timedelta(minutes=1))
    (place / "other.json").write_bytes(encode_collateral_file(other.collateral(now)))
    with verifier(place, *TRUST, *TWO) as running:
        done = running.verdict("collateral", "import", "other.json")
        assert (done.returncode, done.stdout.count("refused  ")) == (1, 4), done.stdout + done.stderr
        assert running.verdict("collateral", "list").stdout == "nothing\n"
