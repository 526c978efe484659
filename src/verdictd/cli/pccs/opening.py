"""How a command comes to the cache that its flags name."""

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module

from verdictd.cli.logs import configure_logging
from verdictd.cli.pccs.options import read_settings
from verdictd.configuration.log_choice import LogFormat
from verdictd.pccs.model import Mode
from verdictd.pccs.parts import Cache
from verdictd.pccs.settings import Settings


@contextmanager
def opened_cache(arguments: argparse.Namespace, *, asks_upstream: bool = False) -> Iterator[Cache]:
    """Open the cache that the flags of `add_cache_options` name.

    Args:
        arguments: what argparse made of the command line.
        asks_upstream: whether the command may; else its mode is offline, whatever the settings say.
    Raises:
        ConfigError: settings that cannot be used, or a database that cannot be opened.
    """
    settings = read_settings(arguments)
    configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    with _open(settings if asks_upstream else replace(settings, mode=Mode.OFFLINE)) as cache:
        yield cache


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    import_module("verdictd.pccs.assembly").serve(settings)


def _open(settings: Settings) -> AbstractContextManager[Cache]:
    opened: AbstractContextManager[Cache] = import_module("verdictd.pccs.assembly").open_cache(
        settings, lambda: datetime.now(UTC)
    )
    return opened
