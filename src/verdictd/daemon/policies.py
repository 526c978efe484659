"""The policies of a verdictd: kept and checked in the supervisor, and decided under in each worker."""

from collections.abc import Callable, Mapping
from pathlib import Path

from verdictd.core.result import JSONValue
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.policy.active import ActivePairs, PairBoard, UnusablePair
from verdictd.policy.decision import Decision
from verdictd.policy.decision_memory import DecisionMemory
from verdictd.policy.pair import PolicyPair
from verdictd.policy.pair_files import ACTIVE_PAIRS
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
        self.store = PolicyStore(data_dir / "opa", self.runner, on_change=on_change)

    def open(self) -> tuple[UnusablePair, ...]:
        """Start the process that checks, write the shipped files where they are missing, and read all.

        Raises:
            ConfigError: the data directory cannot be used.
            TransportError: the process does not start.
        """
        self.runner.start()
        return self.store.open()

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
        for tee, names in ACTIVE_PAIRS.items():
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

    def decide(self, given: dict[str, JSONValue]) -> Decision:
        """Decide about the input made of SGX evidence."""
        return self._service.decide(TEE, given)

    def pair(self) -> PolicyPair | None:
        """What is in force for SGX evidence; ``None`` where it cannot be used."""
        pair = self.board.active(TEE)
        return pair if isinstance(pair, PolicyPair) else None

    def still_holds(self, decision: Decision) -> bool:
        """Whether a decision was made under what is in force now."""
        return self._service.still_holds(TEE, decision)

    def is_open(self) -> bool:
        """Whether the reference values in force are the shipped, empty ones, which let in any enclave."""
        return is_open(self.board)


def is_open(pairs: ActivePairs) -> bool:
    """Whether the reference values in force for SGX evidence are as open as the shipped ones."""
    pair = pairs.active(TEE)
    return isinstance(pair, PolicyPair) and pair.admits_any_enclave
