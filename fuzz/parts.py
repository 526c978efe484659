"""Inputs of several parts: how one string of bytes is taken apart, and how seeds are put together."""

from verdictd.ratstls.der import DERReader


def take(data: bytes) -> tuple[bytes, bytes]:
    """Take a part off the front: two bytes of length, big-endian, and as much of it as is there. Never fails."""
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end], data[end:]


def join(*parts: bytes) -> bytes:
    """Write parts so that `take` gives them back, one after the other, but for the last, which is what is left."""
    *first, last = parts
    return b"".join(len(part).to_bytes(2, "big") + part for part in first) + last


def selector(data: bytes, choices: int) -> tuple[int, bytes]:
    """Take a choice off the front: a number below `choices`, and what is left."""
    return (data[0] % choices if data else 0), data[1:]


def chunks(data: bytes, sizes: bytes) -> list[bytes]:
    """Split bytes into pieces of the sizes given, over and over; all of it where no size is given."""
    pieces, position, turn = [], 0, 0
    while position < len(data):
        size = max(1, sizes[turn % len(sizes)]) if sizes else len(data)
        pieces.append(data[position : position + size])
        position += size
        turn += 1
    return pieces


def signed_part(der: bytes) -> bytes:
    """The part of a certificate or CRL that its signature covers."""
    return DERReader(der).read(0x30, "it").reader().read(0x30, "its signed part").raw


def at_start(_: bytes) -> int:
    """Where what follows nothing begins."""
    return 0


def after_selector(_: bytes) -> int:
    """Where what follows a `selector` begins."""
    return 1


def after_part(data: bytes) -> int:
    """Where what follows a part that `take` takes begins."""
    return 2 + int.from_bytes(data[:2], "big")
