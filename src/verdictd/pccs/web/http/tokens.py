"""The tokens of users and administrators: only their hashes are known here."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from verdictd.core.errors import ConfigError
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.refusals import RequestRefusedError

_SHA512: Final = re.compile(r"[0-9A-Fa-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHashes:
    """SHA-512 of each token, in hex; empty where there is none, and then nobody has it.

    Attributes:
        user: of whoever may register platforms.
        admin: of whoever may do everything else.
    """

    user: str = field(default="", repr=False)
    admin: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, text in (("user", self.user), ("admin", self.admin)):
            if text and not _SHA512.fullmatch(text):
                raise ConfigError(
                    f"the hash of the {name} token is not 128 hex digits",
                    remedy="write what `printf %s TOKEN | sha512sum` prints",
                )

    def require_user(self, exchange: Exchange) -> None:
        """Let only those pass who have the user's token.

        Raises:
            RequestRefusedError: 401.
        """
        _require(exchange, "user", self.user)

    def require_admin(self, exchange: Exchange) -> None:
        """Let only those pass who have the administrator's token.

        Raises:
            RequestRefusedError: 401.
        """
        _require(exchange, "admin", self.admin)


def _require(exchange: Exchange, name: str, expected: str) -> None:
    header = f"{name}-token"
    token = exchange.header(header.encode("ascii"))
    found = hashlib.sha512(token).hexdigest()
    if not expected:
        why, remedy = f"no {name} token is set up here", f"set the hash of the {name} token in this service's settings"
    elif not token:
        why, remedy = f"the header {header} is not there", f"send the {name} token in the header {header}"
    elif hmac.compare_digest(found, expected.lower()):
        return
    else:
        why, remedy = f"the header {header} does not hold the {name} token", "check the token"
    raise RequestRefusedError(why, status=401, problem="unauthorized", remedy=remedy)
