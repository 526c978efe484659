"""How `tee-sim` reads the arguments of its commands."""

import argparse
from datetime import datetime
from typing import Final

YEARS: Final = range(1970, 9998)
"""What X.509 and the arithmetic of a collateral's lifetime can express."""
_MAX_LIFETIME_S: Final = 3650 * 86400


def hex_of(size: int) -> "Hex":
    """Read so many bytes of hex digits."""
    return Hex(size, size)


class Hex:
    """Reads an argument of hex digits, of a least and a largest number of bytes."""

    __slots__ = ("least", "most")

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def __call__(self, text: str) -> bytes:
        """Read one argument."""
        try:
            octets = bytes.fromhex(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r:.80} is not hex digits") from error
        if not self.least <= len(octets) <= self.most:
            size = f"{self.most}" if self.least == self.most else f"at most {self.most}"
            raise argparse.ArgumentTypeError(f"{len(octets)} bytes are given, expected {size}")
        return octets


def u16(text: str) -> int:
    """Read a number of 16 bits."""
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 0 to 65535")
    return int(text)


def instant_of(text: str) -> datetime:
    """Read a point in time that says its zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a time such as 2026-01-31T00:00:00Z") from error
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r:.40} does not say its zone; end it with Z for UTC")
    if instant.year not in YEARS:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not within the years {YEARS[0]} to {YEARS[-1]}")
    return instant


def lifetime_of(text: str) -> int:
    """Read how many seconds collateral is to be good."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= _MAX_LIFETIME_S or len(text) > 10:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number of seconds from 1 to {_MAX_LIFETIME_S}")
    return int(text)
