"""``sgx_default_qcnl.conf``: where Intel's provisioning library, and so the operator, already says which PCCS to use.

Two forms are in the field. The old one has a KEY=VALUE on each line; the newer one is JSON in which comments are
allowed. Intel's library falls back to the old form where JSON does not parse, so that one stray comma means silent
defaults; here a file that begins like JSON has to be JSON.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from verdictd.collateral.pccs_urls import UpdateType
from verdictd.core.errors import ConfigError

DEFAULT_PATH: Final = Path("/etc/sgx_default_qcnl.conf")
PATH_VARIABLE: Final = "QCNL_CONF_PATH"
DEFAULT_PCCS_URL: Final = "https://localhost:8081/sgx/certification/v4/"

_T = TypeVar("_T")

_MAX_BYTES: Final = 1024 * 1024
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|//[^\n]*|/\*(?:.*?\*/|.*)', re.DOTALL)
"""What does not end is taken to be one as well, so that its end is not looked for again and again."""
_SHORTEST_COMMENT: Final = len("/**/")
_NOT_NEWLINE = re.compile(r"[^\n]")
_NOT_NEEDED: Final = {
    "pccs_api_version": "CRLs are read in whatever encoding they come",
    "local_pck_url": "PCK certificates come with the evidence",
    "local_cache_only": "PCK certificates come with the evidence",
    "pck_cache_expire_hours": "PCK certificates come with the evidence",
    "verify_collateral_cache_expire_hours": "collateral is kept until it expires",
    "custom_request_options": "it concerns PCK certificates, which come with the evidence",
}
"""Settings of Intel's library that have no meaning for a verifier, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QCNLSettings:
    """What a verifier needs of the file.

    Attributes:
        where: the file's name, for messages.
        form: in which form it was written.
        pccs_url: the PCCS.
        collateral_service: where to fetch collateral, if it is elsewhere.
        use_secure_cert: whether the server must prove by its TLS certificate who it is.
        tcb_update_type: ``early`` or ``standard``; ``None`` leaves it to the server, which takes ``standard``.
        retry_times, retry_delay: further attempts, and seconds between them; ``None`` where the file does not say.
        ignored: settings that were there and have no effect, each with the reason.
    """

    where: str
    form: Literal["JSON", "KEY=VALUE"]
    pccs_url: str | None = None
    collateral_service: str | None = None
    use_secure_cert: bool = True
    tcb_update_type: UpdateType | None = None
    retry_times: int | None = None
    retry_delay: int | None = None
    ignored: tuple[str, ...] = ()

    @property
    def collateral_url(self) -> str:
        """Where to fetch collateral: what the file names, or else the default of Intel's library."""
        return self.collateral_service or self.pccs_url or DEFAULT_PCCS_URL

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should be told at start."""
        warnings = []
        if self.collateral_service is None and self.pccs_url is None:
            warnings.append(f"{self.where} names no PCCS: {DEFAULT_PCCS_URL} is asked")
        if not self.use_secure_cert:
            warnings.append(
                f"{self.where} switches off the check of the PCCS's TLS certificate (use_secure_cert): collateral is"
                " signed, but whoever is in between can withhold it or hand out an older set"
            )
        return tuple(warnings)


def load_qcnl(env: Mapping[str, str]) -> QCNLSettings | None:
    """Read the file that ``QCNL_CONF_PATH`` names, or else the default one.

    Args:
        env: the process's environment.
    Returns:
        Its settings; ``None`` where no file was named and the default one does not exist.
    Raises:
        ConfigError: the file named does not exist, or it cannot be read or used.
    """
    named = env.get(PATH_VARIABLE)
    path = Path(named) if named else DEFAULT_PATH
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        if not named:
            return None
        raise ConfigError(
            f"{PATH_VARIABLE} names {path}, which does not exist",
            remedy=f"correct it, or unset it to use {DEFAULT_PATH}",
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", remedy="correct its permissions") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes", remedy="name the right file")
    return parse_qcnl(data, str(path))


def parse_qcnl(data: bytes, where: str) -> QCNLSettings:
    """Read the file's content, in either form: it is JSON if it begins, comments aside, with ``{``.

    Args:
        data: the content; UTF-8.
        where: the file's name, for messages.
    Raises:
        ConfigError: it cannot be used; the message says in which line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} is not text in UTF-8: byte {error.start}", remedy="write it anew") from error
    without_comments = _STRING_OR_COMMENT.sub(_blank_comment, text)
    if without_comments.lstrip().startswith("{"):
        return _parse_json_form(without_comments, where)
    return _parse_old_form(text, where)


