"""The policies of a verdictd: kept and checked in the supervisor, and decided under in each worker."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from verdictd.appraisal.installed_tees import installed_tees, load_tee
from verdictd.core.result import JSONValue
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.policy.active import ActivePairs, PairBoard, UnusablePair
from verdictd.policy.decision import Decision
from verdictd.policy.decision_memory import DecisionMemory
from verdictd.policy.pair import PolicyPair
from verdictd.policy.pair_files import ACTIVE_PAIRS, load_shipped, name_pair
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import DecisionService
from verdictd.policy.store import PolicyStore
from verdictd.tees.sgx_ecdsa.verifier import TEE

Pairs = Mapping[str, PolicyPair | UnusablePair]


class Policies:
    """The supervisor's side: the files, and what is in force. It checks uploads, and decides nothing about peers."""

    def __init__(self, data_dir: Path, on_change: Callable[[Pairs], None] | None = None) -> None:
        """Make it; `open` it before use.

        Args:
            data_dir: the daemon's.
            on_change: told of all the pairs in force, before the upload that changed one of them returns.
        """
        self.runner = PolicyRunner(workers=1)
        pairs = {**ACTIVE_PAIRS, **{kind: name_pair(kind) for kind in installed_tees()}}
        self.store = PolicyStore(data_dir / "opa", self.runner, on_change=on_change, pairs=pairs, shipped=_load_shipped)

    def open(self, kinds: Iterable[str] = ()) -> tuple[UnusablePair, ...]:
        """Start the process that checks, write the shipped files where they are missing, and read all.

        Args:
            kinds: of evidence whose shipped files are written, beside those of the original.
        Raises:
            ConfigError: the data directory cannot be used.
            TransportError: the process does not start.
        """
        self.runner.start()
        return self.store.open(kinds)

    def close(self) -> None:
        """End the process."""
        self.runner.close()

    def is_open(self) -> bool:
        """Whether the reference values in force are the shipped, empty ones, which let in any enclave."""
        return is_open(self.store)

    def problem(self) -> str | None:
        """Why nothing can be decided about SGX evidence; ``None`` where it can."""
        pair = self.store.active(TEE)
        return None if isinstance(pair, PolicyPair) else f"{pair.reason}; {pair.remedy}"

    def describe(self, problem_if_open: str) -> list[messages.PolicyPair]:
        """Describe what judges each kind of evidence, as far as anything is there."""
        described = []
        for tee, names in self.store.pairs.items():
            pair = self.store.active(tee)
            message = messages.PolicyPair(tee=tee, policy_name=names.policy, reference_name=names.reference)
            if isinstance(pair, PolicyPair):
                message.policy_digest, message.reference_digest = pair.policy.digest, pair.reference.digest
                message.problem = problem_if_open if pair.admits_any_enclave else ""
            else:
                message.problem = f"{pair.reason}; {pair.remedy}"
            if tee == TEE or isinstance(pair, PolicyPair):
                described.append(message)
        return described


class Decisions:
    """A worker's side: what the supervisor put in force, and the process that evaluates it."""

    def __init__(self) -> None:
        self.board = PairBoard()
        self._runner = PolicyRunner(workers=1, memory=DecisionMemory())
        self._service = DecisionService(self.board, self._runner)

    def start(self) -> None:
        """Start the process that evaluates.

        Raises:
            TransportError: it does not start.
        """
        self._runner.start()

    def close(self) -> None:
        """End it."""
        self._runner.close()

    def decide(self, tee: str, given: dict[str, JSONValue]) -> Decision:
        """Decide about the input made of a kind of evidence."""
        return self._service.decide(tee, given)

    def pair(self, tee: str) -> PolicyPair | None:
        """What is in force for a kind of evidence; ``None`` where it cannot be used."""
        try:
            pair = self.board.active(tee)
        except KeyError:  # nothing judges such evidence
            return None
        return pair if isinstance(pair, PolicyPair) else None

    def still_holds(self, tee: str, decision: Decision) -> bool:
        """Whether a decision about a kind of evidence was made under what is in force now."""
        return self._service.still_holds(tee, decision)

    def is_open(self, tee: str) -> bool:
        """Whether the reference values in force for a kind of evidence let in any enclave, as SGX's shipped ones."""
        return tee == TEE and is_open(self.board)


def load_shipped_policy(kind: str) -> bytes:
    """The policy that is shipped for a kind of evidence, here or by an installed package."""
    return _load_shipped(name_pair(kind).policy)


def _load_shipped(name: str) -> bytes:
    """A policy or reference as it is shipped here, or by the installed package whose TEE it judges."""
    for kind in installed_tees():
        names = name_pair(kind)
        if name == names.policy:
            return load_tee(kind).policy
        if name == names.reference:
            return load_tee(kind).reference
    return load_shipped(name)


def is_open(pairs: ActivePairs) -> bool:
    """Whether the reference values in force for SGX evidence are as open as the shipped ones."""
    pair = pairs.active(TEE)
    return isinstance(pair, PolicyPair) and pair.admits_any_enclave
