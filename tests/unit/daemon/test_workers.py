"""The supervisor's worker processes: all follow or end, and what is lost is replaced by what knows as much."""

import logging
import os
import signal
from pathlib import Path

import pytest

from tests.unit.daemon.worker_sets import PATIENCE_S, REAL, in_force, made_set, running, state_of
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.daemon import workers as module
from verdictd.daemon.figures import Counts, FigureCollector
from verdictd.daemon.proto.worker_pb2 import Frame, Watch
from verdictd.daemon.worker_process import WorkerProcess


def kill(worker: WorkerProcess) -> None:
    worker.process.kill()
    worker.process.wait()


def test_all_are_told_before_putting_in_force_returns(tmp_path: Path) -> None:
    with running(tmp_path, count=3) as made:
        for name in ("first", "second"):
            made.workers.put_in_force(in_force(name))
            assert [made.told(worker)[-1] for worker in made.workers] == [f"pairs {name}"] * 3


def test_one_that_does_not_acknowledge_is_ended_before_that_and_replaced_by_one_that_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACKNOWLEDGE_S", 2.0)
    with running(tmp_path) as made:
        deaf, other = made.workers.serving
        made.make(deaf, "deaf")
        made.workers.put_in_force(in_force("new"))
        assert deaf.process.poll() is not None, "whoever cannot be told must not decide any more"
        assert made.workers.serving == (other,)
        assert made.told(other)[-1] == "pairs new"
        successor = made.wait_for_change(is_serving=True)
        assert successor.number == 3
        assert made.told(successor)[0] == "pairs new"
        assert set(made.workers.serving) == {other, successor}


def test_one_that_is_killed_is_replaced_and_told_all_before_it_serves(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.workers.put_in_force(in_force("new"))
        made.workers.watch(is_on=True)
        first, other = made.workers.serving
        kill(first)
        assert made.wait_for_change(is_serving=False) is first
        successor = made.wait_for_change(is_serving=True)
        assert made.told(successor) == ["pairs new", "watch", "prepare", "commit"]
        assert set(made.workers.serving) == {other, successor}
        assert other.process.poll() is None


def test_replacements_that_die_are_replaced_as_well_and_never_become_too_many(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        for _ in range(3):
            kill(made.workers.serving[0])
            made.wait_for_change(is_serving=True)
            assert len(list(made.workers)) == 2


def test_settings_that_one_cannot_take_up_are_taken_up_by_none(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        able, unable = made.workers.serving
        made.make(unable, "unable")
        with pytest.raises(ConfigError, match="it cannot") as refused:
            made.workers.replace_state(state_of(tmp_path))
        assert refused.value.remedy == "let it be able"
        assert [made.told(worker).count("commit") for worker in (able, unable)] == [1, 1]
        assert made.workers.serving == (able, unable)
        (tmp_path / f"{unable.process.pid}.unable").unlink()
        made.workers.replace_state(state_of(tmp_path))
        assert [made.told(worker).count("commit") for worker in (able, unable)] == [2, 2]


def test_stopping_lets_all_finish_and_replaces_none(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        workers = list(made.workers)
        made.workers.stop(5.0)
        assert [worker.process.returncode for worker in workers] == [0, 0], "they ended of themselves"
        assert [made.told(worker)[-1] for worker in workers] == ["stop", "stop"]
        assert list(made.workers) == workers


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/at/all"])
def test_a_start_that_fails_leaves_none_running(tmp_path: Path, program: str) -> None:
    with made_set(tmp_path, (program,)) as made:
        with pytest.raises(VerdictdError):
            made.workers.start(state_of(tmp_path))
        assert all(worker.process.poll() is not None for worker in made.workers)
        assert made.workers.serving == ()


def test_a_successor_that_is_started_while_all_end_is_ended(tmp_path: Path) -> None:
    with made_set(tmp_path) as made:
        made.workers.stop(0.1)
        with pytest.raises(VerdictdError, match="ending"):
            made.workers._begin()
        assert [worker.process.poll() is None for worker in made.workers] == [False]


def test_what_a_lost_worker_counted_still_counts(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        figures = FigureCollector(made.workers)
        assert figures.counts() == Counts(accepted=2, refused=0)
        kill(made.workers.serving[0])
        made.wait_for_change(is_serving=True)
        assert figures.counts() == Counts(accepted=3, refused=0)


def test_an_answer_that_does_not_come_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        stopped, other = made.workers.serving
        stopped.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.process.pid, os.WSTOPPED | os.WNOWAIT)
        answers = made.workers.ask_all(lambda: Frame(watch=Watch(is_on=True)), timeout_s=5.0)
        assert list(answers) == [other]
        stopped.process.kill()


def test_the_real_program_is_replaced_and_ends_in_good_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "verdictd.daemon.workers"), running(tmp_path, REAL) as made:
        assert len(made.workers.serving) == 2
        made.workers.put_in_force(in_force("new"))
        killed = made.workers.serving[0]
        kill(killed)
        made.wait_for_change(is_serving=True)
        assert "a worker ended and is replaced" in caplog.text
        workers = made.workers.serving
        assert FigureCollector(made.workers).counts() == Counts(accepted=0, refused=0)
        made.workers.stop(5.0)
        assert [worker.process.returncode for worker in workers] == [0, 0]


def test_the_real_program_says_what_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory has to be")
    with made_set(tmp_path, REAL) as made, pytest.raises(VerdictdError, match="audit"):
        made.workers.start(state_of(tmp_path))


def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    with running(tmp_path, REAL, count=1) as made:
        (worker,) = made.workers.serving
        made.workers._is_stopping.set()  # so that it is not replaced
        worker.link.close()
        assert worker.wait(PATIENCE_S)
        assert worker.process.returncode == 0
