"""The policy of a CSV guest: what its owner forbade the host, which the firmware enforces."""

from typing import NamedTuple

from verdictd.core.result import JSONValue


class GuestPolicy(NamedTuple):
    """A guest's policy, a 32-bit number. A set bit forbids or demands something.

    Bits 0 NODBG, 1 NOKS, 2 ES, 3 NOSEND, 4 DOMAIN, 5 CSV, 6 CSV3, 7 ASID_REUSE, 8-11 HSK version, 12-15 CEK version,
    16-23 API major, 24-31 API minor.
    """

    value: int

    @property
    def allows_debugging(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return not self.value & 1

    def as_claims(self) -> dict[str, JSONValue]:
        """The policy bit by bit, under the names that Hygon gives the bits; numbers, 0 or 1 for single bits."""
        return {
            "nodbg": self._bits(0, 1),
            "noks": self._bits(1, 1),
            "es": self._bits(2, 1),
            "nosend": self._bits(3, 1),
            "domain": self._bits(4, 1),
            "csv": self._bits(5, 1),
            "csv3": self._bits(6, 1),
            "asid_reuse": self._bits(7, 1),
            "hsk_version": self._bits(8, 4),
            "cek_version": self._bits(12, 4),
            "api_major": self._bits(16, 8),
            "api_minor": self._bits(24, 8),
        }

    def _bits(self, offset: int, count: int) -> int:
        return self.value >> offset & (1 << count) - 1
