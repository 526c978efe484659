"""The same bundle from and into a real database."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.pccs.filled import AT, DAY, FMSPC, KEY, LATER, ROOTS, filled_cache
from tests.unit.pccs.intel_files.test_retrieval_csv import MULTI, SINGLE
from tests.unit.pccs.memory_cache import CacheOver
from verdictd.cli.pccs.export import export_to
from verdictd.cli.pccs.forecast import show_forecast
from verdictd.cli.pccs.importing import import_file
from verdictd.cli.pccs.platforms import list_known, list_registered
from verdictd.cli.pccs.status import show_status
from verdictd.pccs.database.storage import open_storage
from verdictd.pccs.model import RegistrationState


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheOver]:
    storage = open_storage(f"sqlite:///{tmp_path}/pccs.db", ROOTS, verify_amd=lambda _: None)
    yield CacheOver(storage, ROOTS, AT + 365 * DAY)
    storage.close()


def test_a_bundle_goes_through_a_database_and_comes_out_the_same(cache: CacheOver, tmp_path: Path) -> None:
    out = io.StringIO()
    assert export_to(filled_cache(), [], tmp_path / "bundle", out, AT) == 0
    assert import_file(cache, tmp_path / "bundle", out, AT) == 0, out.getvalue()
    assert export_to(cache, [], tmp_path / "again", out, AT) == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "bundle").read_bytes()


def test_the_commands_work_on_a_database(cache: CacheOver, tmp_path: Path) -> None:
    out = io.StringIO()
    export_to(filled_cache(), [], tmp_path / "bundle", out, AT)
    import_file(cache, tmp_path / "bundle", out, AT)
    assert show_status(cache, out, AT) == 0
    assert show_status(cache, out, LATER) == 1
    assert show_forecast(cache, [FMSPC], out, AT) == 1
    assert "UpToDate becomes OutOfDate: component 1" in out.getvalue()
    assert [each.platform.key for each in list_known(cache, [FMSPC])] == [KEY]


def test_registrations_are_looked_at_without_being_taken(cache: CacheOver) -> None:
    for registration in (SINGLE, MULTI):
        cache.storage.registrations.add(registration)
    assert list(list_registered(cache)) == list(list_registered(cache)) == [SINGLE, MULTI]
    assert list(cache.storage.registrations.take(RegistrationState.NEW)) == [SINGLE, MULTI]
    assert list(list_registered(cache)) == []
