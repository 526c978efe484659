"""What programs with subcommands exit with."""

from typing import Final

DONE: Final = 0
"""Done, and nothing to attend to."""
NOT_ALL: Final = 1
"""Done, but something needs attention: refused, failed, expired, or about to change. The output names it."""
UNUSABLE: Final = 2
"""Wrong usage or input, or it cannot be told."""
INTERRUPTED: Final = 130
