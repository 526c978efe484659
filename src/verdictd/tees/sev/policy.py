"""The policy of an SEV guest: what its owner forbade the host, which the firmware enforces."""

from typing import NamedTuple

from verdictd.core.result import JSONValue


class GuestPolicy(NamedTuple):
    """A guest's policy, a 32-bit number. A set bit forbids or demands something.

    Bits 0 NODBG, 1 NOKS, 2 ES, 3 NOSEND, 4 DOMAIN, 5 SEV, 16-23 API major, 24-31 API minor.

    Spec: AMD 55766, chapter 3, "Guest Policy".
    """

    value: int

    @property
    def allows_debugging(self) -> bool:
        """Whether the host may read and write the guest's memory."""
        return not self.value & 1

    def as_claims(self) -> dict[str, JSONValue]:
        """The policy bit by bit; numbers, 0 or 1 for single bits."""
        flags = ("nodbg", "noks", "es", "nosend", "domain", "sev")
        return {
            **{name: self.value >> bit & 1 for bit, name in enumerate(flags)},
            "api_major": self.value >> 16 & 0xFF,
            "api_minor": self.value >> 24 & 0xFF,
        }
