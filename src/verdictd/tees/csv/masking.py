"""The mask over a report's fields: each 32-bit word XORed with the firmware's nonce."""

ANONCE_BYTES = 4


def mask(data: bytes, anonce: bytes) -> bytes:
    """Put the mask on, or take it off: both are the same.

    Args:
        data: begins at a multiple of 4 bytes from the beginning of the report.
        anonce: `ANONCE_BYTES` bytes.
    """
    whole = anonce * (len(data) // ANONCE_BYTES + 1)
    return bytes(a ^ b for a, b in zip(data, whole, strict=False))
