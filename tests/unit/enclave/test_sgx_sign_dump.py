"""The dump reads as scripts read that of Intel's tool."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.unit.enclave.images import build, typical
from tests.unit.enclave.signing import sign
from tests.unit.enclave.test_sdk_image import examine
from verdictd.core.errors import MalformedError
from verdictd.enclave.sgx_sign_dump import METADATA_FIELDS, write_dump

SIGSTRUCT = sign({"isv_prod_id": b"\x0a\x00", "isv_svn": b"\x0b\x00"})
DUMP = write_dump(dict.fromkeys(METADATA_FIELDS, 5), SIGSTRUCT)


def find(section: str, lines: int) -> bytes:
    """As the scripts in the field do: the lines behind a title, without the spaces and the 0x."""
    rows = DUMP.split("\n")
    at = rows.index(f"{section}:")
    return bytes(int(word, 16) for row in rows[at + 1 : at + 1 + lines] for word in row.split())


def test_arrays_stand_sixteen_bytes_a_line_behind_their_title() -> None:
    assert find("mrsigner->value", 2) == hashlib.sha256(SIGSTRUCT[128:512]).digest()
    assert find("metadata->enclave_css.body.enclave_hash.m", 2) == SIGSTRUCT[960:992]
    assert find("metadata->enclave_css.key.modulus", 24) == SIGSTRUCT[128:512]
    assert find("metadata->enclave_css.key.exponent", 1) == SIGSTRUCT[512:516]
    assert find("metadata->enclave_css.key.signature", 24) == SIGSTRUCT[516:900]
    assert find("metadata->enclave_css.buffer.q1", 24) == SIGSTRUCT[1040:1424]
    assert find("metadata->enclave_css.buffer.q2", 24) == SIGSTRUCT[1424:1808]


def test_numbers_are_hexadecimal() -> None:
    rows = DUMP.split("\n")
    assert "metadata->enclave_css.body.isv_prod_id: 0xa" in rows
    assert "metadata->enclave_css.body.isv_svn: 0xb" in rows
    assert "metadata->enclave_css.header.date: 0x20260102" in rows
    assert "metadata->enclave_size: 0x5" in rows


def test_a_shell_pipeline_finds_the_signer(tmp_path: Path) -> None:
    path = tmp_path / "metadata.txt"
    path.write_text(DUMP)
    pipeline = f"grep -A 2 'mrsigner->value' {path} | tail -2 | xargs | sed 's/0x//g; s/ //g'"
    found = subprocess.run(["sh", "-c", pipeline], capture_output=True, check=True, text=True).stdout.strip()
    assert found == hashlib.sha256(SIGSTRUCT[128:512]).hexdigest()


def test_the_metadata_of_an_image_has_every_field() -> None:
    (found,) = examine(build(typical()))
    assert f"metadata->enclave_size: {found.fields['enclave_size']:#x}\n" in write_dump(found.fields, found.sigstruct)
    assert tuple(found.fields) == METADATA_FIELDS


def test_what_is_no_sigstruct_is_not_dumped() -> None:
    with pytest.raises(MalformedError):
        write_dump(dict.fromkeys(METADATA_FIELDS, 5), b"")
