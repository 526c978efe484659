"""Runs `pccs` in this process, on a cache in memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import ModuleType

import pytest

from tests.unit.pccs.filled import AT, filled_cache
from tests.unit.pccs.memory_cache import MemoryCache
from verdictd.cli.pccs import main as entry
from verdictd.pccs.settings import Settings


class Assembly(ModuleType):
    """Stands in for what puts the cache together, and notes the settings that it is given."""

    def __init__(self) -> None:
        super().__init__("verdictd.pccs.assembly")
        self.cache = filled_cache()
        self.opened: list[Settings] = []
        self.served: list[Settings] = []

    @contextmanager
    def open_cache(self, settings: Settings, clock: Callable[[], datetime]) -> Iterator[MemoryCache]:
        assert clock().tzinfo is not None
        self.opened.append(settings)
        self.cache.mode = settings.mode
        yield self.cache

    def serve(self, settings: Settings) -> None:
        self.served.append(settings)


class FixedClock(datetime):
    """Stands at `AT`."""

    @classmethod
    def now(cls, tz: object = None) -> "FixedClock":
        return cls.fromisoformat(AT.isoformat())


@pytest.fixture
def assembly(monkeypatch: pytest.MonkeyPatch) -> Assembly:
    made = Assembly()
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(entry, "datetime", FixedClock)
    for variable in ("PCCS_DATABASE", "PCCS_UPSTREAM_KEY", "PCCS_USER_TOKEN_HASH", "PCCS_ADMIN_TOKEN_HASH"):
        monkeypatch.delenv(variable, raising=False)
    return made


class Done:
    """What a command wrote, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


@pytest.fixture
def pccs(assembly: Assembly, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: object) -> Done:
        try:
            code = entry.main([str(word) for word in words])
        except SystemExit as stop:  # argparse has printed help or an error
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run
