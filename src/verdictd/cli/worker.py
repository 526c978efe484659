"""The entry point of a worker process, which `verdictd` starts: ``python -m verdictd.cli.worker CONTROL HANDOVER``."""

import asyncio
import signal
import socket
import sys

from verdictd.cli.logs import configure_logging
from verdictd.configuration.log_choice import LogFormat
from verdictd.daemon.settings import Settings
from verdictd.daemon.worker import Worker


def main() -> None:
    """Serve what the supervisor hands over, until it says stop or is gone."""
    # It is for the supervisor to say when to end, also where everybody is signalled.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control, handover = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    asyncio.run(_run(control, handover))


async def _run(control: socket.socket, handover: socket.socket) -> None:
    await Worker(control, handover, _configure_logging).run()


def _configure_logging(settings: Settings) -> None:
    configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)


if __name__ == "__main__":
    main()
