"""What reference values are taken from: found wherever it is, judged, and refused where anything is wrong with it."""

from functools import partial
from pathlib import Path

import pytest

from tests.unit.enclave import images, streams
from tests.unit.enclave.signing import make_key, sign
from tests.unit.tees.simulated import platform
from tests.unit.unpacking.packages import build_deb, build_rpm, build_tar
from verdictd.core.errors import ConfigError, LimitExceededError, VerdictdError
from verdictd.enclave.measurement import HashBudget
from verdictd.enclave.sgxs import measure_sgxs
from verdictd.reference import finder
from verdictd.reference.finder import find_subjects, select, unite
from verdictd.reference.subject import Finding, MeasurementSource, Subject, Unusable

ENCLAVE = images.build(images.typical(), {"isv_prod_id": b"\x03\x00", "isv_svn": b"\x05\x00"})
SIGNATURE = sign({"mr_enclave": images.measure(images.typical())})
STREAM = streams.create() + streams.page(0)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sign_stream(stream: bytes, directory: Path) -> bytes:
    with put(directory / "to-be-signed", stream).open("rb") as file:
        return sign({"mr_enclave": measure_sgxs(file)})


def only_subject(findings: tuple[Finding, ...]) -> Subject:
    (subject,) = findings
    assert isinstance(subject, Subject)
    return subject


def only_refusal(findings: tuple[Finding, ...]) -> Unusable:
    (refused,) = findings
    assert isinstance(refused, Unusable)
    return refused


def test_an_enclave_is_measured_and_judged(tmp_path: Path) -> None:
    subject = only_subject(find_subjects(put(tmp_path / "e.so", ENCLAVE)))
    assert subject.values.mr_enclave == images.measure(images.typical())
    assert (subject.values.isv_prod_id, subject.values.isv_svn) == (3, 5)
    assert subject.source is MeasurementSource.IMAGE
    assert subject.where == str(tmp_path / "e.so")
    assert len(subject.signature) == 1808
    assert subject.metadata["enclave_size"] == 0x100000
    assert subject.details["signed"] == "2026-01-02"
    assert subject.policy_input == subject.values.as_evidence()
    assert [check.name for check in subject.checks][-1] == "image.mr_enclave"


def test_an_altered_enclave_with_an_intact_signature_is_refused(tmp_path: Path) -> None:
    at = ENCLAVE.index(b"constants")
    altered = ENCLAVE[:at] + b"Constants" + ENCLAVE[at + 9 :]
    refused = only_refusal(find_subjects(put(tmp_path / "e.so", altered)))
    assert "check image.mr_enclave failed" in refused.reason
    assert "altered after it was signed" in refused.reason


def test_an_enclave_whose_signature_does_not_hold_is_refused(tmp_path: Path) -> None:
    at = ENCLAVE.index(bytes.fromhex("06000000e1000000")) + 1024
    refused = only_refusal(find_subjects(put(tmp_path / "e.so", ENCLAVE[:at] + b"\x07" + ENCLAVE[at + 1 :])))
    assert "check sigstruct.signature failed" in refused.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"header": bytes.fromhex("06000000e10000000000010000000080")}, "signed for debugging"),
        ({"attributes": bytes.fromhex("06000000000000000300000000000000")}, "the DEBUG attribute"),
    ],
)
def test_what_is_signed_for_debugging_is_refused(tmp_path: Path, fields: dict[str, bytes], reason: str) -> None:
    refused = only_refusal(find_subjects(put(tmp_path / "e.so", images.build(images.typical(), fields))))
    assert reason in refused.reason


def test_an_enclave_that_was_not_signed_is_refused(tmp_path: Path) -> None:
    unsigned = images.assemble(images.typical(), bytes(1808))
    refused = only_refusal(find_subjects(put(tmp_path / "e.so", unsigned)))
    assert "sigstruct" in refused.reason
    plain = ENCLAVE.replace(b".note.sgxmeta", b".note.another")
    assert "not signed yet" in only_refusal(find_subjects(put(tmp_path / "e.so", plain))).reason


def test_a_shared_object_in_a_package_that_is_no_enclave_is_passed_over(tmp_path: Path) -> None:
    plain = ENCLAVE.replace(b".note.sgxmeta", b".note.another")
    findings = find_subjects(put(tmp_path / "p.rpm", build_rpm({"./lib.so": plain, "./e.so": ENCLAVE, "./x": b"text"})))
    assert only_subject(findings).where == f"{tmp_path}/p.rpm: ./e.so"


