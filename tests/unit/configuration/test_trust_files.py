"""Trust roots by name and by file."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.configuration.trust_files import load_trust_roots
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.core.limits import MAX_CHAIN_BYTES
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.trust_roots import INTEL_ROOT_SHA256, intel_trust_root


@cache
def _root_pem(name: str) -> bytes:
    return SimulatedPlatform.create(at=datetime(2026, 1, 1, tzinfo=UTC)).trust_root_pem


def test_intel_is_intels_pinned_root_and_nothing_else() -> None:
    roots = load_trust_roots(["intel"]).roots
    assert [root.fingerprint for root in roots] == [INTEL_ROOT_SHA256]


def test_a_file_that_is_named_is_trusted_instead_of_intel(tmp_path: Path) -> None:
    path = tmp_path / "sim.pem"
    path.write_bytes(_root_pem("sim"))
    (root,) = load_trust_roots([str(path)]).roots
    assert not root.is_intel
    assert root.label == str(path)


def test_both_are_trusted_where_both_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sim.pem"
    path.write_bytes(_root_pem("one") + _root_pem("two"))
    roots = load_trust_roots(["intel", str(path)]).roots
    assert [root.is_intel for root in roots] == [True, False, False]


def test_a_root_named_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "intel.pem"
    path.write_bytes(intel_trust_root().certificate.public_bytes(Encoding.PEM))
    assert len(load_trust_roots(["intel", str(path), str(path)]).roots) == 1


def test_no_root_is_refused() -> None:
    with pytest.raises(ConfigError, match="no trust root is given"):
        load_trust_roots([])


def test_a_file_that_is_not_there_is_named_with_what_may_stand_instead() -> None:
    with pytest.raises(ConfigError, match=r"trust root /nonexistent/Intel cannot be read: No such file.*'intel'"):
        load_trust_roots(["/nonexistent/Intel"])


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="not a PEM file of self-signed CA certificates"):
        load_trust_roots([str(path)])


def test_a_file_too_long_for_any_root_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\n" * (MAX_CHAIN_BYTES + 1))
    with pytest.raises(LimitExceededError):
        load_trust_roots([str(path)])
