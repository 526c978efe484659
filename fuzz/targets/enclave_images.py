"""Enclave images of Intel's SDK, .sgxs streams and SIGSTRUCTs."""

import io
import os
import struct
import tempfile
from datetime import date
from functools import cache
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from fuzz.parts import selector
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.enclave.sdk_image import measure_sdk_enclave
from verdictd.enclave.sgx_sign_dump import write_dump
from verdictd.enclave.sgxs import measure_sgxs
from verdictd.enclave.sigstruct import SIGSTRUCT_BYTES
from verdictd.enclave.sigstruct_checks import check_sigstruct
from verdictd.reference.sgx_subjects import judge_signed
from verdictd.reference.subject import Subject
from verdictd.simulator.enclave_image import EnclaveIdentity, build_enclave_image

_KINDS: Final = 3
_PAGE: Final = 4096


def check(data: bytes) -> None:
    """Whatever is read can be said; a SIGSTRUCT that no author signed is never usable."""
    kind, data = selector(data, _KINDS)
    if kind == 0:
        _check_image(data)
    elif kind == 1:
        measured = attempt(measure_sgxs, io.BytesIO(data))
        assert measured is None or len(measured) == 32
    elif len(data) == SIGSTRUCT_BYTES:
        _check_signature(data)


def _check_image(data: bytes) -> None:
    with _as_file(data) as file:
        for enclave in attempt(measure_sdk_enclave, file) or ():
            assert (enclave.mr_enclave is None) == bool(enclave.why_not_measured)
            assert write_dump(enclave.fields, enclave.sigstruct).isascii()
            _check_signature(enclave.sigstruct)


def _check_signature(data: bytes) -> None:
    for each in check_sigstruct(data):
        check_sentence(each.sentence)
    finding = judge_signed(data, where="it", kind="it", measured=None, why_not="it is fuzzed")
    assert not isinstance(finding, Subject) or data in _genuine(), "a signature that nobody made is accepted"


def _as_file(data: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever called closes it
    file.write(data)
    file.flush()
    assert os.fstat(file.fileno()).st_size == len(data)
    return file


@cache
def _genuine() -> frozenset[bytes]:
    found: set[bytes] = set()
    for path in TARGET.corpus.iterdir():
        kind, data = selector(path.read_bytes(), _KINDS)
        if kind == 0:
            with _as_file(data) as file:
                found.update(enclave.sigstruct for enclave in measure_sdk_enclave(file))
        elif kind == 2:
            found.add(data)
    return frozenset(found)


def seeds() -> dict[str, bytes]:
    key = rsa.generate_private_key(public_exponent=3, key_size=3072)
    identity = EnclaveIdentity(isv_prod_id=1, isv_svn=2, signed_on=date(2026, 1, 2))
    image = build_enclave_image(b"the content of an enclave" * 9, key, identity)
    start = image.index(b"\x06\0\0\0\xe1\0\0\0")
    page = struct.pack("<8sQQ40x", b"EADD", 0, 0x203)
    chunks = [struct.pack("<8sQ48x", b"EEXTEND", at) + b"c" * 256 for at in range(0, _PAGE, 256)]
    stream = struct.pack("<8sIQ44x", b"ECREATE", 1, 0x4000) + page + b"".join(chunks)
    partly = struct.pack("<8sQQ40x", b"EADD", _PAGE, 0x205) + struct.pack("<8sQ48x", b"UNMEASRD", _PAGE) + b"u" * 256
    return {
        "image": b"\0" + image,
        "stream": b"\1" + stream,
        "stream-with-a-part": b"\1" + stream + partly,
        "sigstruct": b"\2" + image[start : start + SIGSTRUCT_BYTES],
    }


TARGET = FuzzTarget(
    name="enclave_images",
    modules=(
        "verdictd.enclave.elf_image",
        "verdictd.enclave.file_reader",
        "verdictd.enclave.patches",
        "verdictd.enclave.sdk_image",
        "verdictd.enclave.sdk_layout",
        "verdictd.enclave.sdk_metadata",
        "verdictd.enclave.sgxs",
        "verdictd.enclave.sigstruct",
        "verdictd.enclave.sigstruct_checks",
    ),
    check=check,
    seeds=seeds,
    max_bytes=12_000,
)
