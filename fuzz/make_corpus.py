"""Writes the committed seeds anew, from the simulator: ``python -m fuzz.make_corpus``. Never from recorded evidence.

Signatures differ from run to run, the keys do not: see `fuzz.simulated`. Inputs that once failed are kept by tests
(tests/fuzz/test_found.py), not here.
"""

import shutil

from fuzz.registry import TARGETS
from fuzz.target import CORPUS


def main() -> None:
    """Replace the whole corpus."""
    shutil.rmtree(CORPUS, ignore_errors=True)
    for target in TARGETS.values():
        target.corpus.mkdir(parents=True)
        for name, seed in target.seeds().items():
            (target.corpus / name).write_bytes(seed)


if __name__ == "__main__":
    main()
