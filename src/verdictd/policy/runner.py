"""Checks and evaluates policies in worker processes, with a deadline, for any number of threads.

A request is given to one worker, which has no other at that time. A worker that does not answer in time is killed; only
the request it had is lost, and denied. Requests that wait are given to the next free worker, or to the replacement.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from verdictd.core.errors import (
    LimitExceededError,
    MalformedError,
    PolicyError,
    UnsupportedError,
    VerdictdError,
)
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome, judge, judge_value
from verdictd.policy.decision_memory import Answer, DecisionMemory, decision_key
from verdictd.policy.json_document import encode_input
from verdictd.policy.pair import Document, PolicyPair, parse_reference
from verdictd.policy.protocol import MAX_INPUT_BYTES, Operation, Status
from verdictd.policy.worker_pool import NoWorkerError, WorkerPool
from verdictd.policy.worker_process import WorkerLostError, WorkerTimeoutError

DEADLINE_S = 2.0
"""How long a decision may take."""
CHECK_DEADLINE_S = 10.0
"""How long the check of an upload may take."""
WAIT_S = 10.0
"""How long a request may wait for a free worker."""

_ERRORS: Mapping[str, type[VerdictdError]] = {
    error.__name__: error for error in (LimitExceededError, MalformedError, PolicyError, UnsupportedError)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """What a check found out about a policy that passed it.

    Attributes:
        dialect: ``v0`` or ``v1``, the version of Rego it is written in.
        rules: the names it defines.
        members_read: the members of the reference that it reads.
        is_repeatable: whether it calls nothing that may depend on time, chance or environment.
    """

    dialect: str
    rules: tuple[str, ...]
    members_read: tuple[str, ...]
    is_repeatable: bool


class PolicyRunner:
    """A fixed number of workers. Its methods may be called from any thread.

    Trust: policies, references and inputs may be hostile. A policy that was not checked cannot be evaluated: a worker
    checks what it loads.

    Requests wait for one another where there are more than workers. So checks of uploads, which are rare and must not
    wait for the decisions of a busy daemon, want a runner of their own: give one to `PolicyStore`, another to
    `DecisionService`. An idle worker costs memory and nothing else.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline_s: float = DEADLINE_S,
        wait_s: float = WAIT_S,
        memory: DecisionMemory | None = None,
    ) -> None:
        """Make a runner that has no workers yet; they start when first needed, or all at once with `start`.

        Args:
            workers: how many policies can be evaluated at the same time.
            deadline_s: how long a decision may take.
            wait_s: how long a request may wait for a free worker.
            memory: keeps what repeatable policies decided; without it every decision is asked of a worker.
        """
        if workers < 1:
            raise ValueError(f"{workers} policy workers, expected at least 1")
        self._deadline_s = deadline_s
        self._memory = memory
        self._pool = WorkerPool(workers, wait_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start all workers and wait until they are ready. To be called before anything else uses the runner.

        Raises:
            WorkerLostError: one does not start, for example because the engine is not installed.
        """
        self._pool.start()

    def close(self) -> None:
        """End all workers, after the requests that they have."""
        self._pool.close(CHECK_DEADLINE_S + self._deadline_s)

    def check_policy(self, policy: bytes) -> PolicyReport:
        """Check a policy.

        Raises:
            MalformedError, PolicyError, UnsupportedError, LimitExceededError: it must not be used. The last one also
                where the check takes too long.
            TransportError: no worker could check it.
        """
        return self._check(Operation.CHECK, policy)

    def make_pair(self, policy: Document, reference: Document) -> PolicyPair:
        """Check a policy and a reference, each by itself and that the engine takes them together.

        Raises:
            MalformedError, PolicyError, UnsupportedError, LimitExceededError: one of them must not be used.
            TransportError: no worker could check them.
        """
        values = parse_reference(reference.content, reference.name)
        key = bytes.fromhex(policy.digest + reference.digest)
        report = self._check(Operation.LOAD, key, policy.content, reference.content)
        return PolicyPair(
            policy=policy,
            reference=reference,
            values=values,
            members_read=report.members_read,
            is_repeatable=report.is_repeatable,
        )

    def evaluate(self, pair: PolicyPair, given: Mapping[str, JSONValue], *, asked_at: float | None = None) -> Decision:
        """Decide about an input. Whatever goes wrong, the answer is a decision, which then denies and says why.

        Args:
            pair: under what.
            given: the input.
            asked_at: when the question was asked, on the monotonic clock, if earlier than now; for the duration.
        Raises:
            TypeError, ValueError: the input is not JSON; a mistake of the caller.
        """
        started = time.monotonic() if asked_at is None else asked_at
        try:
            outcome, detail, value = self._evaluate(pair, encode_input(given))
        except LimitExceededError as error:
            outcome, detail, value = Outcome.FAILED, error.message, None
        return judge(outcome, detail, value, pair, given, duration_s=time.monotonic() - started)

    def _evaluate(self, pair: PolicyPair, text: bytes) -> tuple[Outcome, str, JSONValue]:
        if len(text) > MAX_INPUT_BYTES:
            return Outcome.FAILED, f"the input is {len(text)} bytes long, the limit is {MAX_INPUT_BYTES}", None
        try:
            outcome, value = self._recall(pair, text)
        except WorkerTimeoutError:
            return Outcome.TIMEOUT, f"the decision took longer than {self._deadline_s} s and was cut off", None
        except NoWorkerError as error:
            return Outcome.BUSY, error.message, None
        except WorkerLostError as error:
            return Outcome.CRASHED, error.message, None
        except VerdictdError as error:
            return Outcome.FAILED, error.message, None
        return outcome, "", value

    def _recall(self, pair: PolicyPair, text: bytes) -> tuple[Outcome, JSONValue]:
        """What the policy decided, remembered or anew; an error where it did not decide."""
        if self._memory is None or not pair.is_repeatable:
            return _read_answer(self._ask(pair, text))
        key = decision_key(pair, text)
        remembered = self._memory.recall(key)
        if remembered is not None:
            return _read_answer(remembered)
        answer = self._ask(pair, text)
        decided = _read_answer(answer)
        self._memory.remember(key, answer)
        return decided

    def _ask(self, pair: PolicyPair, text: bytes) -> Answer:
        with self._pool.borrow() as worker:
            deadline = time.monotonic() + self._deadline_s
            status, parts = worker.ask(Operation.DECIDE, pair.key, text, deadline=deadline)
            if status is Status.UNKNOWN_PAIR:
                arguments = pair.key, pair.policy.content, pair.reference.content
                _expect_ok(*worker.ask(Operation.LOAD, *arguments, deadline=deadline))
                status, parts = worker.ask(Operation.DECIDE, pair.key, text, deadline=deadline)
            return _expect_ok(status, parts)

    def _check(self, operation: Operation, *arguments: bytes) -> PolicyReport:
        try:
            with self._pool.borrow() as worker:
                deadline = time.monotonic() + CHECK_DEADLINE_S
                (report,) = _expect_ok(*worker.ask(operation, *arguments, deadline=deadline))
        except WorkerTimeoutError as error:
            raise LimitExceededError(
                f"the check of the policy took longer than {CHECK_DEADLINE_S} s", remedy="make it smaller"
            ) from error
        members = json.loads(report)
        return PolicyReport(
            dialect=members["dialect"],
            rules=tuple(members["rules"]),
            members_read=tuple(members["members_read"]),
            is_repeatable=members["is_repeatable"] is True,
        )


def _read_answer(answer: Answer) -> tuple[Outcome, JSONValue]:
    try:
        value: JSONValue = json.loads(answer[0]) if answer else None
    except ValueError as error:
        raise WorkerLostError("a policy worker answered with something else than JSON") from error
    return judge_value(is_defined=bool(answer), value=value), value


def _expect_ok(status: Status, parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if status is Status.OK:
        return parts
    if status is Status.REFUSED:
        name, message, remedy = (part.decode("utf-8") for part in parts)
        raise _ERRORS.get(name, PolicyError)(message, remedy=remedy)
    if status is Status.PANICKED:
        raise WorkerLostError(parts[0].decode("utf-8"))
    raise WorkerLostError(f"a policy worker answered {status.name}")
