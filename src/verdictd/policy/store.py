"""The policies and references of a verifier: plain files in one directory, and the pairs that are in force.

What is in force is in memory, immutable, and replaced by one assignment. It comes of the files, at start and at
`reload`, and of uploads, which are checked, then written, then put in force. A refused upload changes nothing.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from verdictd.core.errors import ConfigError, PolicyError, VerdictdError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.policy.files import read_file, recover, replace_file, replace_files
from verdictd.policy.pair import Document, PolicyPair, parse_reference
from verdictd.policy.runner import PolicyRunner

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class PairNames:
    """Which policy is used with which reference."""

    policy: str
    reference: str


SHIPPED = PairNames("sgxPolicy.rego", "sgxData")
"""What is written on the first start."""

ACTIVE_PAIRS: Mapping[str, PairNames] = MappingProxyType(
    {"sgx_ecdsa": SHIPPED, "csv": PairNames("csvPolicy.rego", "csvData")}
)
"""What judges each kind of evidence. Files of other names can be stored and tested, and judge nothing."""


@dataclass(frozen=True, slots=True)
class UnusablePair:
    """Why nothing can be decided about a kind of evidence, and what to do about it."""

    names: PairNames
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload that was accepted stored and put in force.

    Attributes:
        documents: what was stored.
        pairs: what is in force now, for each kind of evidence that it concerns; empty for names that judge nothing.
    """

    documents: tuple[Document, ...]
    pairs: tuple[PolicyPair | UnusablePair, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uploaded should know, in sentences; most often nothing."""
        notes: list[str] = []
        for pair in self.pairs:
            if isinstance(pair, UnusablePair):
                notes.append(f"every peer is refused: {pair.reason}; {pair.remedy}")
                continue
            notes += [
                f"{pair.policy.name} reads data.{name}, which {pair.reference.name} does not have"
                for name in pair.missing_members
            ]
        return tuple(notes)


class PolicyStore:
    """The store. Uploads come one after the other; whoever decides never waits for one."""

    def __init__(self, directory: Path, runner: PolicyRunner) -> None:
        """Make a store; `open` it before use.

        Args:
            directory: ``<data-dir>/opa``.
            runner: what checks policies.
        """
        self._directory = directory
        self._runner = runner
        self._upload = threading.Lock()
        self._active: dict[str, PolicyPair | UnusablePair] = {}

    def open(self) -> tuple[UnusablePair, ...]:
        """Make the directory and the shipped files where they are missing, and put the files in force.

        Returns:
            What `reload` returns.
        Raises:
            ConfigError: the directory cannot be made, read or written.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self._directory} cannot be made: {error.strerror}",
                remedy="name a directory that verdictd may write, with --data-dir",
            ) from error
        recover(self._directory)
        for name in (SHIPPED.policy, SHIPPED.reference):
            if read_file(self._directory / name, MAX_REFERENCE_BYTES) is None:
                replace_file(self._directory / name, load_shipped(name))
        return self.reload()

    def reload(self) -> tuple[UnusablePair, ...]:
        """Read the files again, check them, and put them in force.

        A file that somebody edited so that it does not pass the check is put in force too: it refuses every peer.

        Returns:
            The pairs that cannot be used, except those of which no file is there.
        """
        with self._upload:
            return self._reload()

    def active(self, tee: str) -> PolicyPair | UnusablePair:
        """What is in force for a kind of evidence, at this instant.

        Raises:
            KeyError: there is no such kind.
        """
        return self._active[tee]

    def names(self) -> tuple[str, ...]:
        """The names of all policies and references, sorted."""
        return tuple(sorted(path.name for path in self._directory.iterdir() if _NAME.fullmatch(path.name)))

    def export(self, name: str) -> bytes:
        """Read a policy or a reference.

        Raises:
            PolicyError: there is none of that name, or it is no name.
            ConfigError: it cannot be read.
        """
        content = read_file(self._directory / check_name(name), MAX_REFERENCE_BYTES)
        if content is None:
            raise PolicyError(
                f"there is no policy and no reference {name}", remedy=f"there are: {', '.join(self.names())}"
            )
        return content

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
        self._runner.make_pair(*documents)
        return self._put(*documents)

    def _policy(self, name: str, content: bytes) -> Document:
        if any(check_name(name) == names.reference for names in ACTIVE_PAIRS.values()):
            raise PolicyError(f"{name} is the name of a reference, not of a policy")
        return Document.of(name, content)

    def _reference(self, name: str, content: bytes) -> Document:
        if any(check_name(name) == names.policy for names in ACTIVE_PAIRS.values()):
            raise PolicyError(f"{name} is the name of a policy, not of a reference")
        return Document.of(name, content)

    def _put(self, *documents: Document) -> Upload:
        """Write what passed its check, and put it in force."""
        contents = {document.name: document.content for document in documents}
        with self._upload:
            recover(self._directory)
            changed: dict[str, PolicyPair | UnusablePair] = {}
            for kind, names in ACTIVE_PAIRS.items():
                if names.policy in contents or names.reference in contents:
                    pair = self._assemble(names, contents)
                    if isinstance(pair, UnusablePair) and isinstance(self._active.get(kind), PolicyPair):
                        raise PolicyError(pair.reason, remedy=pair.remedy)
                    changed[kind] = pair
            try:
                if len(contents) == 1:
                    replace_file(self._directory / documents[0].name, documents[0].content)
                else:
                    replace_files(self._directory, contents)
            except ConfigError:
                # How far it came only the disk knows.
                self._reload()
                raise
            self._active.update(changed)
            return Upload(documents, tuple(changed.values()))

    def _reload(self) -> tuple[UnusablePair, ...]:
        try:
            recover(self._directory)
            self._active.update({kind: self._assemble(names, {}) for kind, names in ACTIVE_PAIRS.items()})
        except ConfigError as error:
            self._active.update(
                {kind: UnusablePair(names, error.message, error.remedy) for kind, names in ACTIVE_PAIRS.items()}
            )
        unusable = (pair for pair in self._active.values() if isinstance(pair, UnusablePair))
        return tuple(
            pair
            for pair in unusable
            if (self._directory / pair.names.policy).exists() or (self._directory / pair.names.reference).exists()
        )

    def _assemble(self, names: PairNames, contents: Mapping[str, bytes]) -> PolicyPair | UnusablePair:
        """Make a pair of what is given and, for the rest, of what is on disk."""
        documents = []
        try:
            for name, flag, limit in (
                (names.policy, "--set-opa-policy", MAX_POLICY_BYTES),
                (names.reference, "--set-opa-reference", MAX_REFERENCE_BYTES),
            ):
                content = contents[name] if name in contents else read_file(self._directory / name, limit)
                if content is None:
                    return UnusablePair(names, f"there is no {name}", f"upload it: verdict {flag} {name} FILE")
                documents.append(Document.of(name, content))
            return self._runner.make_pair(*documents)
        except VerdictdError as error:
            which = f"{names.policy} and {names.reference} cannot be used: {error.message}"
            return UnusablePair(names, which, error.remedy or "upload both again")


def check_name(name: str) -> str:
    """Return a name that is one: it can stand for a file in the store, and for none outside.

    Raises:
        PolicyError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise PolicyError(
            f"{name[:80]!r} is not a name of a policy or a reference",
            remedy="use 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return name


def load_shipped(name: str) -> bytes:
    """Read a policy or reference as it is shipped, by its name in `SHIPPED`."""
    return files("verdictd.policy").joinpath("shipped", name).read_bytes()
