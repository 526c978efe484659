"""Configuration files, which are the operator's own."""

from pathlib import Path

from fuzz.target import FuzzTarget, attempt
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import build_settings, encode_settings, parse_settings_file

_BASE = Path("/etc/verdictd")


def check(data: bytes) -> None:
    """Settings that hold are written out, and read the same."""
    settings = attempt(_read, data)
    if settings is not None:
        assert _read(encode_settings(settings).encode("utf-8")) == settings


def _read(data: bytes) -> Settings:
    return build_settings(parse_settings_file(data, name="verdictd.toml", base=_BASE))


def seeds() -> dict[str, bytes]:
    example = (Path(__file__).parents[2] / "packaging" / "verdictd.toml").read_bytes()
    uncommented = b"\n".join(
        line.removeprefix(b"# ").removeprefix(b"#") for line in example.splitlines() if b"=" in line
    )
    return {
        "example": example,
        "uncommented": uncommented,
        "small": b'listen = "[::1]:1111"\nmutual = true\nverifier = "sgx_ecdsa"\n[limits]\nidle_timeout_s = 1.5\n'
        b'[acceptance]\ntcb_statuses = ["UpToDate"]\n[collateral]\npccs_url = "https://localhost:8081/"\n',
    }


TARGET = FuzzTarget(
    name="settings",
    modules=(
        "verdictd.configuration.address",
        "verdictd.configuration.layers",
        "verdictd.configuration.values",
        "verdictd.daemon.settings_reader",
        "verdictd.daemon.settings_fields",
        "verdictd.daemon.settings_address",
        "verdictd.daemon.settings",
    ),
    check=check,
    seeds=seeds,
    max_bytes=2048,
)
