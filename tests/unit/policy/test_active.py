"""What is in force as another process hears of it: the board, and what the store tells at each change."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.policy.rego import V1
from verdictd.core.errors import ConfigError, PolicyError
from verdictd.policy.active import PairBoard, PairNames, UnusablePair
from verdictd.policy.pair import PolicyPair
from verdictd.policy.pair_exchange import decode_pairs, encode_pairs
from verdictd.policy.pair_files import ACTIVE_PAIRS
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import DecisionService
from verdictd.policy.store import PolicyStore

TEE = "sgx_ecdsa"
POLICY = (V1 + "allow if input.x == data.x\n").encode()


class Listener:
    """Keeps what it is told, and what was on disk then."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.told: list[dict[str, PolicyPair | UnusablePair]] = []
        self.on_disk: list[bytes] = []

    def __call__(self, pairs: Mapping[str, PolicyPair | UnusablePair]) -> None:
        self.told.append(dict(pairs))
        self.on_disk.append((self._directory / "sgxData").read_bytes())


def test_board_knows_what_it_was_told_last_and_nothing_else() -> None:
    board = PairBoard()
    with pytest.raises(KeyError):
        board.active(TEE)
    first, second = (UnusablePair(PairNames("p", "r"), reason, "") for reason in ("first", "second"))
    told = {TEE: first, "csv": first}
    board.replace(told)
    told[TEE] = second
    assert board.active(TEE) is first
    board.replace({TEE: second})
    assert board.active(TEE) is second
    with pytest.raises(KeyError):
        board.active("csv")


def test_store_tells_all_pairs_after_each_change_and_no_refusal(tmp_path: Path, runner: PolicyRunner) -> None:
    listener = Listener(tmp_path)
    store = PolicyStore(tmp_path, runner, on_change=listener)
    store.open()
    store.set_reference("sgxData", b'{"x": 1}')
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"x": 2}')
    with pytest.raises(PolicyError):
        store.set_reference("sgxData", b'{"policy": 1}')
    store.set_reference("notes", b"{}")
    (tmp_path / "sgxData").write_bytes(b'{"x": 3}')
    store.reload()
    assert [pairs.keys() for pairs in listener.told] == [ACTIVE_PAIRS.keys()] * 4
    pairs_told = [pairs[TEE] for pairs in listener.told]
    references = [pair.reference.content for pair in pairs_told if isinstance(pair, PolicyPair)]
    assert references[1:] == [b'{"x": 1}', b'{"x": 2}', b'{"x": 3}']
    assert references == listener.on_disk
    assert listener.told[-1][TEE] is store.active(TEE)


def test_store_tells_what_a_failed_write_left(tmp_path: Path, runner: PolicyRunner) -> None:
    listener = Listener(tmp_path)
    store = PolicyStore(tmp_path, runner, on_change=listener)
    store.open()
    (tmp_path / "csvData").mkdir()
    with pytest.raises(ConfigError):
        store.set_reference("csvData", b"{}")
    assert len(listener.told) == 2


def test_decisions_on_a_board_are_those_of_the_store(tmp_path: Path, runner: PolicyRunner) -> None:
    board = PairBoard()
    store = PolicyStore(tmp_path, runner, on_change=lambda pairs: board.replace(decode_pairs(encode_pairs(pairs))))
    store.open()
    service = DecisionService(board, runner)
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"x": 1}')
    decision = service.decide(TEE, {"x": 1})
    assert decision.allow
    store.set_reference("sgxData", b'{"x": 2}')
    assert not service.still_holds(TEE, decision)
    assert not service.decide(TEE, {"x": 1}).allow
