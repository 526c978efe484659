"""What Intel's `sgx_sign dump` prints of a signed enclave, so that scripts that read it go on working.

It prints the metadata that a platform of the newest kind uses; what stands beside it for older ones is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from verdictd.enclave.sigstruct import Sigstruct, parse_sigstruct

METADATA_FIELDS: Final = (
    "magic_num",
    "version",
    "size",
    "tcs_policy",
    "ssa_frame_size",
    "max_save_buffer_size",
    "desired_misc_select",
    "enclave_size",
    "attributes.flags",
    "attributes.xfrm",
)
"""Of the metadata before its SIGSTRUCT, in the order in which they are printed."""

_BYTES_A_LINE: Final = 16
_TITLE: Final = ("=============================", "The metadata information:", "=============================")
_SIGNER: Final = ("", "", "===================", "The mrsigner value:", "===================")


def write_dump(metadata: Mapping[str, int], sigstruct: bytes) -> str:
    """Write the dump.

    Args:
        metadata: the values of `METADATA_FIELDS`.
        sigstruct: 1,808 bytes.
    Raises:
        MalformedError: another length.
        KeyError: a field is missing.
    """
    parsed = parse_sigstruct(sigstruct)
    lines = [*_TITLE, *(_number(name, metadata[name]) for name in METADATA_FIELDS)]
    lines += _dump_sigstruct(parsed)
    lines += [*_SIGNER, *_array("mrsigner->value", parsed.mr_signer)]
    return "".join(f"{line}\n" for line in lines)


def _dump_sigstruct(sigstruct: Sigstruct) -> Iterator[str]:
    css = "metadata->enclave_css"
    yield from _array(f"{css}.header.header", sigstruct.header[:12])
    yield _number("enclave_css.header.type", int.from_bytes(sigstruct.header[12:], "little"))
    yield _number("enclave_css.header.module_vendor", sigstruct.vendor)
    yield _number("enclave_css.header.date", int.from_bytes(sigstruct.date, "little"))
    yield from _array(f"{css}.header.header2", sigstruct.header2)
    yield _number("enclave_css.header.hw_version", sigstruct.software_defined)
    yield from _array(f"{css}.key.modulus", sigstruct.modulus)
    yield from _array(f"{css}.key.exponent", sigstruct.exponent.to_bytes(4, "little"))
    yield from _array(f"{css}.key.signature", sigstruct.signature)
    for name, value in (
        ("misc_select", sigstruct.misc_select),
        ("misc_mask", sigstruct.misc_mask),
        ("attributes.flags", sigstruct.attributes[:8]),
        ("attributes.xfrm", sigstruct.attributes[8:]),
        ("attribute_mask.flags", sigstruct.attribute_mask[:8]),
        ("attribute_mask.xfrm", sigstruct.attribute_mask[8:]),
    ):
        yield _number(f"enclave_css.body.{name}", int.from_bytes(value, "little"))
    yield from _array(f"{css}.body.enclave_hash.m", sigstruct.mr_enclave)
    yield _number("enclave_css.body.isv_prod_id", sigstruct.isv_prod_id)
    yield _number("enclave_css.body.isv_svn", sigstruct.isv_svn)
    yield from _array(f"{css}.buffer.q1", sigstruct.q1)
    yield from _array(f"{css}.buffer.q2", sigstruct.q2)


def _number(name: str, value: int) -> str:
    return f"metadata->{name}: {value:#x}"


def _array(name: str, value: bytes) -> Iterator[str]:
    """The bytes follow on lines of their own, each with a space after it, as readers of the original expect."""
    yield f"{name}:"
    for start in range(0, len(value), _BYTES_A_LINE):
        yield "".join(f"0x{byte:02x} " for byte in value[start : start + _BYTES_A_LINE])
