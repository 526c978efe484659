"""Programs with subcommands: which there are, and what becomes of their errors.

What a subcommand needs is imported when it is the one: the libraries behind them take longer to load than most of them
to run.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from verdictd.cli.exit_codes import DONE, INTERRUPTED, UNUSABLE
from verdictd.core.errors import VerdictdError

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"  # noqa: SLF001 - argparse has no public name for it


class Subcommand(NamedTuple):
    """A subcommand, what it does, and the module that has its `add_parser`."""

    name: str
    description: str
    module: str


def add_subcommands(
    subparsers: Subparsers, subcommands: Iterable[Subcommand], words: Sequence[str], package: str
) -> None:
    """Add subcommands. Only one that is named among the words has its own options.

    Args:
        subparsers: where they go.
        subcommands: all there are.
        words: the command line.
        package: holds their modules, each with ``add_parser(subparsers, name, description)``.
    """
    for subcommand in subcommands:
        if subcommand.name in words:
            module = import_module(f"{package}.{subcommand.module}")
            module.add_parser(subparsers, subcommand.name, subcommand.description)
        else:
            subparsers.add_parser(subcommand.name, help=subcommand.description)


def run_guarded(program: str, run: Callable[[], int]) -> int:
    """Run what was asked for, and return its exit code; errors of the project's own are told in one line."""
    try:
        return run()
    except VerdictdError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
