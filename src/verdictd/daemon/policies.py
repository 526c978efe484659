"""The policies of a running daemon: their workers, their store, and the decisions under what is in force."""

from pathlib import Path

from verdictd.core.result import JSONValue
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.policy.decision import Decision
from verdictd.policy.pair import PolicyPair
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import DecisionService
from verdictd.policy.store import ACTIVE_PAIRS, PolicyStore, UnusablePair
from verdictd.tees.sgx_ecdsa.verifier import TEE

WORKERS = 2


class Policies:
    """Starts what evaluates policies, and answers for the one kind of evidence that is judged."""

    def __init__(self, data_dir: Path) -> None:
        self.runner = PolicyRunner(workers=WORKERS)
        self.store = PolicyStore(data_dir / "opa", self.runner)
        self._decisions = DecisionService(self.store, self.runner)

    def open(self) -> tuple[UnusablePair, ...]:
        """Start the workers, write the shipped files where they are missing, and read all.

        Raises:
            ConfigError: the data directory cannot be used.
            TransportError: no worker starts.
        """
        self.runner.start()
        return self.store.open()

    def close(self) -> None:
        """End the workers."""
        self.runner.close()

    def decide(self, given: dict[str, JSONValue]) -> Decision:
        """Decide about the input made of SGX evidence."""
        return self._decisions.decide(TEE, given)

    def still_holds(self, decision: Decision) -> bool:
        """Whether a decision was made under what is in force now."""
        return self._decisions.still_holds(TEE, decision)

    def is_open(self) -> bool:
        """Whether the reference values in force are the shipped, empty ones, which let in any enclave."""
        pair = self.store.active(TEE)
        return isinstance(pair, PolicyPair) and pair.admits_any_enclave

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
