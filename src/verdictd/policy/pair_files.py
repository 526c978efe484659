"""The files of a store: which of them judge what, and pairs made of them."""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from verdictd.core.errors import ConfigError, PolicyError, VerdictdError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.durable.files import read_file, recover, replace_file, replace_files
from verdictd.policy.active import PairNames, UnusablePair
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.runner import PolicyRunner

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


SHIPPED = PairNames("sgxPolicy.rego", "sgxData")
"""The pair of the original. It alone lets anybody in while its lists are empty; see `is_open_reference`."""

ACTIVE_PAIRS: Mapping[str, PairNames] = MappingProxyType(
    {
        "sgx_ecdsa": SHIPPED,
        "tdx_ecdsa": PairNames("tdxPolicy.rego", "tdxData"),
        "sev_snp": PairNames("snpPolicy.rego", "snpData"),
        "sev": PairNames("sevPolicy.rego", "sevData"),
        "csv": PairNames("csvPolicy.rego", "csvData"),
        "sgx_la": PairNames("sgxLaPolicy.rego", "sgxLaData"),
    }
)
"""What judges each kind of evidence. Files of other names can be stored and tested, and judge nothing."""


def name_pair(kind: str) -> PairNames:
    """Name what judges a kind of evidence: of `ACTIVE_PAIRS`, or else called by the kind itself."""
    return ACTIVE_PAIRS.get(kind) or PairNames(f"{kind}Policy.rego", f"{kind}Data")


class PairFiles:
    """A directory of policies and references. One thread at a time writes; any number read."""

    def __init__(
        self,
        directory: Path,
        runner: PolicyRunner,
        *,
        pairs: Mapping[str, PairNames] = ACTIVE_PAIRS,
        shipped: Callable[[str], bytes] | None = None,
    ) -> None:
        """Name the directory, which has to be there, and what checks policies.

        Args:
            directory: of the files.
            runner: what checks policies.
            pairs: what judges each kind of evidence.
            shipped: gives a policy or reference as it is shipped, by its name; `load_shipped` where there is none.
        """
        self._directory = directory
        self._runner = runner
        self._pairs = pairs
        self._shipped = shipped or load_shipped

    def prepare(self, kinds: Iterable[str] = ()) -> None:
        """Finish what a crash interrupted, and write the shipped files where they are missing.

        Args:
            kinds: of evidence for which that is done, beside that of the original.

        Raises:
            ConfigError: the directory cannot be read or written.
        """
        self.recover()
        wanted = [SHIPPED, *(self._pairs[kind] for kind in kinds)]
        for name in dict.fromkeys(name for pair in wanted for name in (pair.policy, pair.reference)):
            if read_file(self._directory / name, MAX_REFERENCE_BYTES) is None:
                replace_file(self._directory / name, self._shipped(name))

    def recover(self) -> None:
        """Finish what a crash interrupted; see `files.recover`."""
        recover(self._directory)

    def names(self) -> tuple[str, ...]:
        """The names of all policies and references, sorted."""
        return tuple(sorted(path.name for path in self._directory.iterdir() if _NAME.fullmatch(path.name)))

    def has_any(self, names: PairNames) -> bool:
        """Whether a policy or a reference of these names is there."""
        return (self._directory / names.policy).exists() or (self._directory / names.reference).exists()

    def read(self, name: str) -> bytes:
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

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Replace one or several files, all or none of them.

        Raises:
            ConfigError: they cannot be written; how far it came, `recover` and a look tell.
        """
        if len(contents) > 1:
            replace_files(self._directory, contents)
            return
        for name, content in contents.items():
            replace_file(self._directory / name, content)

    def assemble_all(self) -> dict[str, PolicyPair | UnusablePair]:
        """What the files say, for each kind of evidence."""
        try:
            self.recover()
        except ConfigError as error:
            return {kind: UnusablePair(names, error.message, error.remedy) for kind, names in self._pairs.items()}
        return {kind: self.assemble(names, {}) for kind, names in self._pairs.items()}

    def assemble(self, names: PairNames, contents: Mapping[str, bytes]) -> PolicyPair | UnusablePair:
        """Make a pair of the contents that are given and, for the rest, of what is on disk."""
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
    """Read a policy or reference as it is shipped, by its name in `ACTIVE_PAIRS`."""
    return files("verdictd.policy").joinpath("shipped", name).read_bytes()
