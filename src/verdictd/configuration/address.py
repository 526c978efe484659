"""Addresses as operators write them: ``host:port`` and ``[IPv6]:port``."""

import ipaddress
import re
from dataclasses import dataclass

from verdictd.core.errors import ConfigError

_MAX_PORT = 65535
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
_REMEDY = "write host:port, or [address]:port for IPv6"


@dataclass(frozen=True, slots=True)
class Address:
    """A host (an IP address without brackets, or a name) and a port; port 0 means any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost is not looked up, so it is not."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() in _LOOPBACK_NAMES


def parse_address(text: str) -> Address:
    """Read ``host:port`` or ``[IPv6]:port``.

    Raises:
        ConfigError: another form, or a port beyond 65535. An IPv6 address without brackets is refused as ambiguous.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ConfigError(f"{text!r} is not an address with a port", remedy=_REMEDY)
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise ConfigError(f"{text!r} has the port {port!r}, expected 0 to {_MAX_PORT}", remedy=_REMEDY)
    return Address(_parse_host(host, text), int(port))


def _parse_host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError as error:
            raise ConfigError(f"{text!r} holds no IPv6 address between its brackets", remedy=_REMEDY) from error
    if ":" in host:
        raise ConfigError(f"{text!r} holds an IPv6 address without brackets", remedy=_REMEDY)
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise ConfigError(f"{text!r} holds no valid IPv4 address: {error}", remedy=_REMEDY) from error
    if not _HOST_NAME.fullmatch(host):
        raise ConfigError(f"{text!r} holds neither an IP address nor a host name", remedy=_REMEDY)
    return host
