"""How a URL stands in messages: without what names a machine.

Messages of failures reach logs, databases, terminals and clients, and an encrypted PPID is as good as the name of a
machine to whoever can ask the vendor for its certificates.
"""

import re
from typing import Final

_NAMES_A_MACHINE: Final = re.compile(r"(?<=[?&])(encrypted_ppid|qeid)=[^&#]*")
_LONG_HEX: Final = re.compile(r"[0-9A-Fa-f]{65,}")
"""No name of a family, TCB or fingerprint is that long; an encrypted PPID or a manifest is, also a part of one."""


def show_url(url: str) -> str:
    """Write a URL without the values of the parameters that name a machine."""
    return _NAMES_A_MACHINE.sub(r"\1=…", url)


def hide_machines(text: str) -> str:
    """Write what a server says without what names a machine: it may repeat what it was asked."""
    return _LONG_HEX.sub("…", show_url(text))
