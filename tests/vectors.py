"""Where recorded hardware evidence is, when it is there at all. It is never part of this repository."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "vectors"
VECTORS = Path(os.environ.get("VERDICTD_VECTORS", _DEFAULT))

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(),
    reason=f"recorded hardware evidence is not at {VECTORS} (set VERDICTD_VECTORS to its directory)",
)


def vector(path: str) -> bytes:
    """Read one recorded file."""
    return (VECTORS / path).read_bytes()
