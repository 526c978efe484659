"""The original's OPA flags: upload, export and test policies and reference values.

The original logs to standard error and exits 0 whatever the answer. Here the outcome is on standard output, and an
answer that is no success exits 1.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple


class OPAFlag(NamedTuple):
    """One flag: its name, its arguments' names, and what it does."""

    name: str
    metavar: tuple[str, ...]
    description: str

    @property
    def destination(self) -> str:
        """The name of its value in the parsed arguments."""
        return self.name.removeprefix("--").replace("-", "_")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags. Several may be given at once; they are carried out in the order of `FLAGS`."""
    group = parser.add_argument_group("policies and reference values (the original's flags)")
    group.add_argument("-p", "--path", default="./", metavar="DIR", help="where exports are written (default ./)")
    for flag in FLAGS:
        group.add_argument(flag.name, nargs=len(flag.metavar), metavar=flag.metavar, help=flag.description)


def find_given(arguments: argparse.Namespace) -> Sequence[tuple[str, list[str]]]:
    """Return the flags that were given, by their names, with their values; `opa_calls` carries them out."""
    given = ((flag.name, getattr(arguments, flag.destination)) for flag in FLAGS)
    return [(name, values) for name, values in given if values is not None]


FLAGS = (
    OPAFlag("--set-opa-policy", ("NAME", "PATH"), "upload a policy"),
    OPAFlag("--export-opa-policy", ("NAME",), "write a policy of the daemon's to a file"),
    OPAFlag("--set-opa-reference", ("NAME", "PATH"), "upload reference values"),
    OPAFlag("--export-opa-reference", ("NAME",), "write reference values of the daemon's to a file"),
    OPAFlag(
        "--test-opa-remote",
        ("POLICY_NAME", "REFERENCE_NAME", "INPUT"),
        "decide on an evidence file with the daemon's policy and reference",
    ),
    OPAFlag(
        "--test-opa-local",
        ("POLICY_PATH", "REFERENCE_PATH", "INPUT"),
        "the same with policy and reference from files",
    ),
    OPAFlag(
        "--test-opa-local-policy",
        ("POLICY_PATH", "REFERENCE_NAME", "INPUT"),
        "the same with the policy from a file",
    ),
    OPAFlag(
        "--test-opa-local-reference",
        ("POLICY_NAME", "REFERENCE_PATH", "INPUT"),
        "the same with the reference from a file",
    ),
)
