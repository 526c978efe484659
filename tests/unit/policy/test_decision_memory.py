"""Decisions that are remembered: made by the policy, certain to come out the same again, and not too many."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given as having
from hypothesis import strategies as st

from tests.unit.policy.rego import V1, check
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.decision_memory import ENTRY_BYTES, DecisionMemory, decision_key
from verdictd.policy.engine import RegorusEngine
from verdictd.policy.json_document import encode_input
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.rego.builtins import ALLOWED, REPEATABLE
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.worker import PolicyWorker

POLICY = V1 + "allow if input.x == data.x\n"
UNREPEATABLE = {
    "time.add_date": "time.add_date(0, 0, 0, 1)",
    "time.clock": 'time.clock([0, "Local"])',
    "time.date": 'time.date([0, "Local"])',
    "time.diff": "time.diff(0, 1)",
    "time.parse_ns": 'time.parse_ns("2006-01-02", "2024-01-01")',
    "time.weekday": "time.weekday(0)",
    "trace": 'trace("x")',
}


class Asked:
    """A runner with a memory, and how often a worker was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, deadline_s: float = 20.0) -> None:
        self.memory = DecisionMemory()
        self.runner = PolicyRunner(workers=1, deadline_s=deadline_s, wait_s=20.0, memory=self.memory)
        self.times = 0
        ask = self.runner._ask

        def count(pair: PolicyPair, text: bytes) -> tuple[bytes, ...]:
            self.times += 1
            return ask(pair, text)

        monkeypatch.setattr(self.runner, "_ask", count)

    def make(self, policy: str, reference: str = '{"x": 1}') -> PolicyPair:
        return self.runner.make_pair(Document.of("p", policy.encode()), Document.of("r", reference.encode()))

    def decide(self, pair: PolicyPair, given: dict[str, JSONValue]) -> Decision:
        return self.runner.evaluate(pair, given)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def without_duration(decision: Decision) -> Decision:
    return replace(decision, duration_s=0.0)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("allow if input.x == data.x", Outcome.ALLOWED),
        ("allow if input.x == data.y", Outcome.REFUSED),
        ('allow := "yes" if input.x == 1', Outcome.NOT_TRUE),
        ("allow := [input.y] if input.x == 1", Outcome.NOT_TRUE),
    ],
)
def test_what_a_policy_decided_is_remembered_and_equal(asked: Asked, rule: str, outcome: Outcome) -> None:
    with asked.runner:
        pair = asked.make(f"{V1}{rule}\n")
        given: dict[str, JSONValue] = {"x": 1, "y": {"list": ["ü", None, 1.5]}}
        decisions = [asked.decide(pair, given) for _ in range(3)]
    assert decisions[0].outcome is outcome
    assert {asked.times, len(asked.memory)} == {1}
    assert without_duration(decisions[0]) == without_duration(decisions[1]) == without_duration(decisions[2])
    assert [decision.duration_s > 0 for decision in decisions] == [True] * 3


def test_undefined_is_remembered_as_undefined(asked: Asked) -> None:
    with asked.runner:
        pair = asked.make("package policy\nallow { input.x == 2 }\n")
        decisions = [without_duration(asked.decide(pair, {"x": 1})) for _ in range(2)]
    assert asked.times == 1
    assert decisions[0] == decisions[1]
    assert decisions[0].outcome is Outcome.UNDEFINED


def test_remembered_value_is_nobodys_to_change(asked: Asked) -> None:
    with asked.runner:
        pair = asked.make("package policy\nallow = [1]\n")
        first = asked.decide(pair, {})
        assert isinstance(first.value, list)
        first.value.append(2)
        assert asked.decide(pair, {}).value == [1]


def test_any_other_question_is_asked(asked: Asked) -> None:
    """Each difference alone: the policy, the reference, and each field of the input down to a type."""
    with asked.runner:
        pair = asked.make(POLICY)
        given: dict[str, JSONValue] = {"x": 1, "y": {"z": [1, "a"]}}
        changes: list[dict[str, JSONValue]] = [
            {"x": 2},
            {"x": True},
            {"x": 1.0},
            {"x": "1"},
            {"w": None},
            {"y": None},
            {"y": {"z": [1, "b"]}},
            {"y": {"z": ["a", 1]}},
            {"y": {"z": [1, "a", []]}},
            {"y": {"w": [1, "a"]}},
        ]
        others = [(asked.make(POLICY + "#"), given), (asked.make(POLICY, '{"x":  1}'), given)]
        others += [(pair, given | change) for change in changes]
        for place, (other, changed) in enumerate([(pair, given), *others], start=1):
            decision = asked.decide(other, changed)
            assert asked.times == place, changed
            assert decision.policy_digest == other.policy.digest
            assert decision.reference_digest == other.reference.digest
            assert decision.allow is (changed["x"] == 1 and changed["x"] is not True)


