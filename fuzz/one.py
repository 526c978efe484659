"""Fuzzes one target in this process: ``python -m fuzz.one TARGET [LIBFUZZER-OPTION…] CORPUS…``. Ends the process."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import atheris


def main() -> None:
    """Import the targets with verdictd instrumented, so that coverage counts only the project's code, and fuzz."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["verdictd"]):
        from fuzz.registry import TARGETS  # noqa: PLC0415 - imported with instruments, and not without
    from fuzz.structure_mutator import mutate_structure  # noqa: PLC0415

    target = TARGETS[name]
    # Damaged serial numbers make the library of certificates say that it will refuse them one day.
    warnings.simplefilter("ignore")

    def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
        return mutate_structure(data, max_bytes, seed, atheris.Mutate, target)

    mutator: dict[str, Callable[..., Any]] = {} if target.structure is None else {"custom_mutator": mutate}
    atheris.Setup([sys.argv[0], f"-max_len={target.max_bytes}", *options], target.check, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
