"""The policies and references of a verifier: plain files in one directory, and the pairs that are in force.

What is in force is in memory, immutable, and replaced by one assignment. It comes of the files, at start and at
`reload`, and of uploads, which are checked, then kept in the history, then written, then put in force. A refused upload
changes nothing.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from verdictd.core.errors import ConfigError, PolicyError
from verdictd.durable.files import make_directory
from verdictd.policy.active import PairNames, UnusablePair
from verdictd.policy.history import Clock, PolicyHistory, identify
from verdictd.policy.pair import Document, PolicyPair, parse_reference
from verdictd.policy.pair_files import ACTIVE_PAIRS, SHIPPED, PairFiles, check_name, load_shipped
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.upload import Upload
from verdictd.policy.version import How, Version

OnChange = Callable[[Mapping[str, PolicyPair | UnusablePair]], None]
_HISTORY = "-history"


class PolicyStore:
    """The store. Uploads come one after the other; whoever decides never waits for one.

    Attributes:
        pairs: what judges each kind of evidence.
    """

    def __init__(
        self,
        directory: Path,
        runner: PolicyRunner,
        *,
        on_change: OnChange | None = None,
        clock: Clock = lambda: datetime.now(UTC),
        pairs: Mapping[str, PairNames] = ACTIVE_PAIRS,
        shipped: Callable[[str], bytes] | None = None,
    ) -> None:
        """Make a store; `open` it before use.

        Args:
            directory: ``<data-dir>/opa``. The history is kept beside it, in ``<data-dir>/opa-history``.
            runner: what checks policies; best one that makes no decisions, so that uploads need not wait for them.
            on_change: told all pairs that are in force, for each kind of evidence, after each change: when the files
                are written, and before the upload or `reload` that made the change returns. One call comes after the
                other, in the order of the changes; uploads wait for it. It must not raise.
            clock: tells the history the time.
            pairs: what judges each kind of evidence.
            shipped: see `PairFiles`.
        """
        self._directory = directory
        self._runner = runner
        self._on_change = on_change
        self.pairs = pairs
        self._files = PairFiles(directory, runner, pairs=pairs, shipped=shipped)
        self._history = PolicyHistory(directory.with_name(directory.name + _HISTORY), clock)
        self._upload = threading.Lock()
        self._active: Mapping[str, PolicyPair | UnusablePair] = {}

    def open(self, kinds: Iterable[str] = ()) -> tuple[UnusablePair, ...]:
        """Make the directory and the shipped files where they are missing, and put the files in force.

        Args:
            kinds: of evidence whose shipped files are made, beside those of the original.
        Returns:
            What `reload` returns.
        Raises:
            ConfigError: the directory or that of the history cannot be made, read or written.
        """
        make_directory(self._directory)
        self._history.open()
        self._files.prepare(kinds)
        return self.reload()

    def reload(self) -> tuple[UnusablePair, ...]:
        """Read the files again, check them, and put them in force.

        A file that somebody edited so that it does not pass the check is put in force too: it refuses every peer.

        Returns:
            The pairs that cannot be used, except those of which no file is there.
        Raises:
            ConfigError: the history cannot be written; nothing changed.
        """
        with self._upload:
            pairs = self._files.assemble_all()
            self._keep(pairs)
            self._put_in_force(pairs)
        return tuple(
            pair for pair in pairs.values() if isinstance(pair, UnusablePair) and self._files.has_any(pair.names)
        )

    def active(self, tee: str) -> PolicyPair | UnusablePair:
        """What is in force for a kind of evidence, at this instant.

        Raises:
            KeyError: there is no such kind.
        """
        return self._active[tee]

    def names(self) -> tuple[str, ...]:
        """The names of all policies and references, sorted."""
        return self._files.names()

    def export(self, name: str) -> bytes:
        """Read a policy or a reference.

        Raises:
            PolicyError: there is none of that name, or it is no name.
            ConfigError: it cannot be read.
        """
        return self._files.read(name)

    def set_policy(self, name: str, content: bytes) -> Upload:
        """Store a policy. Decisions that begin after this returned are made under it, if it is in force.

        Raises:
            PolicyError, MalformedError, UnsupportedError, LimitExceededError: it is refused; nothing changed.
            ConfigError: it cannot be written.
            TransportError: no worker could check it.
        """
        document = self._policy(name, content)
        self._runner.check_policy(content)
        return self._put(document)

    def set_reference(self, name: str, content: bytes) -> Upload:
        """Store a reference. Otherwise as `set_policy`."""
        document = self._reference(name, content)
        parse_reference(content, name)
        return self._put(document)

    def set_pair(self, policy_name: str, policy: bytes, reference_name: str, reference: bytes) -> Upload:
        """Store a policy and a reference in one step: no decision, and no crash, sees one without the other.

        Otherwise as `set_policy`.
        """
        documents = self._policy(policy_name, policy), self._reference(reference_name, reference)
        if policy_name == reference_name:
            raise PolicyError(f"policy and reference have the same name {policy_name}")
        return self._put(*documents, pair=self._runner.make_pair(*documents))

    def versions(self) -> tuple[tuple[Version, bool], ...]:
        """The versions that are kept, the oldest first, each with whether it is in force.

        Of equal ones the newest counts as in force. One that a crash kept from being put in force is listed as well.
        """
        versions = self._history.versions
        numbers = {version.identity: version.number for version in versions}
        in_force = {numbers.get(identify(pair)) for pair in self._active.values() if isinstance(pair, PolicyPair)}
        return tuple((version, version.number in in_force) for version in versions)

    def load_version(self, number: int) -> tuple[Version, Document, Document]:
        """Read a version with its policy and its reference.

        Raises:
            PolicyError: it is not kept, or damaged.
            ConfigError: it cannot be read.
        """
        version = self._history.find(number)
        return version, *self._history.load(version)

    def check_version(self, number: int) -> tuple[str, PolicyPair]:
        """Check a version as an upload of it would be; nothing is changed.

        Returns:
            The kind of evidence that it judges, and the pair.
        Raises:
            PolicyError: it is not kept, judges nothing any more, or does not pass.
            MalformedError, UnsupportedError, LimitExceededError: it does not pass.
            ConfigError: it cannot be read.
            TransportError: no worker could check it.
        """
        version, policy, reference = self.load_version(number)
        names = PairNames(policy.name, reference.name)
        for kind, active in self.pairs.items():
            if active == names:
                return kind, self._runner.make_pair(policy, reference)
        raise PolicyError(f"{policy.name} with {reference.name} of version {version.number} judge nothing any more")

    def roll_back(self, number: int, expected: bytes | None = None) -> Upload:
        """Put a version in force again, checked anew, in one step as `set_pair` does.

        Args:
            number: of the version.
            expected: the key of the pair that it is meant to replace (`PolicyPair.key`; empty for an unusable one):
                if another is in force by now, it is refused. ``None`` for whatever is in force.
        Raises:
            What `check_version` raises, and what `set_pair` does; nothing changed.
        """
        _, pair = self.check_version(number)
        return self._put(pair.policy, pair.reference, pair=pair, restored=number, expected=expected)

    def _policy(self, name: str, content: bytes) -> Document:
        if any(check_name(name) == names.reference for names in self.pairs.values()):
            raise PolicyError(f"{name} is the name of a reference, not of a policy")
        return Document.of(name, content)

    def _reference(self, name: str, content: bytes) -> Document:
        if any(check_name(name) == names.policy for names in self.pairs.values()):
            raise PolicyError(f"{name} is the name of a policy, not of a reference")
        return Document.of(name, content)

    def _put(
        self,
        *documents: Document,
        pair: PolicyPair | None = None,
        restored: int | None = None,
        expected: bytes | None = None,
    ) -> Upload:
        """Write what passed its check, and put it in force.

        Args:
            documents: what to write.
            pair: both, if they were checked together.
            restored: the version they come from, if they do.
            expected: the key of what has to be in force still; any if ``None``.
        """
        contents = {document.name: document.content for document in documents}
        with self._upload:
            self._files.recover()
            changed: dict[str, PolicyPair | UnusablePair] = {}
            for kind, names in self.pairs.items():
                if names.policy in contents or names.reference in contents:
                    changed[kind] = self._replacement(kind, contents, pair, expected)
            self._keep(changed, How.UPLOAD if restored is None else How.ROLLBACK, restored)
            try:
                self._files.write(contents)
            except ConfigError:
                # How far it came only the disk knows; and the history, if it can, that it is as before.
                found = self._files.assemble_all()
                with contextlib.suppress(ConfigError):
                    self._keep(found)
                self._put_in_force(found)
                raise
            self._put_in_force(changed)
            return Upload(documents, tuple(changed.values()))

    def _replacement(
        self, kind: str, contents: Mapping[str, bytes], pair: PolicyPair | None, expected: bytes | None
    ) -> PolicyPair | UnusablePair:
        """What an upload puts in force for a kind of evidence; an error where it must not."""
        names, now = self.pairs[kind], self._active.get(kind)
        if expected is not None and expected != _key(now):
            raise PolicyError(
                "what is in force was replaced meanwhile", remedy="look at the difference again, then repeat this"
            )
        if pair is not None and (pair.policy.name, pair.reference.name) == (names.policy, names.reference):
            return pair
        made = self._files.assemble(names, contents)
        if isinstance(made, UnusablePair) and isinstance(now, PolicyPair):
            raise PolicyError(made.reason, remedy=made.remedy)
        return made

    def _keep(
        self,
        pairs: Mapping[str, PolicyPair | UnusablePair],
        how: How = How.RELOAD,
        restored: int | None = None,
    ) -> None:
        """Write to the history what is about to be put in force."""
        for pair in pairs.values():
            if isinstance(pair, PolicyPair):
                is_shipped = how is How.RELOAD and pair.key == _shipped_key()
                self._history.record(pair, How.SHIPPED if is_shipped else how, restored)

    def _put_in_force(self, changed: Mapping[str, PolicyPair | UnusablePair]) -> None:
        self._active = {**self._active, **changed}
        if changed and self._on_change is not None:
            self._on_change(MappingProxyType(self._active))


def _key(pair: PolicyPair | UnusablePair | None) -> bytes:
    return pair.key if isinstance(pair, PolicyPair) else b""


def _shipped_key() -> bytes:
    return bytes.fromhex("".join(Document.of("", load_shipped(name)).digest for name in astuple(SHIPPED)))