def test_what_the_loader_does_that_cannot_be_measured_is_said(tmp_path: Path) -> None:
    enclave = images.typical()
    enclave.version, enclave.extensions = (3, 2), b"\x02\x10\0\0 \0\0\0p\x07\0\0\0\0\0\0"
    subject = only_subject(find_subjects(put(tmp_path / "e.so", images.build(enclave))))
    assert subject.source is MeasurementSource.SIGNATURE
    assert "second shared object" in subject.source_note
    assert not any(check.refuses for check in subject.checks)


def test_a_signature_by_itself_is_taken_as_signed(tmp_path: Path) -> None:
    subject = only_subject(find_subjects(put(tmp_path / "sigstruct.bin", SIGNATURE)))
    assert subject.source is MeasurementSource.SIGNATURE
    assert subject.source_note == "there is only the signature, without the image"
    assert subject.signature == SIGNATURE


@pytest.mark.parametrize("size", [200, 1807, 1809])
def test_a_signature_that_was_cut_off_is_refused(tmp_path: Path, size: int) -> None:
    refused = only_refusal(find_subjects(put(tmp_path / "a.bin", SIGNATURE[:size].ljust(size, b"x"))))
    assert f"is {size} bytes long" in refused.reason


def test_a_sig_file_without_the_header_is_judged_as_one(tmp_path: Path) -> None:
    refused = only_refusal(find_subjects(put(tmp_path / "a.sig", b"\x07" + SIGNATURE[1:])))
    assert "sigstruct.header" in refused.reason


@pytest.mark.parametrize("named", ["e.sgxs", "e.sig"])
def test_a_stream_and_the_signature_beside_it_belong_together(tmp_path: Path, named: str) -> None:
    put(tmp_path / "e.sig", sign_stream(STREAM, tmp_path))
    put(tmp_path / "e.sgxs", STREAM)
    subject = only_subject(find_subjects(tmp_path / named))
    assert subject.source is MeasurementSource.IMAGE
    assert subject.where == str(tmp_path / "e.sgxs")
    assert subject.kind.endswith("signed in e.sig")


def test_a_stream_and_a_signature_of_other_names_belong_together_where_both_are_named(tmp_path: Path) -> None:
    stream, signature = put(tmp_path / "a.sgxs", STREAM), put(tmp_path / "b.sig", sign_stream(STREAM, tmp_path))
    other = put(tmp_path / "c.sig", SIGNATURE)
    for path in (stream, signature):
        partners = [each for each in (stream, signature, other) if each != path]
        assert only_subject(find_subjects(path, partners)).source is MeasurementSource.IMAGE
    assert only_subject(find_subjects(other, [stream])).source is MeasurementSource.SIGNATURE


def test_an_altered_stream_is_refused_with_its_signature(tmp_path: Path) -> None:
    put(tmp_path / "e.sig", sign_stream(STREAM, tmp_path))
    put(tmp_path / "e.sgxs", STREAM.replace(b"pppp", b"qqqq"))
    for name in ("e.sgxs", "e.sig"):
        assert "check image.mr_enclave failed" in only_refusal(find_subjects(tmp_path / name)).reason


def test_a_stream_that_nothing_signs_is_refused(tmp_path: Path) -> None:
    assert "nothing signs its MRENCLAVE" in only_refusal(find_subjects(put(tmp_path / "e.sgxs", STREAM))).reason


def test_a_broken_stream_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = only_refusal(find_subjects(put(tmp_path / "e.sgxs", STREAM[:-1])))
    assert "ends in the middle" in refused.reason


def test_a_quote_is_taken_as_it_says_and_that_is_said(tmp_path: Path) -> None:
    subject = only_subject(find_subjects(put(tmp_path / "quote", platform().quote(report_data=bytes(64)))))
    assert subject.source is MeasurementSource.EVIDENCE
    assert "nothing in it was verified" in subject.notes[0]
    assert "sgx" in subject.policy_input
    assert subject.signature == b""


def test_a_quote_of_a_debug_enclave_is_taken_with_a_warning(tmp_path: Path) -> None:
    subject = only_subject(find_subjects(put(tmp_path / "quote", platform().quote(report_data=bytes(64), debug=True))))
    assert any("debug enclave" in note for note in subject.notes)


def test_what_is_nothing_of_all_this_is_refused(tmp_path: Path) -> None:
    assert only_refusal(find_subjects(put(tmp_path / "a", b"text"))).reason
    assert "too long for evidence" in only_refusal(find_subjects(put(tmp_path / "a", bytes(300_000)))).reason
    assert find_subjects(put(tmp_path / "a.tar", build_tar({"b": b"text"}))) == ()


