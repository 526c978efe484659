"""Keeps a simulated Hygon within a platform's directory: ``hygon/``, made when it is first needed.

It appears whole or not at all. Certificates are as Hygon's service hands them out, so that other verifiers read them.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from verdictd.simulator.hygon_platform import SimulatedHygon
from verdictd.simulator.store import explained, locked, write_durably

_SEED_FILE: Final = "seed"
_SEED_BYTES: Final = 32


def hygon_root_file(directory: Path) -> Path:
    """Where the root's certificate is, for a verifier that is to trust it."""
    return directory / "hygon" / "hrk.cert"


def load_hygon(directory: Path) -> SimulatedHygon:
    """Read the simulated Hygon from a platform's directory, or make it there.

    Args:
        directory: a platform's, as `SimulatedPlatform.save` made it.

    Raises:
        ConfigError: it cannot be read or written.
    """
    place = directory / "hygon"
    with locked(directory):
        if not place.exists():
            with explained(f"the simulated Hygon cannot be written to {place}", "check who may write there"):
                _save(SimulatedHygon(), place)
    with explained(f"{place} is no simulated Hygon", "remove it, and it is made anew"):
        seed = (place / _SEED_FILE).read_bytes()
        if len(seed) != _SEED_BYTES:
            raise ValueError(f"{_SEED_FILE} is {len(seed)} bytes long, expected {_SEED_BYTES}")
        return SimulatedHygon(seed)


def _save(hygon: SimulatedHygon, place: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))  # its mode is 0700
    try:
        write_durably(draft / _SEED_FILE, hygon.seed)
        write_durably(draft / "hrk.cert", hygon.hrk_certificate)
        write_durably(draft / "hsk_cek.cert", hygon.hsk_cek)
        draft.rename(place)
    except BaseException:
        shutil.rmtree(draft)
        raise
