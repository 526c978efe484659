"""What an event log says of the way a TD started, as JSON for policies and people, below `event_log`.

Names are given by what describes an event, and nobody measures that: see `ReplayedLog`. A policy that goes by names
has to know every digest of the register as well.
"""

from collections.abc import Iterable

from verdictd.core.result import JSONValue
from verdictd.tees.tdx_ecdsa.boot_events import BootEvents, Named, read_boot_events
from verdictd.tees.tdx_ecdsa.event_log import FIRST_RTMR
from verdictd.tees.tdx_ecdsa.replay import ReplayedLog


def build_event_log_claims(log: ReplayedLog) -> dict[str, JSONValue]:
    """Collect the registers, and the names of digests in those that match the quote's."""
    claims: dict[str, JSONValue] = {
        f"rtmr{number}": {
            "matches": matches,
            "replayed": value.hex(),
            "digests": [
                event.digest.hex()
                for event in log.events
                if event.register == number + FIRST_RTMR and event.digest is not None
            ],
        }
        for number, (value, matches) in enumerate(zip(log.rtmrs, log.matches, strict=True))
    }
    genuine = {number + FIRST_RTMR for number, matches in enumerate(log.matches) if matches}
    claims.update(_name(read_boot_events([event for event in log.events if event.register in genuine])))
    return claims


def _name(boot: BootEvents) -> dict[str, JSONValue]:
    return {
        "secure_boot": boot.secure_boot,
        "variables": _list(boot.variables, "name"),
        "boot_applications": _list(boot.applications, "path"),
        "kernel": _list(boot.kernel, "by"),
        "initrd": _list(boot.initrd, "by"),
        "command_line": [{"digest": line.digest.hex(), "by": line.by, "text": line.text} for line in boot.command_line],
        "uki_sections": _list(boot.uki_sections, "name"),
    }


def _list(found: Iterable[Named], key: str) -> JSONValue:
    return [{"digest": each.digest.hex(), key: each.name} for each in found]
