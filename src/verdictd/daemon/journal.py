"""What the supervisor itself has in the audit log: that it starts, stops and reloads, and what is in force."""

import logging
from collections.abc import Mapping
from typing import Final, TypedDict

from verdictd import __version__
from verdictd.audit import records
from verdictd.audit.log import AuditLog
from verdictd.core.errors import VerdictdError
from verdictd.core.result import JSONValue
from verdictd.daemon.figures import Counts
from verdictd.daemon.policies import Pairs
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import plain_values
from verdictd.daemon.supervisor_state import SupervisorState
from verdictd.policy.pair import PolicyPair

_LOGGER: Final = logging.getLogger(__name__)


class _Configuration(TypedDict):
    verifier: str
    trust_roots: dict[str, str]
    settings: dict[str, str]
    warnings: tuple[str, ...]


class Journal:
    """The supervisor's side of the audit log. Its methods may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        """Open the log.

        Raises:
            VerdictdError: it cannot be used.
        """
        self._log = AuditLog.open(settings.data_dir / "audit", sync_always=settings.audit_sync_always)
        self._in_force: Mapping[str, str] | None = None

    def close(self) -> None:
        """Write everything to the disk, and close."""
        self._log.sync()
        self._log.close()

    def sync(self) -> None:
        """Write to the disk what all processes have recorded. Says so where that fails, and goes on."""
        try:
            self._log.sync()
        except VerdictdError as error:
            _LOGGER.error("the audit log cannot be written to the disk", extra={"why": str(error)})  # noqa: TRY400

    @property
    def head(self) -> str:
        """The number and the hash of the last record, which together vouch for all before; empty where unreadable."""
        try:
            return str(self._log.read_head())
        except VerdictdError:
            return ""

    @property
    def records(self) -> int:
        """How many records there are; 0 where the log cannot be read."""
        try:
            return self._log.read_head().seq
        except VerdictdError:
            return 0

    def announce_head(self) -> None:
        """Put the head into the log, where whoever collects it has something to hold the audit log against."""
        _LOGGER.info("audit log", extra={"head": self.head})

    def started(self, state: SupervisorState) -> None:
        """Record a start. Errors as `AuditLog.append`."""
        self._log.append(records.start(version=__version__, **_configuration(state)))
        self.announce_head()

    def reloaded(self, state: SupervisorState) -> None:
        """Record a reload. Errors as `AuditLog.append`."""
        self._log.append(records.reload(**_configuration(state)))

    def not_reloaded(self, reason: str) -> None:
        """Record that a reload changed nothing."""
        self._note(records.reload_failed(reason=reason))

    def stopped(self, counts: Counts) -> None:
        """Record a stop."""
        self._note(records.stop(reason="signal", counts={"accepted": counts.accepted, "refused": counts.refused}))
        self.announce_head()

    def policies_changed(self, pairs: Pairs) -> None:
        """Record what is in force from now on, where that is something else than before; first of all, only note it.

        Of what cannot be used, and so refuses everybody, the digest is empty.
        """
        digests: dict[str, str] = {}
        for pair in pairs.values():
            if isinstance(pair, PolicyPair):
                digests |= {document.name: document.digest for document in (pair.policy, pair.reference)}
            else:
                digests |= {pair.names.policy: "", pair.names.reference: ""}
        previous, self._in_force = self._in_force, digests
        if previous is None:
            return
        changed = {name: digest for name, digest in digests.items() if previous.get(name) != digest}
        if changed:
            before = {name: previous.get(name, "") for name in changed}
            self._note(
                records.policy_change(how="replaced", by="client API or reload", changed=changed, previous=before)
            )

    def _note(self, record: Mapping[str, JSONValue]) -> None:
        try:
            self._log.append(record)
        except VerdictdError as error:
            _LOGGER.error("the audit log cannot be written", extra={"why": str(error)})  # noqa: TRY400 - no trace


def _configuration(state: SupervisorState) -> _Configuration:
    return {
        "verifier": str(state.settings.enforced_verifier),
        "trust_roots": {root.fingerprint: root.label for root in state.roots.roots},
        "settings": {name: str(value) for name, value in plain_values(state.settings).items()},
        "warnings": state.warnings,
    }
