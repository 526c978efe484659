"""AMD's own extensions in the certificate of an endorsement key: of which product, chip and TCB it is.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, 3.1; 58217 for VLEK. All are under
1.3.6.1.4.1.3704.1: .1 structure version, .2 product name, .3.1 to .3.9 SVNs, .4 hardware id, .5 cloud provider's id.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from verdictd.core.der import OCTET_STRING, parse_unsigned, read_single
from verdictd.core.errors import MalformedError

AMDProduct: TypeAlias = Literal["Milan", "Genoa", "Turin"]
AMDKeyType: TypeAlias = Literal["vcek", "vlek"]

CHIP_ID_BYTES: Final[dict[AMDProduct, int]] = {"Milan": 64, "Genoa": 64, "Turin": 8}
ARC: Final = bytes.fromhex("2b060104019c7801")
"""The value of the OID 1.3.6.1.4.1.3704.1."""
_IA5_STRING: Final = 0x16
_SVN_MAXIMUM: Final = 255
_STRUCT_VERSION_MAXIMUM: Final = 255
_MAX_TEXT: Final = 128
_STRUCT_VERSION: Final = ARC + b"\1"
_PRODUCT_NAME: Final = ARC + b"\2"
_HARDWARE_ID: Final = ARC + b"\4"
_CSP_ID: Final = ARC + b"\5"
_TCB_ORDER: Final[dict[AMDProduct, bytes]] = {
    "Milan": bytes([1, 2, 4, 5, 6, 7, 3, 8]),
    "Genoa": bytes([1, 2, 4, 5, 6, 7, 3, 8]),
    "Turin": bytes([9, 1, 2, 3, 5, 6, 7, 8]),
}
"""Which SVN stands at which byte of a report's TCB: 1 boot loader, 2 TEE, 3 SNP, 8 microcode, 9 FMC, else reserved."""


class EndorsedKey(NamedTuple):
    """Of what AMD's extensions say that a key is.

    Attributes:
        product_name: with the stepping where it is stated, e.g. ``Milan-B0``.
        tcb: 8 bytes, in the order of a report's TCB.
        chip_id: 64 bytes, 8 for Turin; empty for a VLEK.
        csp_id: the cloud provider's id; empty for a VCEK.
    """

    product_name: str
    tcb: bytes
    chip_id: bytes
    csp_id: str


def parse_extensions(values: Mapping[bytes, bytes], product: AMDProduct, key_type: AMDKeyType) -> EndorsedKey:
    """Read AMD's extensions of a certificate.

    Args:
        values: the value of each extension by the value of its OID, those of AMD's arc only.
        product: whose CA issued the certificate.
        key_type: whose.
    Raises:
        MalformedError: one is absent, not known, or not of its form; or it is of another product or kind of key.
    """
    order = _TCB_ORDER[product]
    owner = _HARDWARE_ID if key_type == "vcek" else _CSP_ID
    wanted = {_STRUCT_VERSION, _PRODUCT_NAME, owner, *(_svn_name(number) for number in order)}
    if values.keys() != wanted:
        different = sorted(_describe(name) for name in values.keys() ^ wanted)
        raise MalformedError(
            f"the certificate of a {product} {key_type.upper()} lacks AMD's extensions, or has others than it should:"
            f" {', '.join(different)!s:.200}"
        )
    parse_unsigned(read_single(values[_STRUCT_VERSION]), "the structure version", _STRUCT_VERSION_MAXIMUM)
    product_name = _text(values[_PRODUCT_NAME], "the product name")
    if product_name.partition("-")[0] != product:
        raise MalformedError(f"the certificate is of the product {product_name!r:.40}, its issuer of {product}")
    svns = [parse_unsigned(read_single(values[_svn_name(n)]), f"the SVN 3.{n}", _SVN_MAXIMUM) for n in order]
    return EndorsedKey(
        product_name=product_name,
        tcb=bytes(svns),
        chip_id=_chip_id(values[_HARDWARE_ID], CHIP_ID_BYTES[product]) if key_type == "vcek" else b"",
        csp_id=_text(values[_CSP_ID], "the cloud provider's id") if key_type == "vlek" else "",
    )


def _svn_name(number: int) -> bytes:
    return ARC + bytes([3, number])


def _describe(name: bytes) -> str:
    return ".".join(str(number) for number in name[len(ARC) :])


def _text(der: bytes, what: str) -> str:
    octets = read_single(der).expect(_IA5_STRING, what).value
    if not 1 <= len(octets) <= _MAX_TEXT or not all(0x20 <= octet < 0x7F for octet in octets):
        raise MalformedError(f"{what} is not a text of 1 to {_MAX_TEXT} printable characters")
    return octets.decode("ascii")


def _chip_id(value: bytes, size: int) -> bytes:
    """Read a chip's id: as it is, or in an OCTET STRING, which some certificates have."""
    if len(value) != size:
        value = read_single(value).expect(OCTET_STRING, "the hardware id").value
    if len(value) != size:
        raise MalformedError(f"the hardware id is {len(value)} bytes long, expected {size}")
    return value
