import os
import signal
import statistics
import threading
import time

import pytest

from tests.unit.policy.rego import V0, V1
from verdictd.core.errors import LimitExceededError, MalformedError, PolicyError
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision, Outcome
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.protocol import MAX_INPUT_BYTES
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import evaluate_once
from verdictd.policy.worker_process import WorkerLostError

SLOW = V1 + "n := numbers.range(1, input.n)\nallow if count([1 | some x in n; some y in n; x + y == 0]) == 0\n"
QUICK = V1 + "allow if input.x == data.x\n"


def make(runner: PolicyRunner, policy: str, reference: str = "{}") -> PolicyPair:
    return runner.make_pair(Document.of("p.rego", policy.encode()), Document.of("data", reference.encode()))


def test_decides_and_explains(runner: PolicyRunner) -> None:
    pair = make(runner, QUICK, '{"x": [1]}')
    assert pair.members_read == ("x",)
    decision = runner.evaluate(pair, {"x": [1]})
    assert (decision.allow, decision.value, decision.outcome) == (True, True, Outcome.ALLOWED)
    decision = runner.evaluate(pair, {"x": 1, "y": "z"})
    assert (decision.allow, decision.value, decision.outcome) == (False, False, Outcome.REFUSED)
    assert decision.parse_info == {"x": (1, [1]), "y": ("z", None)}
    assert 0 < decision.duration_s < 10


@pytest.mark.parametrize(
    ("rule", "given", "expected", "reason"),
    [
        ("allow if input.x == 1", {"x": 2}, (Outcome.UNDEFINED, None), "allow is undefined, expected true"),
        ("allow if input.x == 1", {}, (Outcome.UNDEFINED, None), "allow is undefined, expected true"),
        ("allow := input.x", {"x": "yes"}, (Outcome.NOT_TRUE, "yes"), 'allow is "yes", expected true'),
        ("allow := {true}", {}, (Outcome.NOT_TRUE, [True]), "allow is [true], expected true"),
        ("allow := 1", {}, (Outcome.NOT_TRUE, 1), "allow is 1, expected true"),
        ("allow := null", {}, (Outcome.NOT_TRUE, None), "allow is null, expected true"),
        ("allow := to_number(input.x) == 1", {"x": "a"}, (Outcome.FAILED, None), "could not parse string as number"),
        ("allow := true\n\nb := x if some x in [1, 2]", {}, (Outcome.FAILED, None), "multiple outputs"),
        ("allow := true", {"x": "y" * MAX_INPUT_BYTES}, (Outcome.FAILED, None), "the limit is 1048576"),
        ("allow := true", {"x": 2**64}, (Outcome.FAILED, None), "more than 64 bits"),
        ("allow := true", {"x": "\ud800"}, (Outcome.FAILED, None), "the policy cannot be evaluated"),
    ],
)
def test_only_true_allows(
    runner: PolicyRunner, rule: str, given: dict[str, JSONValue], expected: tuple[Outcome, JSONValue], reason: str
) -> None:
    decision = runner.evaluate(make(runner, f"package policy\nimport rego.v1\n{rule}\n"), given)
    assert (decision.allow, decision.outcome, decision.value) == (False, *expected)
    assert reason in decision.reason


def test_refusals_of_policies_and_references_keep_their_kind(runner: PolicyRunner) -> None:
    with pytest.raises(PolicyError, match="line 2, column 10: the function nosuch is not known; see docs"):
        runner.check_policy(b"package policy\nallow := nosuch(1)\n")
    with pytest.raises(MalformedError, match="line 3, column 1: expecting expression"):
        runner.check_policy(b"package policy\nallow := \n")
    with pytest.raises(LimitExceededError, match="the limit is 1048576"):
        runner.check_policy(b"#" * 1_100_000)
    with pytest.raises(PolicyError, match="a member policy"):
        make(runner, QUICK, '{"policy": 1}')
    with pytest.raises(MalformedError, match="data is not a JSON object"):
        make(runner, QUICK, "[]")
    report = runner.check_policy(QUICK.encode())
    assert (report.dialect, report.rules, report.members_read) == ("v1", ("allow",), ("x",))


def test_too_long_is_denied_and_the_next_decision_works() -> None:
    with PolicyRunner(workers=1, deadline_s=0.3) as runner:
        quick, slow = make(runner, QUICK, '{"x": 1}'), make(runner, SLOW)
        assert runner.evaluate(slow, {"n": 10}).allow
        decision = runner.evaluate(slow, {"n": 100_000})
        assert (decision.allow, decision.outcome) == (False, Outcome.TIMEOUT)
        assert "took longer than 0.3 s and was cut off" in decision.reason
        assert 0.3 <= decision.duration_s < 5
        assert runner.evaluate(quick, {"x": 1}).allow


def test_who_waits_behind_a_runaway_gets_the_own_answer() -> None:
    with PolicyRunner(workers=1, deadline_s=0.5) as runner:
        slow = make(runner, SLOW)
        pairs = [make(runner, QUICK, f'{{"x": {number}}}') for number in range(3)]
        runaway: list[Decision] = []
        others: list[tuple[int, int, Decision]] = []

        def ask(number: int) -> None:
            others.extend((number, given, runner.evaluate(pairs[number], {"x": given})) for given in range(6))

        first = threading.Thread(target=lambda: runaway.append(runner.evaluate(slow, {"n": 100_000})))
        first.start()
        time.sleep(0.1)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in (first, *threads):
            thread.join()
        assert [decision.outcome for decision in runaway] == [Outcome.TIMEOUT]
        assert len(others) == 18
        assert all(decision.allow is (number == given) for number, given, decision in others)


