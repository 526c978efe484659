"""A request to the simulated service, read as far as all routes have it in common."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from verdictd.simulator.crl_builder import BACKDATED, LIFETIME
from verdictd.simulator.pcs_answers import RefusedError
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.state import Publication

APIVersion = Literal["v3", "v4"]
TEE = Literal["sgx", "tdx"]
Method = Literal["GET", "POST"]

_MAX_QUERY_FIELDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PCSRequest:
    """A request on one of the service's routes.

    Attributes:
        platform: whose vendor is asked.
        at: when; items are issued for this instant.
        lifetime: how long from then on they are good; ``None`` for as long as genuine ones.
        version, tee: of the route's path.
        parameters: of the query; of a POST request's body, which has the same names.
    """

    platform: SimulatedPlatform
    at: datetime
    lifetime: timedelta | None
    version: APIVersion
    tee: TEE
    method: Method
    parameters: dict[str, str]

    @property
    def issue_date(self) -> datetime:
        """What items say is the instant of their issue."""
        return self.at - BACKDATED

    @property
    def next_update(self) -> datetime:
        """Until when items are good."""
        return self.issue_date + LIFETIME if self.lifetime is None else self.at + self.lifetime

    def parameter(self, name: str) -> str:
        """Return a parameter that must be there.

        Raises:
            RefusedError: it is not, or is empty.
        """
        value = self.parameters.get(name)
        if not value:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter {name!r} is missing")
        return value

    def octets(self, name: str, size: int | range) -> bytes:
        """Return a parameter of hex digits.

        Args:
            name: the parameter's.
            size: how many bytes it must have.

        Raises:
            RefusedError: it is missing, or has other digits or another size.
        """
        value = self.parameter(name)
        sizes = range(size, size + 1) if isinstance(size, int) else size
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", value) or len(value) // 2 not in sizes:
            wanted = f"{2 * sizes[0]}" if len(sizes) == 1 else f"{2 * sizes[0]} to {2 * sizes[-1]}"
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"the parameter {name!r} is {value!r:.80}, expected {wanted} hex digits"
            )
        return bytes.fromhex(value)

    def publication(self) -> Publication:
        """Return what the vendor published with the update, or under the number, that is asked for.

        Raises:
            RefusedError: both are named, or what is named is not published.
        """
        update, number = (self.parameters.get(name, "") for name in ("update", "tcbEvaluationDataNumber"))
        if update and number:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "the parameters 'update' and 'tcbEvaluationDataNumber' exclude one another"
            )
        if number:
            return self._numbered(number)
        if update not in {"", "standard", "early"}:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"the parameter 'update' is {update!r:.40}, not standard or early"
            )
        is_early = update == "early" and self.version == "v4"
        return self.platform.newest if is_early else self.platform.standard

    def _numbered(self, number: str) -> Publication:
        if not re.fullmatch(r"[0-9]{1,9}", number):
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"the parameter 'tcbEvaluationDataNumber' is {number!r:.40}, not a number"
            )
        published = {publication.number: publication for publication in self.platform.publications}
        if int(number) in published:
            return published[int(number)]
        if int(number) < min(published):
            raise RefusedError(HTTPStatus.GONE, f"TCB evaluation data number {number} is no longer available")
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no TCB evaluation data number {number}")


def read_query(target: str) -> tuple[str, dict[str, str]]:
    """Split a request's target into path and query.

    Raises:
        RefusedError: it cannot be read, or has a parameter twice.
    """
    try:
        parts = urlsplit(target)
        fields = parse_qs(parts.query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the request's URL cannot be read: {error}") from error
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the parameter {repeated[0]!r:.40} is given more than once")
    return parts.path, {name: values[0] for name, values in fields.items()}


def read_body(body: bytes) -> dict[str, str]:
    """Read the body of a POST request: a JSON object of texts.

    Raises:
        RefusedError: it is something else.
    """
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the request's body is not JSON: {error}") from error
    if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request's body is not a JSON object of texts")
    return members
