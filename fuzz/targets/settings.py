"""Configuration files of both programs, which are the operator's own."""

from pathlib import Path

from fuzz.target import FuzzTarget, attempt
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import FORM, build_settings, encode_settings
from verdictd.pccs import settings_reader as pccs
from verdictd.pccs.settings import Settings as CacheSettings

_BASE = Path("/etc/verdictd")


def check(data: bytes) -> None:
    """Settings that hold are written out, and read the same; but for secrets, which are not."""
    settings = attempt(_read, data)
    if settings is not None:
        assert _read(encode_settings(settings).encode("utf-8")) == settings
    cache_settings = attempt(_read_cache, data)
    if cache_settings is not None:
        written = pccs.encode_settings(cache_settings)
        assert pccs.encode_settings(_read_cache(written.encode("utf-8"))) == written


def _read(data: bytes) -> Settings:
    return build_settings(FORM.parse_file(data, name="verdictd.toml", base=_BASE))


def _read_cache(data: bytes) -> CacheSettings:
    return pccs.build_settings(pccs.FORM.parse_file(data, name="pccs.toml", base=_BASE))


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
        "cache": b'listen = "127.0.0.1:8081"\ndata_dir = "x"\nregion = "cn-hangzhou"\nvpc = true\nmode = "req"\n'
        b'refresh_hours = 3\nupstream_key = "k"\namd_upstream = "https://kdsintf.amd.com"\n[limits]\nkeep_alive_s=2\n',
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
        "verdictd.pccs.settings_reader",
        "verdictd.pccs.settings",
    ),
    check=check,
    seeds=seeds,
    max_bytes=2048,
)
