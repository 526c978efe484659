"""What the pure parts may use, said positively: what is not on a list is not used, whatever a contract forgets."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from verdictd.core import errors

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "verdictd"
TESTS = Path(__file__).resolve().parents[1] / "unit"
CORE = sorted((PACKAGE / "core").glob("*.py"))
DCAP = sorted((PACKAGE / "tees" / "dcap").glob("*.py"))
APPRAISAL = [PACKAGE / "tees" / "sgx_ecdsa" / name for name in ("verifier.py", "claims.py")]
PURE = [*CORE, *DCAP, *APPRAISAL]

PURE_LIBRARY = {
    "base64",
    "binascii",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "operator",
    "re",
    "struct",
    "threading",
    "types",
    "typing",
}
READS_ITS_OWN_PACKAGE = {"trust_roots.py": {"importlib"}}
"""Intel's root certificate is shipped beside the module that pins it."""

TESTED_TOGETHER = {
    "attester": "a protocol",
    "limits": "numbers; whoever keeps to one tests that it does",
    "acceptance": "settings; the appraisal's tests turn each of them",
    "requirements": "words; the appraisal's tests read them",
    "document_checks": "test_single_checks",
    "pck_checks": "test_single_checks",
    "platform": "test_single_checks",
    "quote_checks": "test_single_checks",
    "tcb_checks": "test_single_checks",
}

FORBIDDEN_CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}
CLOCKS = {"now", "utcnow", "today", "monotonic", "perf_counter", "localtime", "gmtime"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            yield node.module


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_only_what_is_pure_is_imported(path: Path) -> None:
    own = ("verdictd.core",) if path in CORE else ("verdictd.core", "verdictd.tees")
    allowed = PURE_LIBRARY | READS_ITS_OWN_PACKAGE.get(path.name, set()) | (set() if path in CORE else {"cryptography"})
    foreign = {
        module for module in imported(path) if module.partition(".")[0] not in allowed and not module.startswith(own)
    }
    assert not foreign


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_time_is_an_argument_and_nothing_is_opened(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = node.func
            assert not (isinstance(called, ast.Name) and called.id in FORBIDDEN_CALLS), ast.unparse(node)
            assert not (isinstance(called, ast.Attribute) and called.attr in CLOCKS), ast.unparse(node)


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_nothing_depends_on_assertions(path: Path) -> None:
    """Python takes them out where it is asked to be fast."""
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_only_our_errors_are_raised_and_those_of_the_programmer(path: Path) -> None:
    ours = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert isinstance(node.exc, ast.Call), ast.unparse(node)
            assert isinstance(node.exc.func, ast.Name), ast.unparse(node)
            assert node.exc.func.id in ours | {"ValueError", "TypeError", "RuntimeError"}, ast.unparse(node)


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_no_error_of_a_library_is_swallowed_with_all_others(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except"
            caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
            assert not caught & {"Exception", "BaseException"}, ast.unparse(node.type)


def test_every_error_there_is_is_raised_somewhere() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "errors.py")
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__subclasses__():  # a branch of the tree is there to be caught
            continue
        assert f"{name}(" in source, f"{name} is never raised"


@pytest.mark.parametrize("path", [path for path in PURE if path.name != "__init__.py"], ids=name_of)
def test_every_pure_module_has_its_tests(path: Path) -> None:
    test = TESTS / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    if path.stem in TESTED_TOGETHER:
        assert not test.exists(), f"{path.stem} has tests of its own: take it off the list"
    else:
        assert test.exists()


@pytest.mark.parametrize(
    "line",
    [
        "import httpcore",
        "from urllib import request",
        "import sqlite3",
        "from verdictd.ratstls import evidence",
        "from verdictd.cli.verdict import main",
    ],
)
def test_the_lists_notice_what_is_not_on_them(line: str, tmp_path: Path) -> None:
    """Believed only once a planted violation has failed it."""
    planted = tmp_path / "planted.py"
    planted.write_text(f"{line}\n")
    (module,) = imported(planted)
    assert module.partition(".")[0] not in PURE_LIBRARY
    assert not module.startswith(("verdictd.core", "verdictd.tees"))
