"""Who may connect at all: so many in all, and so many from one address. Pure counting, before anything is spent."""

import ipaddress
from collections import Counter

from verdictd.ratstls.limits import ServerLimits

_IPV6_SITE_BITS = 64
"""Of an IPv6 address, the part that one site has: counting whole addresses would let it count as very many."""


class Admission:
    """Counts the connections there are. For one thread."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._by_site: Counter[str] = Counter()
        self._total = 0

    @property
    def connections(self) -> int:
        """How many there are now."""
        return self._total

    def admit(self, host: str) -> str | None:
        """Count a connection in, or say why not; it is then not counted.

        Args:
            host: the peer's address, as the operating system writes it.
        """
        if self._total >= self._limits.max_connections:
            return (
                f"there are {self._total} connections, the limit is {self._limits.max_connections}"
                " (raise --max-connections)"
            )
        site = identify_site(host)
        count = self._by_site[site]
        if count >= self._limits.max_connections_per_address:
            return (
                f"there are {count} connections from {site}, the limit is {self._limits.max_connections_per_address}"
                " (raise --max-connections-per-address)"
            )
        self._by_site[site] = count + 1
        self._total += 1
        return None

    def release(self, host: str) -> None:
        """Count a connection out that was admitted."""
        site = identify_site(host)
        self._total -= 1
        if self._by_site[site] <= 1:
            del self._by_site[site]
        else:
            self._by_site[site] -= 1


def identify_site(host: str) -> str:
    """Return what connections are counted by: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False))
