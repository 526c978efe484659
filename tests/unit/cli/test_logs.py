"""Log lines: one for each event, whatever a peer puts into it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from verdictd.cli.logs import LEVELS, configure_logging

HOSTILE = [
    "\n2026-01-01T00:00:00.000Z info attestation verdict=accepted",
    "\r\x1b[2K\x1b[31m",
    "\x85next line",
    "\u2028line\u2029paragraph",
    "\x9b31m",
    "\u202eturned round",
    '" verdict="accepted',
    "\x00\x7f",
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    logger = logging.getLogger("verdictd")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield io.StringIO()
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.mark.parametrize("text", HOSTILE)
def test_a_peer_cannot_forge_a_line_or_command_a_terminal(stream: io.StringIO, text: str) -> None:
    configure_logging("info", stream=stream)
    logging.getLogger("verdictd.test").warning("refused %s", text, extra={"why": text, "more": [text]})
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written.removesuffix("\n").isprintable()
    value = written.split(" why=", 1)[1].split(" more=", 1)[0]
    assert json.loads(value) == text, "nothing is lost"


@pytest.mark.parametrize("text", HOSTILE)
def test_nor_with_json(stream: io.StringIO, text: str) -> None:
    configure_logging("info", as_json=True, stream=stream)
    logging.getLogger("verdictd.test").warning("refused", extra={"why": text})
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    entry = json.loads(written)
    assert (entry["event"], entry["level"], entry["why"]) == ("refused", "warning", text)


def test_what_is_absent_is_left_out_and_an_exception_stays_in_its_line(stream: io.StringIO) -> None:
    configure_logging("info", stream=stream)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("verdictd.test").exception("failed", extra={"tee": None})
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert "tee=" not in written
    assert "ValueError: first" in written


@pytest.mark.parametrize("level", list(LEVELS))
def test_levels_are_those_that_rats_tls_names(stream: io.StringIO, level: str) -> None:
    configure_logging(level, stream=stream)
    logger = logging.getLogger("verdictd.test")
    for severity in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(severity, "said")
    order = ["off", "fatal", "error", "warn", "info", "debug"]
    assert stream.getvalue().count("said") == order.index(level)


def test_times_are_utc_with_milliseconds(stream: io.StringIO) -> None:
    configure_logging("info", stream=stream)
    logging.getLogger("verdictd.test").info("said")
    time, level, event = stream.getvalue().split()
    assert time.endswith("Z")
    assert len(time) == len("2026-01-31T00:00:00.000Z")
    assert (level, event) == ("info", "said")
