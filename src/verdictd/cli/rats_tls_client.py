"""The entry point of `rats-tls-client`: connects, proves itself, judges the server, and exchanges one message."""

import json
import os
import sys
from collections.abc import Sequence

from verdictd.cli.logs import configure_logging
from verdictd.cli.sample_options import EXIT_FAILURE, SampleParser, add_sample_options
from verdictd.cli.sample_peer import make_tls_context, open_peer
from verdictd.core.errors import TransportError, VerdictdError
from verdictd.ratstls.channel import Endpoint, Role
from verdictd.ratstls.client import ClientChannel, connect
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.nulltls import NullTLSEndpoint

GREETING = "Hello and welcome to RATS-TLS!\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rats-tls-client` and return its exit code: 0, or 255 where anything failed."""
    parser = SampleParser(prog="rats-tls-client", description="Connect to a RATS-TLS server and greet it.")
    add_sample_options(parser, os.environ)
    parser.add_argument("-E", "--verdictd", action="store_true", help="greet verdictd, by the EAA protocol")
    arguments = parser.parse_args(argv)
    configure_logging(arguments.log_level)
    try:
        peer = open_peer(Role.CLIENT, arguments)
        endpoint: Endpoint = NullTLSEndpoint()
        if arguments.tls != "nulltls":
            endpoint = RATSTLSEndpoint(make_tls_context(Role.CLIENT, arguments, peer), peer.judge)
        with connect(arguments.ip, arguments.port, endpoint) as channel:
            return _greet(channel, is_verdictd=arguments.verdictd)
    except VerdictdError as error:
        sys.stderr.write(f"rats-tls-client: {error}\n")
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_FAILURE


def _greet(channel: ClientChannel, *, is_verdictd: bool) -> int:
    message = json.dumps({"command": "echo", "data": GREETING}) if is_verdictd else GREETING
    channel.send(message.encode())
    answer = channel.receive_answer().decode("utf-8", errors="replace")
    if not answer:
        raise TransportError("the server closed without an answer", remedy="its log says why")
    sys.stdout.write(f"Server: {answer}\n")
    if answer != GREETING:
        raise TransportError(f"the server answered {answer!r:.200}, expected {GREETING!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