def test_removed_value_of_the_reference_is_seen_at_once(asked: Asked) -> None:
    with asked.runner:
        before, after = asked.make(POLICY), asked.make(POLICY, '{"x": 2}')
        assert [asked.decide(pair, {"x": 1}).allow for pair in (before, after, before, after)] == [True, False] * 2
    assert asked.times == 2


@pytest.mark.parametrize("name", sorted(ALLOWED.keys() - REPEATABLE.keys()))
def test_policy_that_calls_what_may_answer_otherwise_is_asked_each_time(asked: Asked, name: str) -> None:
    call = UNREPEATABLE[name]
    bodies = (f"allow if {call} == input.x\n", f"f(x) := [y | y := {call}]\nallow if input.x\n")
    with asked.runner:
        for body in bodies:
            pair = asked.make(V1 + body)
            assert not pair.is_repeatable
            assert asked.decide(pair, {}).outcome.is_decided
            assert asked.decide(pair, {}).outcome.is_decided
    assert asked.times == 4
    assert len(asked.memory) == 0


def test_time_zone_of_the_environment_shows_in_what_is_not_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why these functions are not: here is one that answers by the environment."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    prepared = RegorusEngine().prepare('package policy\nallow = time.clock([0, "Local"])', check(POLICY).dialect, "{}")
    assert "9" in prepared.evaluate("{}")


@pytest.mark.parametrize("name", sorted(REPEATABLE))
def test_policy_that_calls_only_what_is_repeatable_is_repeatable(name: str) -> None:
    arguments = ", ".join(["input.x"] * REPEATABLE[name])
    checked = check(f"{V1}allow if {name}({arguments})\n")
    assert checked.report.functions_called == (name,)
    assert checked.report.is_repeatable


def test_own_function_of_a_name_is_not_the_built_in_one() -> None:
    checked = check(V1 + "trace(x) := x\nallow if trace(input.x)\n")
    assert checked.report.functions_called == ()
    assert checked.report.is_repeatable


@pytest.mark.parametrize(
    "rule",
    [
        "allow if {call} > 1",
        "allow := {call}",
        "allow if not {call}",
        "allow if [x | x := {call}] == []",
        "allow if every x in [{call}] {{ x == 1 }}",
        "allow if every x in [1] {{ x == {call} }}",
        "allow if input.x[{call}]",
        "allow if f(1) == 1\nf(x) := {call}",
        "allow if input.x == 1\nunused := {call}",
        "allow := 1 if input.x else := {call}",
        'allow if count([{call}]) == 1 with input.x as "y"',
        "allow if {{{call}: 1}} == {{}}",
        "r contains {call}\nallow if input.x",
        "r[{call}] := 1\nallow if input.x",
    ],
)
def test_call_is_found_wherever_it_stands(rule: str) -> None:
    text = V1 + rule.format(call="time.diff(0, 1)") + "\n"
    assert not check(text).report.is_repeatable
    assert check(text.replace("time.diff(0, 1)", "numbers.range(0, 1)")).report.is_repeatable


def test_worker_reports_what_the_check_found() -> None:
    worker = PolicyWorker(RegorusEngine())
    for call, expected in (("count(input)", b"true"), ("time.weekday(0)", b"false")):
        _, report = worker.answer(b"check", (f"{V1}allow if {call}\n".encode(),))
        assert b'"is_repeatable": ' + expected in report


SLOW = V1 + "n := numbers.range(1, input.n)\nallow if count([1 | some x in n; some y in n; x + y == 0]) == 0\n"


