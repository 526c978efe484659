"""Text of others, as a line that does nothing to a terminal."""

from typing import Final

_MAX_WIDTH: Final = 400


def printable(line: str) -> str:
    """Escape what is no printable character, and cut what is too long: it comes from whoever may upload, say."""
    shown = line if len(line) <= _MAX_WIDTH else f"{line[:_MAX_WIDTH]}…"
    return "".join(each if each.isprintable() or each == "\t" else f"\\u{ord(each):04x}" for each in shown)
