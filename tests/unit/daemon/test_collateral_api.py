"""Collateral in its operator's hands: the service over a real channel, and `verdict collateral` with its exit codes."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.unit.collateral.desk import MEMORY, NOW, Desk, Shelf
from tests.unit.collateral.endorser import APPRAISED, Endorser, damaged
from verdictd.cli.verdict import collateral as subcommand
from verdictd.cli.verdict import rpc
from verdictd.cli.verdict.main import main
from verdictd.collateral.collateral_file import encode_collateral_sets
from verdictd.collateral.disk_cache import DiskCache
from verdictd.collateral.files import load_collateral
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.collateral.service import CollateralService
from verdictd.collateral.source_names import MAX_CHARACTERS
from verdictd.collateral.store import OfferStatus
from verdictd.core.errors import CollateralError
from verdictd.daemon.client_api import MAX_MESSAGE_BYTES
from verdictd.daemon.collateral_api import MAX_ITEMS, CollateralAPI
from verdictd.daemon.proto import collateral_pb2 as messages
from verdictd.daemon.proto.collateral_pb2_grpc import CollateralServiceStub, add_CollateralServiceServicer_to_server

TCB_INFO = ItemKind.TCB_INFO


@pytest.fixture(scope="module")
def endorser() -> Endorser:
    return Endorser()


@pytest.fixture(scope="module")
def stranger() -> Endorser:
    """Another vendor, whose root is trusted only where a test says so."""
    return Endorser()


@contextmanager
def served(service: CollateralService, *, max_request_bytes: int = MAX_MESSAGE_BYTES) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", max_request_bytes)])
    add_CollateralServiceServicer_to_server(CollateralAPI(lambda: service, lambda: NOW), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def asked(address: str) -> Iterator[CollateralServiceStub]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield CollateralServiceStub(channel)


class Operator:
    """Types `verdict collateral …`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, address: str, *words: object) -> tuple[int, str, str]:
        code = main(["--client-api", address, "collateral", *map(str, words)])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def verdict(capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(capsys)


def written(path: Path, *items: CollateralItem) -> Path:
    path.write_bytes(encode_collateral_sets(items))
    return path


def numbers(service: CollateralService) -> dict[ItemKind, int]:
    return {item.kind: item.sequence[0] for item in service.held(NOW)}


# --- list ---


def test_each_item_is_listed_with_all_that_an_operator_asks(endorser: Endorser, verdict: Operator) -> None:
    shelf = Shelf(*endorser.items(3, source="https://pccs.example/"))
    desk = Desk(endorser, shelf)
    desk.find()
    desk.service.offer_from_peer(endorser.tcb_info(4, source="peer"), NOW)
    with served(desk.service) as address:
        code, out, _ = verdict(address, "list", "--json")
        assert code == 0
        items = json.loads(out)
        _, text, _ = verdict(address, "list")
    assert len(items) == 5
    (tcb_info,) = (item for item in items if item["kind"] == "tcb_info" and not item["is_from_peer"])
    next_refresh_s = tcb_info.pop("next_refresh_s")
    assert tcb_info == {
        "kind": "tcb_info",
        "name": f"SGX TCB info for FMSPC {endorser.fmspc.hex()}",
        "source": "https://pccs.example/",
        "root": "test root",
        "issue_date": "2026-03-01T00:00:00Z",
        "expires_at": "2026-03-31T00:00:00Z",
        "number": 3,
        "is_from_peer": False,
        "last_failure": None,
    }
    assert 0.8 * 3600 <= next_refresh_s <= 3600
    lines = text.splitlines()
    begin = lines.index(
        f"SGX TCB info for FMSPC {endorser.fmspc.hex()}, number 3, until 2026-03-31T00:00:00Z (EXPIRED)"
    )
    assert lines[begin + 1 : begin + 3] == [
        "    issued 2026-03-01T00:00:00Z under test root",
        "    from https://pccs.example/",
    ]
    assert lines[begin + 3].startswith("    the sources are asked again in ")
    assert text.count("    from peer, brought by a peer\n") == 1


def test_the_last_failure_is_listed_with_its_reason(endorser: Endorser, verdict: Operator) -> None:
    shelf = Shelf(*endorser.items())
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.down = "the PCCS is on fire"
    desk.service.refresh(NOW)
    with served(desk.service) as address:
        items = json.loads(verdict(address, "list", "--json")[1])
        assert {item["last_failure"] for item in items} == {"the PCCS is on fire"}
        assert verdict(address, "list")[1].count("    failed last: the PCCS is on fire\n") == 4


def test_what_was_never_asked_for_has_no_next_refresh(endorser: Endorser, verdict: Operator) -> None:
    desk = Desk(endorser)
    desk.service.offer(endorser.tcb_info(), NOW)
    with served(desk.service) as address:
        (item,) = json.loads(verdict(address, "list", "--json")[1])
        assert item["next_refresh_s"] is None
        assert "asked again" not in verdict(address, "list")[1]


def test_where_nothing_is_held_that_is_said(endorser: Endorser, verdict: Operator) -> None:
    with served(Desk(endorser).service) as address:
        assert verdict(address, "list") == (0, "nothing\n", "")
        assert verdict(address, "list", "--json") == (0, "[]\n", "")


# --- refresh ---


def test_a_refresh_asks_now_and_says_what_became_of_each(endorser: Endorser, verdict: Operator) -> None:
    shelf = Shelf(*endorser.items(1))
    desk = Desk(endorser, shelf)
    desk.find()
    shelf.items |= {TCB_INFO: endorser.tcb_info(2)}
    with served(desk.service) as address:
        code, out, _ = verdict(address, "refresh")
        assert (code, numbers(desk.service)[TCB_INFO]) == (0, 2)
        assert sorted(out.split()[0] for out in out.splitlines()) == ["asked"] * 4
        shelf.down = "the PCCS is on fire"
        code, out, _ = verdict(address, "refresh")
    assert code == 1
    assert f"         failed  SGX TCB info for FMSPC {endorser.fmspc.hex()}: the PCCS is on fire\n" in out
    assert numbers(desk.service)[TCB_INFO] == 2


# --- import ---


def test_of_each_item_that_is_imported_it_is_said_what_became_of_it(
    endorser: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    desk = Desk(endorser)
    desk.service.offer(endorser.pck_crl(3), NOW)
    desk.service.offer(endorser.root_ca_crl(2), NOW)
    file = written(
        tmp_path / "file",
        endorser.tcb_info(2),
        damaged(endorser.qe_identity(2)),
        endorser.pck_crl(2),
        endorser.root_ca_crl(2),
    )
    with served(desk.service) as address:
        code, out, _ = verdict(address, "import", file)
    assert code == 1
    kept, refused, older, held = out.splitlines()
    assert kept == f"           kept  SGX TCB info for FMSPC {endorser.fmspc.hex()}"
    assert refused.startswith("        refused  qe_identity: ")
    assert older.startswith("older than held  CRL of the PCK platform CA: it is older (number 2, ")
    assert held == "   already held  CRL of the root CA"
    assert numbers(desk.service) == {TCB_INFO: 2, ItemKind.PCK_CRL: 3, ItemKind.ROOT_CA_CRL: 2}


def test_nothing_refused_is_a_success_also_where_nothing_is_new(
    endorser: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    file = written(tmp_path / "file", *endorser.items())
    with served(Desk(endorser).service) as address:
        assert [verdict(address, "import", file)[0] for _ in range(2)] == [0, 0]


def test_what_another_root_vouches_for_is_not_taken_in(
    endorser: Endorser, stranger: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    desk = Desk(endorser)
    with served(desk.service) as address:
        code, out, _ = verdict(address, "import", written(tmp_path / "file", *stranger.items()))
    assert (code, out.count("refused")) == (1, 4)
    assert numbers(desk.service) == {}


@pytest.mark.parametrize("name", [b"plain.json", b"no text \xff.json", b"two\nlines.json", b"\x1b[31mred.json"])
def test_what_is_imported_is_there_after_a_restart_whatever_its_file_was_called(
    endorser: Endorser, verdict: Operator, tmp_path: Path, name: bytes
) -> None:
    file = written(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), *endorser.items())

    def service() -> CollateralService:
        cache = DiskCache(tmp_path / "kept")
        return CollateralService(roots=endorser.roots, memory=MEMORY, sources=(), cache=cache)

    with served(service()) as address:
        assert verdict(address, "import", file)[0] == 0
    restarted = service()
    restarted.preload(NOW)
    assert len(numbers(restarted)) == 4
    with served(restarted) as address:
        code, out, _ = verdict(address, "list")
    assert code == 0
    assert len(out.splitlines()) == 3 * 4  # nothing in a name makes a line of its own
    assert "\x1b" not in out


def test_an_import_larger_than_a_message_is_sent_in_parts(
    endorser: Endorser, verdict: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = endorser.items()
    largest = max(item.size for item in items)
    assert sum(item.size for item in items) > 2 * largest
    desk = Desk(endorser)
    monkeypatch.setattr(subcommand, "_MAX_CALL_BYTES", largest)
    with served(desk.service, max_request_bytes=2 * largest) as address:
        code, out, err = verdict(address, "import", written(tmp_path / "file", *items))
    assert (code, err) == (0, "")
    assert out.count("kept") == len(numbers(desk.service)) == 4


def test_an_item_that_none_could_accept_is_not_sent_nor_what_is_beside_it(
    endorser: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    desk = Desk(endorser)
    sets = json.loads(encode_collateral_sets([endorser.qe_identity(), endorser.tcb_info()]))
    sets["collateral_sets"][1]["tcb_info"] += " " * 5_000_000
    file = tmp_path / "file"
    file.write_text(json.dumps(sets))
    with served(desk.service) as address:
        code, _, err = verdict(address, "import", file)
    assert code == 2
    assert "the limit is 4259840" in err
    assert numbers(desk.service) == {}


def test_what_is_no_item_is_refused_on_the_wire_and_the_rest_taken(endorser: Endorser) -> None:
    desk = Desk(endorser)
    genuine = endorser.root_ca_crl().raw
    raw = [
        messages.RawCollateral(kind="nothing\n", body=b"x", source="a\nb" + "c" * MAX_CHARACTERS),
        messages.RawCollateral(kind="tcb_info"),
        messages.RawCollateral(kind="root_ca_crl", body=getattr(genuine, "der", b""), source="file"),
    ]
    with served(desk.service) as address, asked(address) as stub:
        outcomes = stub.ImportCollateral(messages.ImportCollateralRequest(items=raw)).outcomes
    assert [outcome.status for outcome in outcomes] == ["refused", "refused", "kept"]
    assert outcomes[0].name == "nothing\\n"
    assert outcomes[0].source.startswith("a\\nbccc")
    assert len(outcomes[0].source) == MAX_CHARACTERS


def test_too_many_items_are_refused_as_a_whole(endorser: Endorser) -> None:
    raw = [messages.RawCollateral()] * (MAX_ITEMS + 1)
    with served(Desk(endorser).service) as address, asked(address) as stub:
        with pytest.raises(grpc.RpcError, match="10001 items, the limit is 10000"):
            stub.ImportCollateral(messages.ImportCollateralRequest(items=raw))
        assert len(stub.ImportCollateral(messages.ImportCollateralRequest(items=raw[1:])).outcomes) == MAX_ITEMS


# --- export ---


def test_what_is_exported_is_one_file_that_can_be_imported_and_read(
    endorser: Endorser, stranger: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    """Items of two roots and three platform families, so that no single set could hold them."""
    desk = Desk(endorser, others=(stranger,))
    items = (*endorser.items(2), endorser.tcb_info(fmspc=bytes(6)), *stranger.items(3))
    for item in items:
        assert desk.service.offer(item, NOW).status is OfferStatus.KEPT
    file = tmp_path / "file"
    file.write_text("what was there before")
    with served(desk.service) as address:
        code, out, _ = verdict(address, "export", "-o", file)
        assert (code, out.split()[0]) == (0, "9")
    other = Desk(endorser, others=(stranger,))
    with served(other.service) as address:
        assert verdict(address, "import", file)[0] == 0
    assert [(item.key, item.sequence) for item in other.service.known()[0]] == [
        (item.key, item.sequence) for item in desk.service.known()[0]
    ]
    (taken,) = load_collateral(file).taken
    assert taken.startswith("file: a set of collateral (")
    assert {kind: taken.count(kind) for kind in APPRAISED} == dict.fromkeys(APPRAISED, 1)


def test_evidence_is_appraised_with_what_was_exported(
    endorser: Endorser, stranger: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    desk = Desk(endorser, others=(stranger,))
    for item in (*endorser.items(), *stranger.items()):
        desk.service.offer(item, NOW)
    with served(desk.service) as address:
        verdict(address, "export", "-o", tmp_path / "file")
    (tmp_path / "root.pem").write_bytes(endorser.platform.trust_root_pem)
    (tmp_path / "quote").write_bytes(endorser.platform.quote(report_data=bytes(64)))
    words = ["appraise", tmp_path / "quote", "--collateral", tmp_path / "file", "--trust-root", tmp_path / "root.pem"]
    assert main([*map(str, words), "--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]) == 0


def test_what_only_a_peer_brought_is_not_exported_as_if_a_source_had_given_it(
    endorser: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    desk = Desk(endorser)
    desk.service.offer_from_peer(endorser.tcb_info(), NOW)
    with served(desk.service) as address:
        assert verdict(address, "export", "-o", tmp_path / "file")[:2] == (1, "nothing is held that sources gave\n")
        assert not (tmp_path / "file").exists()
        desk.service.offer(endorser.pck_crl(), NOW)
        assert verdict(address, "export", "-o", tmp_path / "file")[0] == 0
    assert [item.kind for item in load_collateral(tmp_path / "file").items] == [ItemKind.PCK_CRL]


def test_an_export_larger_than_a_message_comes_whole(
    endorser: Endorser, verdict: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(endorser)
    for item in endorser.items():
        desk.service.offer(item, NOW)
    monkeypatch.setattr(rpc, "_MAX_MESSAGE_BYTES", 1024 + max(item.size for item in endorser.items()))
    with served(desk.service) as address:
        code, _, err = verdict(address, "export", "-o", tmp_path / "file")
    assert (code, err) == (0, "")
    assert len(load_collateral(tmp_path / "file").items) == 4


def test_an_export_larger_than_a_file_that_is_read_is_not_written(
    endorser: Endorser, verdict: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(endorser)
    desk.service.offer(endorser.tcb_info(), NOW)
    monkeypatch.setattr(subcommand, "MAX_COLLATERAL_FILE_BYTES", 1000)
    with served(desk.service) as address:
        code, _, err = verdict(address, "export", "-o", tmp_path / "file")
    assert code == 2
    assert "of which 1000 are read" in err
    assert "--data-dir" in err
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("place", ["missing/file", "directory"])
def test_a_place_that_cannot_be_written_is_said(
    endorser: Endorser, verdict: Operator, tmp_path: Path, place: str
) -> None:
    (tmp_path / "directory").mkdir()
    desk = Desk(endorser)
    desk.service.offer(endorser.tcb_info(), NOW)
    with served(desk.service) as address:
        code, _, err = verdict(address, "export", "-o", tmp_path / place)
    assert code == 2
    assert f"{tmp_path / place} cannot be written" in err


def test_a_daemon_that_is_gone_leaves_the_file_that_was_there(
    endorser: Endorser, verdict: Operator, tmp_path: Path
) -> None:
    file = written(tmp_path / "file", endorser.tcb_info())
    before = file.read_bytes()
    with served(Desk(endorser).service) as address:
        pass
    code, _, err = verdict(address, "export", "-o", file)
    assert code == 2
    assert f"no verdictd answers at {address}" in err
    assert file.read_bytes() == before


# --- the file of several sets ---


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        ({}, "collateral_sets is dict, expected a list"),
        (None, "collateral_sets is NoneType, expected a list"),
        ([7], "number 1 of collateral_sets is no set of collateral"),
        ([{"pck_crl": ""}, {}], "number 2 of collateral_sets is no set of collateral"),
        ([{"pck_crl": 7}], "pck_crl is int, expected text"),
    ],
)
def test_several_sets_that_are_none_are_refused_and_not_taken_for_something_else(
    tmp_path: Path, sets: object, reason: str
) -> None:
    (tmp_path / "file").write_text(json.dumps({"collateral_sets": sets}))
    with pytest.raises(CollateralError, match=reason):
        load_collateral(tmp_path / "file")


def test_several_sets_cut_off_are_an_error_and_not_ignored(endorser: Endorser, tmp_path: Path) -> None:
    file = written(tmp_path / "file", endorser.root_ca_crl())
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(CollateralError, match="it holds collateral, but is not JSON"):
        load_collateral(file)
