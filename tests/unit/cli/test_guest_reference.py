"""`verdict reference --tee …` in process: values that another calculator gave, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.unit.guest_images.ovmf_images import Ovmf, td_sections
from tests.unit.guest_images.test_snp_launch import BOOT, KNOWN, WITHOUT_HASHES
from verdictd.cli.verdict.main import main
from verdictd.guest_images.mrtd import calculate_mrtd
from verdictd.policy.pair_files import load_shipped

QEMU = ("--vcpus", "2", "--cpu-model", "EPYC-Milan")
BOOTED = ("--kernel", "kernel", "--initrd", "initrd", "--append", BOOT.command_line)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("OVMF.fd").write_bytes(Ovmf().build())
    Path("plain.fd").write_bytes(WITHOUT_HASHES.build())
    Path("TDVF.fd").write_bytes(Ovmf(td_sections=td_sections(4)).build())
    Path("no-td.fd").write_bytes(Ovmf(td_from_end=None).build())
    Path("kernel").write_bytes(BOOT.kernel)
    Path("initrd").write_bytes(BOOT.initrd)


def reference(*words: str) -> int:
    return main(["reference", *words])


@pytest.mark.parametrize(
    ("words", "digest"),
    [
        ((*QEMU, *BOOTED), KNOWN[0][1]),
        (("--vcpus", "1", "--cpu-model", "EPYC-Milan", "--guest-features", "0x21"), KNOWN[1][1]),
        (("--vcpus", "2", "--hypervisor", "ec2", *BOOTED), KNOWN[2][1]),
        (("--vcpus", "2", "--hypervisor", "gce", *BOOTED), KNOWN[3][1]),
    ],
)
def test_the_launch_digest_of_snp_is_what_another_calculator_gives(
    words: tuple[str, ...], digest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference("--tee", "snp", "OVMF.fd", *words) == 0
    assert json.loads(capsys.readouterr().out) == {"measurement": [digest], "hostData": [], "idKeyDigest": []}


def test_what_is_written_is_the_reference_of_the_shipped_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("--tee", "tdx", "TDVF.fd", "-o", "tdxData") == 0
    written = json.loads(Path("tdxData").read_text())
    assert written == json.loads(load_shipped("tdxData")) | {
        "mr_td": [calculate_mrtd(Path("TDVF.fd").read_bytes()).hex()]
    }
    assert "verdict --set-opa-reference tdxData tdxData" in capsys.readouterr().out
    for tee, words in (("sev", ()), ("sev-es", QEMU)):
        assert reference("--tee", tee, "OVMF.fd", *words) == 0
        (digest,) = json.loads(capsys.readouterr().out)["launchDigest"]
        assert len(digest) == 64


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tee", "snp", "OVMF.fd"), "--vcpus"),
        (("--tee", "snp", "OVMF.fd", "--vcpus", "1"), "--cpu-model"),
        (("--tee", "snp", "OVMF.fd", "--vcpus", "1", "--cpu-model", "Z80"), "Z80"),
        (("--tee", "snp", "OVMF.fd", "--vcpus", "0", "--cpu-model", "EPYC-Milan"), "CPUs"),
        (("--tee", "snp", "plain.fd", *QEMU, *BOOTED), "does not check a kernel"),
        (("--tee", "snp", "OVMF.fd", *QEMU, "--initrd", "initrd"), "--kernel"),
        (("--tee", "snp", "kernel", *QEMU), "firmware"),
        (("--tee", "snp", "nosuch.fd", *QEMU), "nosuch.fd"),
        (("--tee", "tdx", "no-td.fd"), "TDX"),
        (("--tee", "tdx", "TDVF.fd", "--kernel", "kernel"), "kernel"),
        (("--tee", "tdx", "TDVF.fd", "OVMF.fd"), "one firmware"),
        (("--tee", "tdx", "TDVF.fd", "--set", "tdxData"), "--set-opa-reference"),
        (("--tee", "tdx", "TDVF.fd", "--memory", "much"), "much"),
    ],
)
def test_what_is_refused_is_refused_in_a_sentence(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = reference(*words)
    except SystemExit as stop:  # argparse's own refusals
        code = stop.code
    assert code == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
