"""The commands of `pccs`: what they write, and what they exit with."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.pccs.conftest import Assembly, Done
from tests.unit.pccs.bundle.test_importing import STRANGER
from tests.unit.pccs.filled import AT, DAY, EARLY, FMSPC, KEY, LATER, PLATFORM, empty_cache, filled_cache
from tests.unit.pccs.intel_files.test_platform_collateral import FILE
from tests.unit.pccs.intel_files.test_retrieval_csv import LINE, PPID, SINGLE
from tests.unit.pccs.memory_cache import MemoryCache
from verdictd.cli.pccs.hash_token import hash_token
from verdictd.cli.pccs.importing import import_file
from verdictd.cli.pccs.main import SUBCOMMANDS
from verdictd.cli.pccs.status import show_status
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.collateral.qcnl import parse_qcnl
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.pccs.model import STANDARD, Mode, Platform, PlatformKey, Registration, RegistrationState
from verdictd.pccs.overview import SOON
from verdictd.pccs.retrieval_csv import parse_retrieval_csv
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

Run = Callable[..., Done]
FAMILY = FMSPC.hex().upper()


@pytest.mark.parametrize("name", [subcommand.name for subcommand in SUBCOMMANDS])
def test_each_command_explains_itself_with_an_example(name: str, pccs: Run) -> None:
    done = pccs(name, "--help")
    assert done.code == 0
    assert "Example: " in done.out
    assert f"pccs {name}" in " ".join(done.out.split())


def test_help_loads_no_database_and_no_server() -> None:
    program = "import sys, verdictd.cli.pccs.main as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    program += "print(sorted({'sqlalchemy', 'starlette', 'uvicorn', 'cryptography', 'httpcore'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["stats"],
        ["status", "--data-dir", "x", "--database", "sqlite:////y"],
        ["status", "--upstream", "ftp://x"],
        ["status", "--vpc"],
        ["serve", "--listen", "0.0.0.0:8081"],
        ["serve", "--user-token-hash", "token"],
        ["export", "-o", "bundle"],
        ["export", "--all", "--fmspc", FAMILY, "-o", "bundle"],
        ["export", "--fmspc", "00", "-o", "bundle"],
        ["export", "--all", "-o", "/absent/bundle"],
        ["import", "/absent/bundle"],
        ["register", "/absent.csv"],
        ["platforms", "--registered", "--fmspc", FAMILY],
        ["refresh", "--mode", "offline"],
        ["client-config", "--url", "x"],
        ["client-config", "--url", "https://x/", "--retry-times", "-1"],
        ["client-config", "--url", "https://x/", "--legacy", "--update", "early"],
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_exits_with_2(words: list[str], pccs: Run) -> None:
    done = pccs(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("pccs")


def test_serve_hands_over_its_settings(pccs: Run, assembly: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCCS_ADMIN_TOKEN_HASH", "ab" * 64)
    words = ["--listen", "[::1]:9", "--upstream", "https://a/", "--upstream", "intel", "--no-metrics"]
    assert pccs("serve", *words, "--mode", "req", "--trust-root", "x.pem", "--keep-alive", "5").code == 0
    (settings,) = assembly.served
    assert settings.upstreams == ("https://a/", "intel")
    assert (settings.metrics, settings.mode) == (False, Mode.REQ)
    assert settings.admin_token_hash == "ab" * 64
    assert settings.limits.keep_alive_s == 5


def test_the_settings_in_effect_are_shown_as_a_file_that_means_the_same(pccs: Run, tmp_path: Path) -> None:
    (tmp_path / "pccs.toml").write_text('mode = "offline"\nrefresh_hours = 2\n')
    first = pccs("serve", "--check-config", "--config", tmp_path / "pccs.toml", "--refresh-hours", "5")
    assert "refresh_hours = 5" in first.out
    (tmp_path / "again.toml").write_text(first.out)
    assert pccs("serve", "--check-config", "--config", tmp_path / "again.toml").out == first.out


def test_only_commands_that_may_ask_upstream_do(pccs: Run, assembly: Assembly, tmp_path: Path) -> None:
    (tmp_path / "platform.csv").write_text(LINE)
    pccs("status")
    pccs("platforms")
    pccs("forecast")
    pccs("export", "--all", "-o", tmp_path / "bundle")
    pccs("import", tmp_path / "bundle")
    assert {settings.mode for settings in assembly.opened} == {Mode.OFFLINE}
    assembly.opened.clear()
    pccs("refresh")
    pccs("register", tmp_path / "platform.csv")
    assert {settings.mode for settings in assembly.opened} == {Mode.LAZY}


def test_status_is_fine_where_everything_is(pccs: Run) -> None:
    done = pccs("status")
    assert done.code == 0
    assert "7 in time:" in done.out
    assert "2 platforms" in done.out
    assert "NOT INTEL" in done.out
    assert PPID not in done.out


def test_status_begins_with_what_needs_attention(assembly: Assembly, pccs: Run) -> None:
    attempts = assembly.cache.storage.attempts
    attempts.failed("old failure", AT - DAY, "it was down\nreally", None)
    attempts.failed("new failure", AT, "it is limited", AT + DAY)
    attempts.succeeded("good", AT)
    assembly.cache.storage.registrations.add(SINGLE)
    done = pccs("status")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0].startswith("UPSTREAM has been failing since 2026-04-30T12:00:00Z, for 1 day")
    assert lines[2].strip().startswith("old failure, since 2026-04-30T12:00:00Z: it was down\\u000areally")
    assert "asked again from 2026-05-02T12:00:00Z on" in lines[3]
    assert "1 registrations wait" in done.out
    found = json.loads(pccs("status", "--json").out)
    assert [each["name"] for each in found["failures"]] == ["old failure", "new failure"]
    assert found["registrations"] == {"waiting": 1, "not_available": 0}


@pytest.mark.parametrize(
    ("before", "title", "code"),
    [(-DAY, "5 expired", 1), (SOON, "5 expire soon", 1), (SOON + DAY, "7 in time", 0)],
)
def test_status_tells_what_is_expired_or_will_be_soon(before: object, title: str, code: int) -> None:
    cache, out = filled_cache(), io.StringIO()
    expiry = min(stored.item.expires_at for stored in cache.storage.items.changed_since(0))
    assert isinstance(before, type(DAY))
    assert show_status(cache, out, expiry - before) == code
    assert out.getvalue().startswith(title)


def test_status_of_nothing_and_of_much(assembly: Assembly, pccs: Run) -> None:
    assembly.cache = empty_cache()
    assert "nothing is held yet" in pccs("status").out
    for number in range(100):
        assembly.cache.storage.attempts.failed(f"failure {number}", AT, "x", None)
    assert "and 80 more (--all)" in pccs("status").out
    assert "failure 99" in pccs("status", "--all").out


def test_refresh_tells_of_each_and_fails_with_any(assembly: Assembly, pccs: Run) -> None:
    assembly.cache.collateral.outcomes = [("TCB info", ""), ("CRL", "")]
    assembly.cache.amd.outcomes = [("AMD CRL", "")]
    assembly.cache.pck.outcomes = [("platform", "unknown there")]
    done = pccs("refresh")
    assert (done.code, done.out.splitlines()[-1]) == (0, "3 asked for, 0 failed")
    done = pccs("refresh", "--fmspc", FAMILY, "--fmspc", "00" * 6)
    assert assembly.cache.collateral.refreshed == [b"", FMSPC, bytes(6)]
    assert done.out.splitlines()[-1] == "2 asked for, 0 failed"
    done = pccs("refresh", "--certs")
    assert done.code == 1
    assert "failed  platform: unknown there" in done.out


def test_an_export_is_imported_elsewhere(assembly: Assembly, pccs: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    done = pccs("export", "--fmspc", FAMILY, "-o", bundle)
    assert done.code == 0
    assert bundle.stat().st_mode & 0o007 == 0
    first = bundle.read_bytes()
    pccs("export", "--fmspc", FAMILY, "-o", bundle)
    assert bundle.read_bytes() == first
    assembly.cache = empty_cache()
    done = pccs("import", bundle)
    assert done.code == 0, done.out
    assert "made on 2026-05-01T12:00:00Z" in done.out
    assert "(1 platforms): until" in done.out
    assert list(assembly.cache.storage.platforms.sets) == [KEY]
    assert "already held" in pccs("import", bundle).out


def test_an_export_of_what_is_not_held_says_so(pccs: Run, assembly: Assembly, tmp_path: Path) -> None:
    done = pccs("export", "--fmspc", "FFFFFFFFFFFF", "-o", tmp_path / "bundle")
    assert done.code == 1
    assert "nothing is held of the family FFFFFFFFFFFF" in done.out
    assembly.cache = empty_cache()
    assert pccs("export", "--all", "-o", tmp_path / "bundle").code == 1
    assert "there is nothing in it" in pccs("import", tmp_path / "bundle").out


def test_a_damaged_bundle_changes_nothing(assembly: Assembly, pccs: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    pccs("export", "--all", "-o", bundle)
    bundle.write_bytes(bundle.read_bytes()[:-20])
    assembly.cache = empty_cache()
    done = pccs("import", bundle)
    assert done.code == 2
    assert str(bundle) in done.err
    assert not assembly.cache.storage.items.changed_since(0)
    assert not assembly.cache.storage.platforms.sets


def test_what_of_a_bundle_is_refused_comes_first(assembly: Assembly, pccs: Run, tmp_path: Path) -> None:
    pccs("export", "--all", "-o", tmp_path / "bundle")
    assembly.cache = MemoryCache(TrustRoots(parse_trust_roots(STRANGER.trust_root_pem, "another root")), AT + DAY)
    done = pccs("import", tmp_path / "bundle")
    assert done.code == 1
    assert done.out.splitlines()[1].strip().startswith("refused")
    assert "not trusted" in done.out
    assert "kept" in done.out  # AMD's has another root


def test_what_is_expired_is_imported_and_named(assembly: Assembly, tmp_path: Path, pccs: Run) -> None:
    pccs("export", "--all", "-o", tmp_path / "bundle")
    out = io.StringIO()
    assert import_file(empty_cache(), tmp_path / "bundle", out, LATER) == 1
    assert "EXPIRED" in out.getvalue()


def test_files_of_intels_tools_are_imported(assembly: Assembly, pccs: Run, tmp_path: Path) -> None:
    (tmp_path / "collateral.json").write_text(json.dumps(FILE))
    (tmp_path / "platform.csv").write_text(LINE)
    assembly.cache = empty_cache()
    done = pccs("import", tmp_path / "collateral.json", tmp_path / "platform.csv")
    assert done.code == 0, done.out
    assert list(assembly.cache.storage.platforms.sets) == [KEY]
    assert assembly.cache.pck.registered == [SINGLE]
    assert "1 platforms queued" in done.out


def test_register_tells_of_those_that_are_refused(assembly: Assembly, pccs: Run, tmp_path: Path) -> None:
    (tmp_path / "platform.csv").write_text(f"{LINE}\n{PPID},0000,{'00' * 16},0000,{'FF' * 16}\n")
    assembly.cache.pck.unknown = {PlatformKey("FF" * 16, "0000")}
    done = pccs("register", tmp_path / "platform.csv")
    assert done.code == 1
    assert f"refused  {'FF' * 16}: upstream does not know it" in done.out
    assert assembly.cache.pck.registered == [SINGLE]


def test_platforms_are_listed_in_each_form(pccs: Run) -> None:
    assert FAMILY in pccs("platforms").out
    assert len(pccs("platforms", "--fmspc", FAMILY).out.splitlines()) == 1
    found = json.loads(pccs("platforms", "--json").out)
    assert [each["qe_id"] for each in found] == [KEY.qe_id, "FF" * 16]
    (registration,) = parse_retrieval_csv(pccs("platforms", "--fmspc", FAMILY, "--csv").out.encode())
    assert registration.platform == Platform(key=KEY, enc_ppid=PLATFORM.encrypted_ppid)


def test_platforms_that_wait_are_listed_and_go_on_waiting(assembly: Assembly, pccs: Run) -> None:
    assert pccs("platforms", "--registered", "--json").out == "[]\n"
    absent = Registration(
        platform=Platform(key=KEY, manifest=b"x"), raw_tcb=None, state=RegistrationState.NOT_AVAILABLE
    )
    assembly.cache.storage.registrations.add(SINGLE)
    assembly.cache.storage.registrations.add(absent)
    for _ in range(2):
        done = pccs("platforms", "--registered")
        assert len(done.out.splitlines()) == 2
        assert "with a manifest, not available" in done.out


def test_forecast_tells_what_changes_and_by_which_component(pccs: Run) -> None:
    done = pccs("forecast", "--fmspc", FAMILY)
    assert done.code == 1
    assert "UpToDate becomes OutOfDate: component 1" in done.out
    assert f"changes: {KEY.qe_id}" in done.out
    (found,) = json.loads(pccs("forecast", "--fmspc", FAMILY, "--json").out)
    assert found["changes"][0]["after"] == "OutOfDate"
    assert found["changes"][0]["shortfalls"][0]["component"] == 1


def test_forecast_exits_with_0_where_nothing_changes_and_2_where_it_cannot_be_told(
    assembly: Assembly, pccs: Run
) -> None:
    items = assembly.cache.storage.items
    for stored in items.changed_since(0):
        if stored.edition == EARLY:
            items.lose(EARLY, stored.item.key)
            assert pccs("forecast", "--fmspc", FAMILY).code == 2
            standard = items.get(STANDARD, stored.item.key)
            assert standard is not None
            items.keep(EARLY, standard.item, AT)
    done = pccs("forecast", "--fmspc", FAMILY)
    assert (done.code, "stays UpToDate" in done.out) == (0, True)
    assembly.cache = empty_cache()
    assert pccs("forecast").code == 2


CLIENT_FLAGS: list[list[str]] = [
    [],
    ["--insecure"],
    ["--update", "early"],
    ["--retry-times", "2", "--retry-delay", "3"],
]


@pytest.mark.parametrize("flags", CLIENT_FLAGS)
@pytest.mark.parametrize("is_legacy", [False, True])
def test_what_is_written_for_clients_verdictd_reads(
    flags: list[str], is_legacy: bool, pccs: Run, tmp_path: Path
) -> None:
    if is_legacy and "early" in flags:
        return
    path = tmp_path / "qcnl.conf"
    form = ["--legacy"] if is_legacy else []
    done = pccs("client-config", "--url", "https://pccs.example:8081", *flags, *form, "-o", path)
    assert done.code == 0
    settings = parse_qcnl(path.read_bytes(), "file")
    assert settings.form == ("KEY=VALUE" if is_legacy else "JSON")
    assert settings.collateral_url == str(parse_pccs_url("https://pccs.example:8081"))
    assert settings.use_secure_cert is ("--insecure" not in flags)
    assert (settings.retry_times, settings.retry_delay) == ((2, 3) if "--retry-times" in flags else (6, 10))
    assert (settings.tcb_update_type or "standard") == ("early" if "early" in flags else "standard")
    assert all(sentence.startswith(("pccs_api_version", "line ")) for sentence in settings.ignored)


def test_a_dash_is_standard_output(pccs: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = pccs("client-config", "--url", "https://a/", "-o", "-")
    assert done.code == 0
    assert parse_qcnl(done.out.encode(), "output").collateral_url == str(parse_pccs_url("https://a/"))
    assert not list(tmp_path.glob("-"))


def test_collateral_elsewhere_is_written_too(pccs: Run) -> None:
    for form in ([], ["--legacy"]):
        done = pccs("client-config", "--url", "https://a/", "--collateral-url", "https://b/", *form)
        assert parse_qcnl(done.out.encode(), "x").collateral_service == "https://b/sgx/certification/v4/"


def test_the_hash_of_a_token_is_without_the_end_of_its_line() -> None:
    # SHA-512 of "mytoken", as Intel's installer makes it with sha512sum
    expected = hashlib.sha512(b"mytoken").hexdigest()
    assert hash_token(b"mytoken") == hash_token(b"mytoken\n") == hash_token(b"mytoken\r\n") == expected
    for bad in (b"", b"\n", b" a", b"a\nb", b"\xff", b"a\0"):
        with pytest.raises(ConfigError):
            hash_token(bad)
    with pytest.raises(LimitExceededError):
        hash_token(b"a" * 5000)
