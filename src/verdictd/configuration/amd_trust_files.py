"""Reads the roots of AMD's that the settings name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.amd.roots import AMDRoot, AMDRoots, amd_roots, parse_amd_roots

AMD: Final = "amd"
"""In a list of AMD's roots: the ARKs that AMD vouches for real processors with."""


def load_amd_roots(names: Sequence[str]) -> AMDRoots:
    """Load each root that is named: `AMD` for AMD's own, or the path of a PEM file. A root named twice counts once.

    Raises:
        ConfigError: none is named, a file cannot be read, or it holds no ARK.
        LimitExceededError: a file is longer than any chain may be.
    """
    roots: dict[str, AMDRoot] = {}
    for name in names:
        for root in amd_roots() if name == AMD else parse_amd_roots(_load_pem(name), name):
            roots.setdefault(root.fingerprint, root)
    return AMDRoots(tuple(roots.values()))


def _load_pem(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_CHAIN_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"AMD root {path} cannot be read: {error.strerror}", remedy=f"name a PEM file, or {AMD!r} for AMD's own"
        ) from error
