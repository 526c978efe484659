"""The flags that `rats-tls-client` and `rats-tls-server` share: the original's names, and beside them our own."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from verdictd.appraisal.verifiers import SGX_VERIFIER, Verifiers, parse_verifiers
from verdictd.cli.local_policy import add_policy_options
from verdictd.cli.logs import LEVELS
from verdictd.cli.options import add_acceptance_options, add_collateral_options, add_guest_options, add_trust_options
from verdictd.core.errors import ConfigError
from verdictd.ratstls.evidence import CertificateFormat

EXIT_FAILURE = 255
"""What the original's programs exit with where anything but a flag is wrong."""

_EXIT_USAGE = 1
_LEVEL_VARIABLE = "RATS_TLS_GLOBAL_LOG_LEVEL"
_ATTESTERS = ("nullattester", "sgx_ecdsa", "tdx_ecdsa", "sev_snp", "csv")
_CLAIM = re.compile(r"([A-Za-z0-9._-]{1,64})=(.*)", re.DOTALL)


class SampleParser(argparse.ArgumentParser):
    """A parser that leaves like the original's programs: with 1 for a bad flag, and after ``-h``."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the flags, and exit."""
        self.print_usage()
        super().exit(_EXIT_USAGE, f"{self.prog}: {message}\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit; ``-h`` comes here with 0 and leaves with 1, as the original's does."""
        super().exit(status or _EXIT_USAGE, message)


def add_sample_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add the shared flags.

    Args:
        parser: where to.
        environment: `RATS_TLS_GLOBAL_LOG_LEVEL` in it is the default log level.
    """
    level = environment.get(_LEVEL_VARIABLE, "info").lower()
    parser.add_argument("-a", "--attester", default="", metavar="NAME", help=f"how to prove ourselves: {_ATTESTERS}")
    parser.add_argument("-v", "--verifier", default="", metavar="NAME", help="how to judge the peer; enforced if named")
    parser.add_argument("-t", "--tls", default="openssl", choices=("openssl", "nulltls"), help="nulltls: no TLS at all")
    parser.add_argument("-c", "--crypto", default="openssl", choices=("openssl", "nullcrypto"))
    parser.add_argument("-m", "--mutual", action="store_true", help="both sides prove themselves")
    parser.add_argument("-e", "--endorsements", action="store_true", help="send collateral along with our evidence")
    parser.add_argument(
        "-l", "--log-level", default=level if level in LEVELS else "info", type=str.lower, choices=tuple(LEVELS)
    )
    parser.add_argument("-i", "--ip", default="127.0.0.1", metavar="ADDRESS")
    parser.add_argument("-p", "--port", default=1234, type=int)
    parser.add_argument("-D", "--debug-enclave", action="store_true", help="with --simulate: a debug enclave")
    own = parser.add_argument_group("beside the original's")
    own.add_argument(
        "--certificate-format", default="interoperable", choices=[str(entry) for entry in CertificateFormat]
    )
    own.add_argument(
        "--claim", action="append", default=[], metavar="NAME=VALUE", help="a custom claim; may be repeated"
    )
    own.add_argument(
        "--quote-command", metavar="COMMAND", help="a program that makes quotes, see docs/configuration.md"
    )
    own.add_argument("--simulate", metavar="DIR", help="prove ourselves by the simulated platform in DIR, see tee-sim")
    own.add_argument(
        "--sim-enclave", metavar="FILE", help="with --simulate: the signed enclave that runs, or a package with it"
    )
    own.add_argument(
        "--sim-mrenclave", type=bytes.fromhex, metavar="HEX", help="with --simulate: the enclave's measure"
    )
    own.add_argument("--sim-mrsigner", type=bytes.fromhex, metavar="HEX", help="with --simulate: the enclave's signer")
    own.add_argument("--sim-mrtd", type=bytes.fromhex, metavar="HEX", help="with -a tdx_ecdsa: the TD's measure")
    own.add_argument(
        "--sim-measurement", type=bytes.fromhex, metavar="HEX", help="with -a sev_snp or csv: the guest's measure"
    )
    own.add_argument("--sim-isv-prod-id", type=int, default=0, metavar="N")
    own.add_argument("--sim-isv-svn", type=int, default=0, metavar="N")
    add_policy_options(parser)
    add_acceptance_options(parser)
    add_trust_options(parser)
    add_collateral_options(parser)
    add_guest_options(parser)


def choose_verifier(name: str) -> Verifiers:
    """Return the verifiers that were named; that of SGX where none was.

    The peers let the other side choose a weaker one where none is named. Here evidence is then required.
    """
    return parse_verifiers([name]) if name else SGX_VERIFIER


def parse_attester_name(name: str) -> str:
    """Return the attester that was named, or an empty name.

    Raises:
        ConfigError: not one that is implemented.
    """
    if name and name not in _ATTESTERS:
        raise ConfigError(f"the attester {name!r} is not implemented", remedy=f"name one of {', '.join(_ATTESTERS)}")
    return name


def parse_claims(texts: Sequence[str]) -> dict[str, bytes]:
    """Read ``NAME=VALUE`` texts into custom claims; the values' bytes are UTF-8.

    Raises:
        ConfigError: of another form, or a name twice.
    """
    claims: dict[str, bytes] = {}
    for text in texts:
        parts = _CLAIM.fullmatch(text)
        if parts is None or parts[1] in claims:
            raise ConfigError(f"--claim {text!r:.80} is not NAME=VALUE with a new name of [A-Za-z0-9._-]{{1,64}}")
        claims[parts[1]] = parts[2].encode("utf-8")
    return claims
