"""Logging of the programs: one line an event on standard error, ``time level event key=value …``, or JSON."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    """Writes a record's extra fields behind its message. Control characters are escaped: a peer cannot forge a line."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        instant = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            entry = {"time": instant, "level": record.levelname.lower(), "event": message, **fields}
            return json.dumps(entry, default=str)
        parts = [f"{name}={_quote(value)}" for name, value in fields.items() if value is not None]
        return " ".join([instant, record.levelname.lower(), _escape(message), *parts])


def configure_logging(level: str, *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send the log of this package to standard error; called by programs only.

    Args:
        level: as rats-tls names them: debug, info, warn, error, fatal or off.
        as_json: write each line as a JSON object.
        stream: where to write instead.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Formatter(as_json=as_json))
    logger = logging.getLogger("verdictd")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(LEVELS[level])


LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "off": logging.CRITICAL + 1,
}


def _quote(value: object) -> str:
    # JSON escapes the control characters of ASCII alone; others end lines too, turn them round, or command terminals.
    text = _encode(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def _escape(text: str) -> str:
    return _quote(text)[1:-1]
