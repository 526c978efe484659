"""Reads the trust roots that the settings name."""

from collections.abc import Sequence
from pathlib import Path

from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots, intel_trust_root, parse_trust_roots

INTEL = "intel"
"""In a list of trust roots: the root CA that Intel vouches for real hardware with."""


def load_trust_roots(names: Sequence[str]) -> TrustRoots:
    """Load each root that is named: `INTEL`, or the path of a PEM file. A root named twice counts once.

    Raises:
        ConfigError: none is named, a file cannot be read, or it holds no root certificate.
        LimitExceededError: a file is longer than any chain may be.
    """
    roots: dict[str, TrustRoot] = {}
    for name in names:
        found = (intel_trust_root(),) if name == INTEL else parse_trust_roots(_load_pem(name), name)
        for root in found:
            roots.setdefault(root.fingerprint, root)
    return TrustRoots(tuple(roots.values()))


def _load_pem(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_CHAIN_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"trust root {path} cannot be read: {error.strerror}",
            remedy=f"name a PEM file, or {INTEL!r} for Intel's own root",
        ) from error
    if len(data) > MAX_CHAIN_BYTES:
        raise LimitExceededError(f"trust root {path} is longer than {MAX_CHAIN_BYTES} bytes")
    return data
