"""How the simulated service is to behave: as it should, or as services at times do. Told as JSON while it runs.

The document has the members of `Behaviour`, whose ``faults`` have those of `Fault`; what is left out is as usual.
"""

import dataclasses
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, Final, get_args, get_type_hints

from verdictd.core.errors import ConfigError

_MAX_SECONDS: Final = 3600
_REMEDY: Final = "see docs/tee-sim.md for what a behaviour can say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with the answers to some requests.

    Attributes:
        route: which: a shell's pattern for the path, without the query, e.g. ``*/sgx/certification/v4/tcb``.
        times: for how many requests, from now on; ``None`` for all.
        status: answered instead of the usual one, without content; 0 for the usual answer.
        retry_after_s: sent along as ``Retry-After``.
        delay_s: how long nothing is sent.
        drip_s: over what time the body is sent, in pieces.
        resets: whether the connection is reset instead of an answer.
        body: what is sent in the place of the usual body, with its headers.
    """

    route: str = "*"
    times: int | None = None
    status: int = 0
    retry_after_s: int | None = None
    delay_s: float = 0
    drip_s: float = 0
    resets: bool = False
    body: str | None = None

    def concerns(self, path: str) -> bool:
        """Whether requests of a path are meant."""
        return fnmatchcase(path, self.route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How requests are answered.

    Attributes:
        faults: of those that concern a request, the first that has not been used up is what becomes of it.
        rate_per_s: how many requests there may be in a second; others are answered with 429. ``None`` for any number.
        lifetime_s: how long from a request on what is issued is good; ``None`` for as long as genuine items.
        frozen: whether a request that was answered before gets the same bytes again. A new behaviour forgets them.
    """

    faults: tuple[Fault, ...] = ()
    rate_per_s: int | None = None
    lifetime_s: float | None = None
    frozen: bool = False


def parse_behaviour(document: bytes) -> Behaviour:
    """Read a behaviour from JSON.

    Raises:
        ConfigError: it is no such document.
    """
    try:
        members = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the behaviour is not JSON: {error}", remedy=_REMEDY) from error
    faults = members.pop("faults", []) if isinstance(members, dict) else []
    if not isinstance(faults, list):
        raise ConfigError(f"the behaviour's 'faults' is {faults!r:.80}, not a list", remedy=_REMEDY)
    said = _read_members(Behaviour, members, "the behaviour")
    behaviour = Behaviour(**said, faults=tuple(Fault(**_read_members(Fault, fault, "a fault")) for fault in faults))
    for fault in behaviour.faults:
        if fault.status and fault.status not in set(HTTPStatus):
            raise ConfigError(f"a fault's status {fault.status} is no status of HTTP", remedy=_REMEDY)
    return behaviour


def encode_behaviour(behaviour: Behaviour) -> bytes:
    """Write a behaviour as JSON; the inverse of `parse_behaviour`."""
    return json.dumps(dataclasses.asdict(behaviour)).encode("ascii")


def _read_members(kind: type[Behaviour | Fault], members: object, what: str) -> dict[str, Any]:
    """Check names and types against a dataclass's fields, and that numbers are not out of all reason."""
    if not isinstance(members, dict):
        raise ConfigError(f"{what} is {members!r:.80}, not a JSON object", remedy=_REMEDY)
    hints = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(kind).items() if name != "faults"}
    for name, value in members.items():
        if name not in hints:
            raise ConfigError(f"{what} has the member {name!r:.40}, known are {', '.join(hints)}", remedy=_REMEDY)
        is_number = type(value) is int and float in hints[name]
        if type(value) not in hints[name] and not is_number:
            raise ConfigError(f"{what} has {name} {value!r:.80}, which is of another type", remedy=_REMEDY)
        if type(value) in {int, float} and not 0 <= value <= (_MAX_SECONDS if name.endswith("_s") else 10**9):
            raise ConfigError(f"{what} has {name} {value!r:.80}, which is out of range", remedy=_REMEDY)
    return members
