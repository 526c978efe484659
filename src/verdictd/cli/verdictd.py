"""The entry point of `verdictd`, the Verifier's daemon."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from verdictd import __version__
from verdictd.cli.daemon_options import add_daemon_options, read_settings
from verdictd.cli.file_limit import allow_many_files
from verdictd.cli.logs import configure_logging
from verdictd.configuration.log_choice import LogFormat
from verdictd.core.errors import VerdictdError
from verdictd.daemon.runtime import Daemon
from verdictd.daemon.settings_reader import encode_settings

_CANNOT_START = 2
_WORKER_COMMAND = (sys.executable, "-P", "-X", "utf8", "-m", "verdictd.cli.worker")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `verdictd` and return its exit code: 0 after a stop in good order, 2 where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="verdictd",
        description="Judge attesting peers over RATS-TLS, and answer those that are accepted.",
        epilog="SIGHUP reloads configuration, roots, policies and our identity; SIGTERM stops.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"verdictd {__version__}")
    add_daemon_options(parser)
    arguments = parser.parse_args(argv)
    try:
        settings = read_settings(arguments)
        if arguments.check_config:
            sys.stdout.write(encode_settings(settings))
            return 0
        configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
        allow_many_files()
        asyncio.run(Daemon(settings, lambda: read_settings(arguments), _WORKER_COMMAND).run())
    except VerdictdError as error:
        sys.stderr.write(f"verdictd: {error}\n")
        return _CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