def _blank_comment(match: re.Match[str]) -> str:
    """Put spaces in a comment's place, so that lines and columns stay what they are in the file."""
    text = match.group()
    ends = not text.startswith("/*") or (text.endswith("*/") and len(text) >= _SHORTEST_COMMENT)
    return text if text.startswith('"') or not ends else _NOT_NEWLINE.sub(" ", text)


def _parse_json_form(text: str, where: str) -> QCNLSettings:
    try:
        settings = json.loads(text, object_pairs_hook=lambda pairs: _refuse_twice(pairs, where))
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}",
            remedy="correct it there (Intel's own library would ignore the whole file without a word)",
        ) from error
    except ValueError as error:  # Python refuses to convert thousands of digits
        raise ConfigError(f"{where} holds a number that is too long", remedy="correct it") from error
    except RecursionError as error:
        raise ConfigError(f"{where} is nested too deeply", remedy="name the right file") from error
    reader = _Reader(settings, where)
    return QCNLSettings(
        where=where,
        form="JSON",
        pccs_url=reader.text("pccs_url"),
        collateral_service=reader.text("collateral_service"),
        use_secure_cert=reader.flag("use_secure_cert"),
        tcb_update_type=_update_type(reader.text("tcb_update_type"), f"{where}: tcb_update_type"),
        retry_times=reader.number("retry_times"),
        retry_delay=reader.number("retry_delay"),
        ignored=tuple(f"{name}: {_NOT_NEEDED.get(name, 'unknown')}" for name in settings if name not in reader.known),
    )


def _refuse_twice(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ConfigError(f"{where} holds {twice!r:.60} twice", remedy="remove one of them")
    return members


class _Reader:
    """Reads members of the JSON form by name and type, and notes which are known."""

    def __init__(self, settings: dict[str, Any], where: str) -> None:
        self._settings = settings
        self._where = where
        self.known: set[str] = set()

    def _get(self, name: str, kind: type[_T], expected: str) -> _T | None:
        self.known.add(name)
        value = self._settings.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or type(value) is not kind:  # true is a number to Python
            raise ConfigError(f"{self._where}: {name} is {value!r:.60}", remedy=f"write {expected}")
        return value

    def text(self, name: str) -> str | None:
        return self._get(name, str, "text in quotation marks")

    def flag(self, name: str) -> bool:
        return self._get(name, bool, "true or false, without quotation marks") is not False

    def number(self, name: str) -> int | None:
        value = self._get(name, int, "a whole number, without quotation marks")
        if value is not None and value < 0:
            raise ConfigError(f"{self._where}: {name} is {value!r:.60}", remedy="write a number that is not negative")
        return value


def _parse_old_form(text: str, where: str) -> QCNLSettings:
    """Read lines KEY=VALUE; white space anywhere is dropped, a line that begins with ``#`` is a comment."""
    values: dict[str, tuple[str, str]] = {}
    ignored = []
    for number, line in enumerate(text.splitlines(), 1):
        content = "".join(line.split())
        if not content or content.startswith("#"):
            continue
        key, equals, value = content.partition("=")
        if equals and key in _OLD_KEYS:
            values[key] = (value, f"{where}, line {number}: {key}")
        else:
            reason = _NOT_NEEDED.get(key.lower(), "unknown") if equals else "not KEY=VALUE"
            ignored.append(f"line {number}, {key[:60]}: {reason}")
    secure, _ = values.get("USE_SECURE_CERT", ("TRUE", ""))
    if secure not in {"TRUE", "true", "FALSE", "false"}:
        ignored.append(f"USE_SECURE_CERT={secure[:60]}: only FALSE or false switches the check off")
    return QCNLSettings(
        where=where,
        form="KEY=VALUE",
        pccs_url=values.get("PCCS_URL", ("", ""))[0] or None,
        collateral_service=values.get("COLLATERAL_SERVICE", ("", ""))[0] or None,
        use_secure_cert=secure not in {"FALSE", "false"},
        tcb_update_type=_update_type(*values.get("TCB_UPDATE_TYPE", (None, ""))),
        retry_times=_old_number(values.get("RETRY_TIMES")),
        retry_delay=_old_number(values.get("RETRY_DELAY")),
        ignored=tuple(ignored),
    )


_OLD_KEYS: Final = frozenset(
    {"PCCS_URL", "USE_SECURE_CERT", "COLLATERAL_SERVICE", "TCB_UPDATE_TYPE", "RETRY_TIMES", "RETRY_DELAY"}
)


def _old_number(entry: tuple[str, str] | None) -> int | None:
    if entry is None:
        return None
    value, where = entry
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise ConfigError(f"{where} is {value[:60]!r}", remedy="write a whole number")
    return int(value)


def _update_type(value: str | None, where: str) -> UpdateType | None:
    match value:
        case None | "early" | "standard":
            return value
        case _:
            raise ConfigError(f"{where} is {value[:60]!r}", remedy="write early or standard")
