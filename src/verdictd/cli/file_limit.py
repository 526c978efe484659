"""How many files a server may have open: each connection is one."""

import resource


def allow_many_files() -> None:
    """Raise the soft limit to the hard one. Child processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
