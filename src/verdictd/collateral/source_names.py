"""What a source is called where its name must be a line of text: on the wire, on disk, in a terminal."""

from typing import Final

MAX_CHARACTERS: Final = 4096
"""As long as a path may be."""


def one_line(name: str) -> str:
    """Write a source's name in printable characters, and not too many: file names may hold anything.

    Args:
        name: as it came; not trusted.
    """
    text = name if name.isprintable() else "".join(_escape(each) for each in name[:MAX_CHARACTERS])
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