@pytest.mark.parametrize("build", [build_rpm, build_deb, build_tar])
def test_one_of_several_enclaves_is_chosen_by_its_name(tmp_path: Path, build: object) -> None:
    assert callable(build)
    other = images.build(images.Enclave())
    path = put(tmp_path / "p", build({"./a/e.so": ENCLAVE, "./b/e.so": other, "./b/longe.so": ENCLAVE[:-1] + b"x"}))
    findings = find_subjects(path)
    for member in ("b/e.so", "./b/e.so", f"{path}: ./b/e.so"):
        (chosen,) = select(findings, member, str(path))
        assert chosen.where == f"{path}: ./b/e.so"
    with pytest.raises(ConfigError, match=r"there are 2 enclaves .* choose one with --member:\n.*a/e.so\n.*b/e.so"):
        select(findings, "e.so", str(path))
    with pytest.raises(ConfigError, match=r"no enclave .* is named f.so; choose one with --member, there are:"):
        select(findings, "f.so", str(path))
    with pytest.raises(ConfigError, match="choose one with --member"):
        select(findings, None, str(path))


def test_a_file_without_enclaves_is_said_to_have_none() -> None:
    with pytest.raises(ConfigError, match=r"no enclave in a\.rpm"):
        select((), None, "a.rpm")


def test_the_only_one_needs_no_name(tmp_path: Path) -> None:
    path = put(tmp_path / "p.rpm", build_rpm({"./e.so": ENCLAVE}))
    assert len(select(find_subjects(path), None, str(path))) == 1


def test_the_same_enclave_twice_is_one(tmp_path: Path) -> None:
    put(tmp_path / "d" / "a.sig", ENCLAVE[ENCLAVE.index(bytes.fromhex("06000000e1")) :][:1808])
    put(tmp_path / "d" / "b.so", ENCLAVE)
    put(tmp_path / "d" / "c.so", ENCLAVE)
    subject = only_subject(find_subjects(tmp_path / "d"))
    assert subject.source is MeasurementSource.IMAGE
    assert [note for note in subject.notes if note.startswith("the same is in")] == [
        f"the same is in {tmp_path}/d/c.so",
        f"the same is in {tmp_path}/d/a.sig",
    ]


def test_what_differs_in_anything_is_not_the_same(tmp_path: Path) -> None:
    first = find_subjects(put(tmp_path / "a.sig", SIGNATURE))
    for number, fields in enumerate(({"isv_svn": b"\x01\0"}, {"isv_prod_id": b"\x01\0"}, {"mr_enclave": bytes(32)})):
        again = sign({"mr_enclave": images.measure(images.typical()), **fields})
        second = find_subjects(put(tmp_path / f"{number}.sig", again))
        assert len(unite((*first, *second))) == 2
    other = sign({"mr_enclave": images.measure(images.typical())}, make_key(1))
    assert len(unite((*first, *find_subjects(put(tmp_path / "o.sig", other))))) == 2


def test_enclaves_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "MAX_FINDINGS", 3)
    path = put(tmp_path / "p.rpm", build_rpm({f"{number}.sig": SIGNATURE for number in range(4)}))
    with pytest.raises(LimitExceededError, match="more than 3 enclaves"):
        find_subjects(path)


def test_progress_names_what_is_measured(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = put(tmp_path / "p.rpm", build_rpm({"./e.so": ENCLAVE}))
    find_subjects(path, progress=lambda *each: told.append(each))
    assert told[-1][0] == f"{path}: ./e.so"
    assert told[-1][1] == told[-1][2]


def test_a_package_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VerdictdError, match=r"p\.rpm: the gzip data ends early"):
        find_subjects(put(tmp_path / "p.rpm", build_rpm({"./e.so": ENCLAVE})[:300]))


def test_a_file_of_an_odd_name_is_read_as_any_other(tmp_path: Path) -> None:
    path = put(tmp_path / "odd\nname\x1b.quote", platform().quote(report_data=bytes(64)))
    assert only_subject(find_subjects(path)).where == f"{tmp_path}/odd\\x0aname\\x1b.quote"


def test_small_files_that_claim_to_be_large_have_one_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "HashBudget", partial(HashBudget, 100 * 5184))
    large = images.Enclave(segments=[images.Segment(0, images.PF_R, b"x", memory=60 * images.PAGE)])
    image = images.build(large)
    findings = find_subjects(put(tmp_path / "p.rpm", build_rpm({f"{number}.so": image for number in range(3)})))
    assert [type(each) for each in findings] == [Subject, Unusable, Unusable]
    assert all("for the enclaves in it" in each.reason for each in findings if isinstance(each, Unusable))