def test_what_did_not_decide_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, deadline_s=0.5)
    with asked.runner:
        slow = asked.make(SLOW)
        failing = asked.make("package policy\nallow = to_number(input.x)\n")
        assert asked.decide(slow, {"n": 100_000}).outcome is Outcome.TIMEOUT
        assert asked.decide(failing, {"x": "a"}).outcome is Outcome.FAILED
        assert asked.decide(failing, {"x": "y" * 2**20}).outcome is Outcome.FAILED
        assert asked.decide(failing, {"x": 2**64}).outcome is Outcome.FAILED
        assert len(asked.memory) == 0
        busy = PolicyRunner(workers=1, wait_s=0.01, memory=asked.memory)
        with busy, busy._pool.borrow():
            assert busy.evaluate(failing, {"x": "1"}).outcome is Outcome.BUSY
        dead = PolicyRunner(workers=1, memory=asked.memory)
        monkeypatch.setattr("sys.executable", "/bin/false")
        with dead:
            assert dead.evaluate(failing, {"x": "1"}).outcome is Outcome.CRASHED
    assert len(asked.memory) == 0


@pytest.mark.parametrize("answer", [(b"{",), (b"",), (b"\xff",)])
def test_answer_that_is_none_denies_and_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[bytes, ...]
) -> None:
    asked = Asked(monkeypatch)
    with asked.runner:
        pair = asked.make(POLICY)
        monkeypatch.setattr(asked.runner, "_ask", lambda *_: answer)
        decision = asked.decide(pair, {"x": 1})
    assert (decision.allow, decision.outcome) == (False, Outcome.CRASHED)
    assert len(asked.memory) == 0


def test_without_a_memory_each_decision_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    asked.runner._memory = None
    with asked.runner:
        pair = asked.make(POLICY)
        assert [asked.decide(pair, {"x": 1}).allow for _ in range(2)] == [True, True]
    assert asked.times == 2


def test_oldest_goes_where_there_are_too_many() -> None:
    memory = DecisionMemory(max_entries=3)
    for number in range(3):
        memory.remember(bytes([number]), (b"true",))
    assert memory.recall(b"\0") == (b"true",)
    memory.remember(b"\3", ())
    assert [memory.recall(bytes([number])) for number in range(4)] == [(b"true",), None, (b"true",), ()]


def test_oldest_goes_where_they_are_too_large() -> None:
    memory = DecisionMemory(max_bytes=2 * ENTRY_BYTES + 10)
    memory.remember(b"a", (b"x" * 5,))
    memory.remember(b"b", (b"x" * 5,))
    assert len(memory) == 2
    memory.remember(b"b", (b"x" * 6,))
    assert (memory.recall(b"a"), memory.recall(b"b")) == (None, (b"x" * 6,))
    assert memory.size == ENTRY_BYTES + 6
    memory.remember(b"c", (b"x" * (ENTRY_BYTES + 11),))
    assert memory.recall(b"c") is None
    assert memory.recall(b"b") is not None
    memory.remember(b"c", (b"x" * (ENTRY_BYTES + 10),))
    assert (memory.recall(b"b"), len(memory)) == (None, 1)


@having(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_bounds_hold_whatever_is_remembered(entries: list[tuple[int, int]]) -> None:
    memory = DecisionMemory(max_entries=4, max_bytes=3 * ENTRY_BYTES + 50)
    for key, length in entries:
        memory.remember(bytes([key]), (b"x" * length,))
        assert memory.recall(bytes([key])) == (b"x" * length,)
        assert len(memory) <= 4
        held = [answer for answer in map(memory.recall, map(bytes, ([item] for item in range(10)))) if answer]
        assert memory.size == sum(ENTRY_BYTES + len(answer[0]) for answer in held) <= 3 * ENTRY_BYTES + 50


def test_threads_find_their_own_answers() -> None:
    memory = DecisionMemory(max_entries=16)
    wrong: list[bytes] = []

    def use(place: int) -> None:
        for number in range(3000):
            key = bytes([(number * 7 + place) % 40])
            answer = memory.recall(key)
            if answer is not None and answer != (key,):
                wrong.append(key)
            memory.remember(key, (key,))

    threads = [threading.Thread(target=use, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(memory) == 16
    assert memory.size == 16 * (ENTRY_BYTES + 1)


def test_key_tells_policy_from_reference() -> None:
    one, other = Document.of("p", b"{}"), Document.of("r", b'{"a": 1}')
    pairs = [
        PolicyPair(policy=first, reference=second, values={}, members_read=())
        for first, second in ((one, other), (other, one))
    ]
    text = encode_input({"x": 1})
    assert len({decision_key(pair, text) for pair in pairs}) == 2
    assert len(decision_key(pairs[0], text)) == 96
