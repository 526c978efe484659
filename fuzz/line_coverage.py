"""Counts the lines of a target's modules that inputs reach: ``python -m fuzz.line_coverage TARGET DIRECTORY…``.

Only lines inside functions count: what importing runs says nothing about inputs. Prints ``[reached, there are]``.
"""

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from fuzz.registry import TARGETS
from fuzz.target import FuzzTarget

_FUNCTION_FLAG = 0x02  # CO_NEWLOCALS: of functions, and not of modules and classes


def count_lines(target: FuzzTarget, inputs: Iterable[bytes]) -> tuple[int, int]:
    """Feed inputs to a target; return how many lines they reached, and how many there are."""
    lines = {line for module in target.modules for line in _function_lines(module)}
    files = {file for file, _ in lines}
    reached: set[tuple[str, int]] = set()

    def on_line(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:  # noqa: ANN401 - as the interpreter calls it
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, _: str, __: Any) -> Callable[..., Any] | None:  # noqa: ANN401
        return on_line if frame.f_code.co_filename in files else None

    sys.settrace(on_call)
    try:
        for data in inputs:
            target.check(data)
    finally:
        sys.settrace(None)
    return len(lines & reached), len(lines)


def _function_lines(module: str) -> Iterator[tuple[str, int]]:
    file = importlib.import_module(module).__file__
    assert file is not None
    pending = [compile(Path(file).read_bytes(), file, "exec")]
    while pending:
        code = pending.pop()
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_flags & _FUNCTION_FLAG:
            yield from ((file, line) for *_, line in code.co_lines() if line and line != code.co_firstlineno)


def main() -> None:
    """Count for the inputs in directories."""
    name, *directories = sys.argv[1:]
    warnings.simplefilter("ignore")
    files = [path for directory in directories for path in sorted(Path(directory).iterdir())]
    print(json.dumps(count_lines(TARGETS[name], (path.read_bytes() for path in files))))


if __name__ == "__main__":
    main()
