"""The Attester: whatever can make Evidence about the machine or enclave that this process runs in."""

from typing import Protocol

REPORT_DATA_BYTES = 64
"""Size of the field that binds evidence to what its maker chose, in SGX and TDX quotes alike."""


class Attester(Protocol):
    """Makes evidence that carries the caller's report data. Safe to share between threads."""

    def quote(self, report_data: bytes) -> bytes:
        """Return evidence whose report data is exactly `report_data`.

        Trust: the implementation has compared the report data; whether the evidence convinces is the verifier's to say.

        Args:
            report_data: `REPORT_DATA_BYTES` bytes.

        Raises:
            ConfigError: the device or program cannot make evidence now; the message says why.
            AuthenticityError: it made evidence for other report data.
            MalformedError, UnsupportedError, LimitExceededError: what it made is no evidence that is known here.
        """
        ...
