"""Clients of an HTTP server that ask for the same again and again, each over one connection."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

_HEADER_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answers:
    """What came: how many answers within how many seconds, and how long each took, in seconds."""

    count: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def percentile(self, share: float) -> float:
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]


def ask(address: tuple[str, int], target: str, *, clients: int, requests: int) -> Answers:
    """Have each of so many clients ask so often. Any answer but 200 raises."""
    return asyncio.run(_ask(address, target, clients, requests))


async def _ask(address: tuple[str, int], target: str, clients: int, requests: int) -> Answers:
    began = perf_counter()
    latencies = await asyncio.gather(*(_be_client(address, target, requests) for _ in range(clients)))
    return Answers(clients * requests, perf_counter() - began, tuple(each for one in latencies for each in one))


async def _be_client(address: tuple[str, int], target: str, requests: int) -> list[float]:
    reader, writer = await asyncio.open_connection(*address, limit=1024 * 1024)
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii")
    latencies = []
    for _ in range(requests):
        began = perf_counter()
        writer.write(request)
        head = await reader.readuntil(_HEADER_END)
        assert head.startswith(b"HTTP/1.1 200 "), head
        lower = head.lower()
        start = lower.index(b"content-length: ") + len(b"content-length: ")
        await reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
        latencies.append(perf_counter() - began)
    writer.close()
    await writer.wait_closed()
    return latencies
