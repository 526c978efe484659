"""verdictd's flags over its file; and the files shipped beside it, which must not fall behind."""

import argparse
import configparser
import re
import shlex
from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER
from verdictd.cli.daemon_options import DAEMON_FLAGS, add_daemon_options, read_settings
from verdictd.core.errors import ConfigError
from verdictd.daemon.settings import AttesterName, Settings
from verdictd.daemon.settings_fields import FIELDS
from verdictd.daemon.settings_reader import FORM, encode_settings

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "packaging" / "verdictd.toml"
UNIT = REPOSITORY / "packaging" / "verdictd.service"
MANUAL = REPOSITORY / "docs" / "configuration.md"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_daemon_options(parser)
    return parser


def _read(*argv: str) -> Settings:
    return read_settings(_parser().parse_args(argv))


def test_the_originals_command_line_means_what_it_meant() -> None:
    settings = _read(
        *shlex.split(
            "--client-api 127.0.0.1:10001 --listen 0.0.0.0:1111 --mutual --attester nullattester"
            " --verifier sgx_ecdsa --tls openssl --crypto openssl"
        )
    )
    assert (str(settings.client_api), str(settings.listen)) == ("127.0.0.1:10001", "0.0.0.0:1111")
    assert settings.mutual
    assert settings.attester is AttesterName.NULL
    assert settings.verifier == SGX_VERIFIER
    assert settings.data_dir == Path("/opt/verdictd")


def test_the_short_flags_are_the_originals() -> None:
    assert _read("-m", "-l", "[::1]:1").listen == _read("--mutual", "--listen", "[::1]:1").listen


def test_every_setting_has_a_flag_and_every_flag_is_there() -> None:
    assert set(DAEMON_FLAGS.values()) == set(FIELDS)
    options = {option for action in _parser()._actions for option in action.option_strings}
    assert options == DAEMON_FLAGS.keys() | {"-h", "--help", "-l", "-m", "--config", "--check-config"}


def test_a_flag_that_is_not_given_leaves_the_files_value(tmp_path: Path) -> None:
    config = tmp_path / "v.toml"
    config.write_text('mutual = true\nlisten = "127.0.0.1:7"\n[acceptance]\nallow_debug = true\n')
    settings = _read("--config", str(config))
    assert (str(settings.listen), settings.acceptance.allow_debug) == ("127.0.0.1:7", True)


def test_a_flag_replaces_the_files_value(tmp_path: Path) -> None:
    config = tmp_path / "v.toml"
    config.write_text('mutual = true\ntrust_roots = ["sim.pem"]\nlisten = "127.0.0.1:7"')
    settings = _read("--config", str(config), "--listen", "127.0.0.1:8", "--trust-root", "intel")
    assert (str(settings.listen), settings.trust_roots) == ("127.0.0.1:8", ("intel",))


def test_paths_in_flags_are_the_shells() -> None:
    assert _read("--mutual", "--trust-root", "sim.pem", "--data-dir", "d").trust_roots == ("sim.pem",)


def test_without_mutual_it_refuses_unless_the_null_verifier_was_named() -> None:
    with pytest.raises(ConfigError, match="without mutual"):
        _read()
    assert _read("--verifier", "nullverifier").enforced_verifier == NULL_VERIFIER


def test_the_sample_is_accepted_and_strict() -> None:
    settings = _read("--config", str(SAMPLE))
    assert settings.mutual
    assert settings.acceptance == Settings().acceptance
    assert settings.trust_roots == ("intel",)


def test_the_sample_shows_every_key_and_the_true_default_of_each() -> None:
    uncommented = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", SAMPLE.read_text(encoding="utf-8"))
    shown = FORM.parse_file(uncommented.encode(), name="sample", base=Path("/"))
    assert shown.keys() == FIELDS.keys()
    defaults = FORM.parse_file(encode_settings(Settings()).encode(), name="defaults", base=Path("/"))
    examples = {
        "listen",
        "mutual",
        "acceptance.denied_advisories",
        "guests.accept_unbound_evidence",
        "guests.min_tcb",
    }
    for key in defaults.keys() - examples:
        assert (key, shown[key]) == (key, defaults[key])


def test_the_manual_names_every_key_and_every_flag() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    rows = {row[1]: row[2] for row in re.finditer(r"(?m)^\| `([a-z_.]+)` \| ([^|]*)\|", text)}
    assert rows.keys() == FIELDS.keys()
    flags = {key: flag for flag, key in DAEMON_FLAGS.items()}
    for key, cell in rows.items():
        assert (f"`{flags[key]}`" in cell) if key in flags else not cell.strip()


def test_the_service_starts_reloads_and_keeps_its_data_where_it_may_write() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)  # which has its keys in lower case
    unit.read(UNIT)
    service = unit["Service"]
    program, *flags = service["execstart"].split()
    assert program.endswith("/verdictd")
    arguments = _parser().parse_args(flags)
    assert arguments.data_dir == "${STATE_DIRECTORY}"
    assert service["statedirectory"] == "verdictd"
    assert service["execreload"] == "/bin/kill -HUP $MAINPID"
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices", "DynamicUser"):
        assert service[name.lower()] == "yes"
    assert service["protectsystem"] == "strict"
    assert service["capabilityboundingset"] == ""
