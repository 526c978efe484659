"""The process in which policies are parsed, checked and evaluated: ``python -m verdictd.policy.worker``.

The engine is native code that cannot be told to give up and that a hostile policy may make loop, exhaust memory or
crash. So it runs here, one request at a time, and the daemon kills the process when time is up. The process

- reads requests from standard input and answers on standard output, and holds nothing else of its parent;
- ends when standard input ends, that is, when its parent does;
- is ended by its own timer where a request takes longer than its limit and a grace, should its parent be gone;
- may not use more memory than it was given, write files, open more than a few, or leave a core dump of evidence.

It never evaluates a policy that it has not checked itself.
"""

import json
import os
import resource
import signal
import sys
from collections import OrderedDict

from verdictd.core.errors import MalformedError, PolicyError, VerdictdError
from verdictd.policy.engine import EngineFailedError, PreparedPolicy, RegoEngine, RegorusEngine
from verdictd.policy.pair import Document, parse_reference
from verdictd.policy.policy_check import CheckedPolicy, check_policy
from verdictd.policy.protocol import Operation, Status, encode_message, read_message
from verdictd.policy.rego.rules import DECISION

_MAX_PAIRS = 4
_MAX_VALUE_BYTES = 64 * 1024
_MAX_FILES = 16
_GRACE_S = 2.0
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_RECURSION_LIMIT = 5000
"""Python's reader of JSON goes one deeper for each level of a syntax tree, which has several for an expression."""


class PolicyWorker:
    """Answers requests. Belongs to the thread that made it, as its engine does."""

    def __init__(self, engine: RegoEngine) -> None:
        self._engine = engine
        self._pairs: OrderedDict[bytes, PreparedPolicy] = OrderedDict()

    def answer(self, operation: bytes, arguments: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Answer one request.

        Returns:
            A status and what belongs to it.
        Raises:
            EngineFailedError: the engine panicked; this worker must not be asked again.
        """
        try:
            match Operation(operation), arguments:
                case Operation.CHECK, (policy,):
                    return Status.OK.value, _encode_report(check_policy(policy, self._engine))
                case Operation.LOAD, (key, policy, reference):
                    return self._load(key, policy, reference)
                case Operation.DECIDE, (key, given):
                    return self._decide(key, given)
                case _:
                    raise MalformedError(f"a request to {operation!r} with {len(arguments)} arguments")
        except VerdictdError as error:
            what = type(error).__name__, error.message, error.remedy
            return Status.REFUSED.value, *(text.encode("utf-8", "replace") for text in what)

    def _load(self, key: bytes, policy: bytes, reference: bytes) -> tuple[bytes, ...]:
        if bytes.fromhex(Document.of("", policy).digest + Document.of("", reference).digest) != key:
            raise MalformedError("a policy and a reference came under the key of others")
        checked = check_policy(policy, self._engine)
        parse_reference(reference)
        self._pairs[key] = self._engine.prepare(checked.text, checked.dialect, reference.decode("utf-8"))
        while len(self._pairs) > _MAX_PAIRS:
            self._pairs.popitem(last=False)
        return Status.OK.value, _encode_report(checked)

    def _decide(self, key: bytes, given: bytes) -> tuple[bytes, ...]:
        prepared = self._pairs.get(key)
        if prepared is None:
            return (Status.UNKNOWN_PAIR.value,)
        self._pairs.move_to_end(key)
        rules = _read_rules(prepared.evaluate(given.decode("utf-8")))
        if DECISION not in rules:
            return (Status.OK.value,)
        value = _ENCODER.encode(rules[DECISION]).encode("utf-8", "replace")
        if len(value) > _MAX_VALUE_BYTES:
            raise PolicyError(f"the value of {DECISION} has {len(value)} bytes, the limit is {_MAX_VALUE_BYTES}")
        return Status.OK.value, value


def _read_rules(result: str) -> dict[str, object]:
    """The values of all rules, from the engine's answer to the query for the package."""
    try:
        ((_, rows),) = json.loads(result).items()
        (row,) = rows
        (expression,) = row["expressions"]
        rules = expression["value"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PolicyError(f"the engine gave no values: {error!r}") from error
    if not isinstance(rules, dict):
        raise PolicyError("the engine gave no values")
    return rules


def _encode_report(checked: CheckedPolicy) -> bytes:
    report = checked.report
    members = {
        "dialect": checked.dialect.value,
        "rules": report.rules,
        "members_read": report.members_read,
        "is_repeatable": report.is_repeatable,
    }
    return json.dumps(members).encode("utf-8")


def _confine(memory_bytes: int) -> None:
    """Give up what a worker does not need. The limits hold for native code as well."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_FILES, _MAX_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    sys.setrecursionlimit(_RECURSION_LIMIT)


def _serve(worker: PolicyWorker, answers: int) -> None:
    while (request := read_message(sys.stdin.buffer.read)) is not None:
        number, operation, limit_ms, *arguments = request
        signal.setitimer(signal.ITIMER_REAL, int.from_bytes(limit_ms, "little") / 1000 + _GRACE_S)
        try:
            answer = worker.answer(operation, tuple(arguments))
        except EngineFailedError as error:
            _write(answers, encode_message(number, Status.PANICKED.value, str(error).encode("utf-8", "replace")))
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answers, encode_message(number, *answer))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> None:
    """Serve until standard input ends. The only argument is the memory limit in bytes."""
    answers = os.dup(1)
    worker = PolicyWorker(RegorusEngine())
    # What the engine prints, it prints into the void: it may quote evidence. An import that failed was still told.
    void = os.open(os.devnull, os.O_RDWR)
    os.dup2(void, 1)
    os.dup2(void, 2)
    os.close(void)
    _confine(int(sys.argv[1]))
    _write(answers, encode_message(b"", Status.READY.value))
    _serve(worker, answers)


if __name__ == "__main__":
    main()
