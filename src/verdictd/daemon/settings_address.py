"""Addresses of the client API as operators write them: ``host:port``, ``[IPv6]:port``, or ``unix:/path``."""

from dataclasses import dataclass
from pathlib import Path

from verdictd.configuration.address import Address, parse_address
from verdictd.core.errors import ConfigError

_UNIX_PREFIX = "unix:"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket; who may connect is for the file system to say."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX_PREFIX}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """A socket file never leaves this machine."""
        return True


ClientAPIAddress = Address | UnixAddress
"""Where the client API is served. As text it is what gRPC takes as a target."""


def parse_client_api_address(text: str) -> ClientAPIAddress:
    """Read ``host:port``, ``[IPv6]:port`` or ``unix:/path``.

    Raises:
        ConfigError: another form, or a socket path that is not absolute.
    """
    if not text.startswith(_UNIX_PREFIX):
        return parse_address(text)
    path = Path(text.removeprefix(_UNIX_PREFIX))
    if not path.is_absolute():
        raise ConfigError(f"{text!r} does not name a socket by its absolute path", remedy="write unix:/path/to/socket")
    return UnixAddress(path)
