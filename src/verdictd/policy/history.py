"""Every pair of policy and reference that was put in force, kept so that it can be put in force again.

A directory has the contents, each in a file named by its digest, and the list of versions. The list is replaced whole,
when the contents that it names are there, and before what it names is put in force. So a crash leaves a list of which
every version can be read. Its last version may then be one that was not put in force any more.

Who may write there may put policies in force by other means as well. Damage is found, by digests, and refused.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError, PolicyError
from verdictd.core.limits import MAX_REFERENCE_BYTES
from verdictd.durable.files import make_directory, read_file, recover, replace_file
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.version import DIGEST_LENGTH, MAX_LIST_BYTES, How, Version, encode_list, parse_list

MAX_VERSIONS = 1000
MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""Of all policies and references that are kept, each counted once."""
LIST = "versions.json"

Clock = Callable[[], datetime]


def identify(pair: PolicyPair) -> tuple[str, str, str, str]:
    """Names and digests of a pair, as in `Version.identity`."""
    return pair.policy.name, pair.policy.digest, pair.reference.name, pair.reference.digest


class PolicyHistory:
    """The versions, within bounds: the oldest go first, but never the newest of each pair of names.

    One thread at a time records; any number read.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        max_versions: int = MAX_VERSIONS,
        max_content_bytes: int = MAX_CONTENT_BYTES,
    ) -> None:
        """Make a history; `open` it before use.

        Args:
            directory: where it is kept; nothing else is kept there.
            clock: tells the time, aware.
            max_versions: how many versions are kept.
            max_content_bytes: how many bytes their contents may have.
        """
        self._directory = directory
        self._clock = clock
        self._max_versions = max_versions
        self._max_content_bytes = max_content_bytes
        self._versions: tuple[Version, ...] = ()

    def open(self) -> None:
        """Make the directory where it is missing, read the list, and remove what a crash left.

        Raises:
            ConfigError: the directory cannot be used, or the list is damaged.
        """
        make_directory(self._directory)
        recover(self._directory)
        path = self._directory / LIST
        try:
            content = read_file(path, MAX_LIST_BYTES)
            self._versions = () if content is None else parse_list(content)
        except (MalformedError, LimitExceededError) as error:
            raise ConfigError(
                f"{path} is damaged: {error.message}",
                remedy=f"move {self._directory} away; verdictd then begins another history",
            ) from error
        self._remove_unlisted()

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions that are kept, the oldest first."""
        return self._versions

    def record(self, pair: PolicyPair, how: How, restored: int | None = None) -> None:
        """Keep a pair that is about to be put in force. The newest version of its names is not kept a second time.

        Raises:
            ConfigError: it cannot be written. Then the pair must not be put in force.
        """
        names = (pair.policy.name, pair.reference.name)
        newest = _newest(self._versions).get(names)
        if newest is not None and newest.identity == identify(pair):
            return
        version = Version(
            number=self._versions[-1].number + 1 if self._versions else 1,
            at=self._clock(),
            how=how,
            restored=restored,
            policy_name=pair.policy.name,
            policy_digest=pair.policy.digest,
            policy_size=len(pair.policy.content),
            reference_name=pair.reference.name,
            reference_digest=pair.reference.digest,
            reference_size=len(pair.reference.content),
        )
        for document in (pair.policy, pair.reference):
            if self._read(document.digest) is None:
                replace_file(self._directory / document.digest, document.content)
        versions = self._prune((*self._versions, version))
        replace_file(self._directory / LIST, encode_list(versions))
        self._versions = versions
        self._remove_unlisted()

    def find(self, number: int) -> Version:
        """The version of a number.

        Raises:
            PolicyError: there is none.
        """
        for version in self._versions:
            if version.number == number:
                return version
        kept = f"kept are {self._versions[0].number} to {self._versions[-1].number}" if self._versions else "none is"
        raise PolicyError(f"there is no version {number}; {kept}", remedy="see verdict policy history")

    def load(self, version: Version) -> tuple[Document, Document]:
        """Read the policy and the reference of a version.

        Raises:
            PolicyError: one of them is gone or damaged.
            ConfigError: one of them cannot be read.
        """
        documents = []
        for name, digest in (
            (version.policy_name, version.policy_digest),
            (version.reference_name, version.reference_digest),
        ):
            content = self._read(digest)
            if content is None:
                raise PolicyError(
                    f"{name} of version {version.number} is gone or damaged", remedy="upload your own copy of it"
                )
            documents.append(Document(name, content, digest))
        return documents[0], documents[1]

    def _read(self, digest: str) -> bytes | None:
        """A content that is whole."""
        try:
            content = read_file(self._directory / digest, MAX_REFERENCE_BYTES)
        except LimitExceededError:
            return None
        return content if content is not None and Document.of("", content).digest == digest else None

    def _prune(self, versions: tuple[Version, ...]) -> tuple[Version, ...]:
        newest = {version.number for version in _newest(versions).values()}
        kept = list(versions)
        for version in versions:
            if len(kept) <= self._max_versions and _content_bytes(kept) <= self._max_content_bytes:
                break
            if version.number not in newest:
                kept.remove(version)
        return tuple(kept)

    def _remove_unlisted(self) -> None:
        listed = {digest for version in self._versions for digest in version.contents}
        try:
            for path in self._directory.iterdir():
                if len(path.name) == DIGEST_LENGTH and path.name not in listed:
                    path.unlink()
        except OSError as error:
            raise ConfigError(f"{self._directory} cannot be cleaned up: {error.strerror}") from error


def _newest(versions: Iterable[Version]) -> dict[tuple[str, str], Version]:
    """The newest version of each pair of names."""
    return {(version.policy_name, version.reference_name): version for version in versions}


def _content_bytes(versions: Iterable[Version]) -> int:
    sizes: dict[str, int] = {}
    for version in versions:
        sizes.update(version.contents)
    return sum(sizes.values())