def test_killed_in_the_middle_denies_that_decision_only() -> None:
    with PolicyRunner(workers=1, deadline_s=20) as runner:
        quick, slow = make(runner, QUICK, '{"x": 1}'), make(runner, SLOW)
        worker = runner._pool._free[0]
        assert worker is not None
        timer = threading.Timer(0.3, os.kill, (worker.pid, signal.SIGKILL))
        timer.start()
        decision = runner.evaluate(slow, {"n": 100_000})
        timer.join()
        assert (decision.allow, decision.outcome) == (False, Outcome.CRASHED)
        assert "ended by the signal SIGKILL" in decision.reason
        assert runner.evaluate(quick, {"x": 1}).allow


def test_killed_while_idle_costs_no_decision() -> None:
    with PolicyRunner(workers=1) as runner:
        quick = make(runner, QUICK, '{"x": 1}')
        worker = runner._pool._free[0]
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        assert runner.evaluate(quick, {"x": 1}).allow


def test_check_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The deepest nesting that is not refused at once, many times over: the engine's parser doubles its time with each.
    monkeypatch.setattr("verdictd.policy.runner.CHECK_DEADLINE_S", 0.3)
    nested = "[" * 15 + "1" + "]" * 15
    text = "package policy\n" + "".join(f"x{number} := y if {{ y := {nested} }}\n" for number in range(200))
    with PolicyRunner(workers=1) as runner:
        with pytest.raises(LimitExceededError, match=r"longer than 0\.3 s"):
            runner.check_policy(text.encode())
        assert runner.check_policy(QUICK.encode()).dialect == "v1"


def test_no_free_worker_denies() -> None:
    with PolicyRunner(workers=1, deadline_s=1.0, wait_s=0.1) as runner:
        slow = make(runner, SLOW)
        thread = threading.Thread(target=runner.evaluate, args=(slow, {"n": 100_000}))
        thread.start()
        time.sleep(0.3)
        decision = runner.evaluate(slow, {"n": 10})
        thread.join()
        assert (decision.allow, decision.outcome) == (False, Outcome.BUSY)
        assert "all 1 policy workers were busy" in decision.reason


def test_worker_that_does_not_start_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    with PolicyRunner(workers=3) as runner:
        quick = make(runner, QUICK, '{"x": 1}')
        for worker in runner._pool._free:
            if worker is not None:
                worker.end()
        with monkeypatch.context() as patch:
            patch.setattr("sys.executable", "/nowhere/python")
            decision = runner.evaluate(quick, {"x": 1})
            assert (decision.allow, decision.outcome) == (False, Outcome.CRASHED)
            with pytest.raises(WorkerLostError):
                runner.start()
            assert len(runner._pool._free) == 3
        runner.start()
        assert len(runner._pool._free) == 3
        assert runner.evaluate(quick, {"x": 1}).allow


def test_closed_runner_has_no_processes_and_takes_no_requests() -> None:
    runner = PolicyRunner(workers=2)
    runner.start()
    pids = [worker.pid for worker in runner._pool._free if worker is not None]
    assert len(pids) == 2
    runner.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="closed"):
        runner.check_policy(b"")
    with pytest.raises(ValueError, match="expected at least 1"):
        PolicyRunner(workers=0)


def test_pairs_that_share_a_worker_are_not_mixed(runner: PolicyRunner) -> None:
    # More pairs than a worker keeps, in turns: each decision under its own reference.
    pairs = [make(runner, QUICK, f'{{"x": {number}}}') for number in range(7)]
    for _ in range(3):
        for number, pair in enumerate(pairs):
            assert [runner.evaluate(pair, {"x": given}).allow for given in range(7)] == [
                given == number for given in range(7)
            ]


def test_decision_leaves_no_trace_in_the_next(runner: PolicyRunner) -> None:
    policy = V1 + "allow if { helper(input.x) == 1; input.y }\nhelper(x) := y if { y := to_number(x) }\n"
    pair = make(runner, policy)
    for _ in range(20):
        assert runner.evaluate(pair, {"x": "1", "y": True}).allow
        assert runner.evaluate(pair, {"x": "one", "y": True}).outcome is Outcome.FAILED
        assert runner.evaluate(pair, {"x": "1"}).outcome is Outcome.REFUSED


def test_decision_is_quick(runner: PolicyRunner) -> None:
    pair = make(runner, V0 + "allow { input.mrEnclave == data.mrEnclave[_] }\n", '{"mrEnclave": ["A"]}')
    given: dict[str, JSONValue] = {"mrEnclave": "A", "sgx": {f"field{number}": "ab" * 16 for number in range(80)}}
    times = [runner.evaluate(pair, given).duration_s for _ in range(200)]
    # Measured: 0.3 ms. Ten times the target of 1 ms, for a machine that does other things as well.
    assert statistics.median(times) < 0.010


def test_once_without_a_store() -> None:
    decision = evaluate_once(QUICK.encode(), b'{"x": 1}', {"x": 1})
    assert decision.allow
    decision = evaluate_once(QUICK.encode(), b'{"x": 1}', {"x": 2})
    assert decision.reason.startswith("the policy with the reference: allow is false")
    with pytest.raises(PolicyError):
        evaluate_once(b"package policy\nallow := nosuch(1)\n", b"{}", {})
    decision = evaluate_once(SLOW.encode(), b"{}", {"n": 100_000}, deadline_s=0.2)
    assert decision.outcome is Outcome.TIMEOUT
