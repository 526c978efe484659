import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import CollateralError, LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES, MAX_CHAIN_BYTES
from verdictd.ratstls.endorsements import encode_endorsements_extension, parse_endorsements_extension
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument

CHAIN = b"-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
CRL = bytes(range(256))
CRL_PEM = b"-----BEGIN X509 CRL-----\nYWJj\n-----END X509 CRL-----\n"
COLLATERAL = Collateral(
    tcb_info=SignedDocument(body=b'{"version":3}', signature=b"\x01" * 64, issuer_chain=CHAIN + b"1", source="peer"),
    qe_identity=SignedDocument(body=b'{"id":"QE"}', signature=b"\x02" * 64, issuer_chain=CHAIN + b"2", source="peer"),
    pck_crl=RevocationList(der=CRL, issuer_chain=CHAIN + b"3", source="peer"),
    root_ca_crl=RevocationList(der=CRL[::-1], issuer_chain=b"", source="peer"),
)
TCB_INFO = b'{"tcbInfo":{"version":3},"signature":"' + b"01" * 64 + b'"}'
QE_IDENTITY = b'{"enclaveIdentity":{"id":"QE"},"signature":"' + b"02" * 64 + b'"}'


def extension(version: object = 3, *more: object, **changes: object) -> bytes:
    items: dict[str, object] = {
        "tcb_info": TCB_INFO + b"\x00",
        "tcb_issuer_chain": CHAIN + b"1\x00",
        "pck_crl": CRL.hex().encode() + b"\x00",
        "root_ca_crl": CRL[::-1].hex().encode() + b"\x00",
        "pck_crl_issuer_chain": CHAIN + b"3\x00",
        "qe_identity": QE_IDENTITY + b"\x00",
        "qe_identity_issuer_chain": CHAIN + b"2\x00",
    }
    items.update(changes)
    return cbor2.dumps(cbor2.CBORTag(60000, [version, *items.values(), *more]))


def test_written_as_peers_read_it() -> None:
    version = b"\x1a\x00\x00\x00\x03"
    assert encode_endorsements_extension(COLLATERAL) == extension(3).replace(b"\x88\x03", b"\x88" + version, 1)


def test_reads_back_what_was_written() -> None:
    assert parse_endorsements_extension(encode_endorsements_extension(COLLATERAL)) == COLLATERAL


@pytest.mark.parametrize("created", [b"2026-06-01T00:00:00Z\x00", "2026-06-01T00:00:00Z", 0])
def test_a_ninth_element_is_allowed_and_ignored(created: object) -> None:
    assert parse_endorsements_extension(extension(3, created)) == COLLATERAL


@pytest.mark.parametrize(
    ("version", "crl", "der"),
    [
        (1, CRL_PEM, b"abc"),
        (3, CRL.hex().encode(), CRL),
        (3, CRL.hex().upper().encode(), CRL),
        (0x00010003, CRL, CRL),
    ],
)
@pytest.mark.parametrize("end", [b"", b"\x00"])
def test_crls_by_version_with_or_without_their_nul(version: int, crl: bytes, der: bytes, end: bytes) -> None:
    parsed = parse_endorsements_extension(extension(version, pck_crl=crl + end, root_ca_crl=crl + end))
    assert parsed.pck_crl == RevocationList(der=der, issuer_chain=CHAIN + b"3", source="peer")
    assert parsed.root_ca_crl == RevocationList(der=der, issuer_chain=b"", source="peer")


def test_only_one_nul_is_stripped() -> None:
    with pytest.raises(MalformedError):
        parse_endorsements_extension(extension(3, tcb_info=TCB_INFO + b"\x00\x00"))
    parsed = parse_endorsements_extension(extension(0x00010003, pck_crl=b"\x30\x00\x00", root_ca_crl=b"\x30\x00\x00"))
    assert parsed.pck_crl is not None
    assert parsed.pck_crl.der == b"\x30\x00"


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "pck_crl", "root_ca_crl"])
@pytest.mark.parametrize("empty", [b"", b"\x00"])
def test_an_empty_item_is_a_missing_one(name: str, empty: bytes) -> None:
    parsed = parse_endorsements_extension(extension(3, **{name: empty}))
    present = {item for item in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl") if getattr(parsed, item)}
    assert present == {"tcb_info", "qe_identity", "pck_crl", "root_ca_crl"} - {name}
    with pytest.raises(CollateralError, match=f"has no {name}"):
        encode_endorsements_extension(parsed)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(cbor2.dumps(cbor2.CBORTag(60000, [3, *[b"\x00"] * 6])), id="seven elements"),
        pytest.param(extension(3, b"", b""), id="ten elements"),
        pytest.param(extension("3"), id="version as text"),
        pytest.param(extension(True), id="version as a truth value"),
        pytest.param(extension(3, tcb_info=TCB_INFO.decode()), id="text for a byte string"),
        pytest.param(extension(3, tcb_info=b"{}\x00"), id="no TCB info"),
        pytest.param(extension(3, pck_crl=b"0\x00"), id="odd hex"),
        pytest.param(extension(3, pck_crl=CRL + b"\x00"), id="DER under the version of hex"),
        pytest.param(extension(1, pck_crl=CRL + b"\x00"), id="DER under the version of PEM"),
        pytest.param(extension() + b"\x00", id="trailing byte"),
    ],
)
def test_refuses_another_shape(value: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_endorsements_extension(value)


@pytest.mark.parametrize("version", [0, 2, 4, 0x00010000, 0x00020003, -1])
def test_refuses_versions_whose_crls_it_cannot_read(version: int) -> None:
    with pytest.raises(UnsupportedError, match="version"):
        parse_endorsements_extension(extension(version))


def test_refuses_other_tags() -> None:
    with pytest.raises(UnsupportedError, match="CBOR tag 60001"):
        parse_endorsements_extension(extension().replace(b"\xd9\xea\x60", b"\xd9\xea\x61", 1))


@pytest.mark.parametrize("name", ["tcb_issuer_chain", "qe_identity_issuer_chain", "pck_crl_issuer_chain"])
def test_chains_are_bounded(name: str) -> None:
    parse_endorsements_extension(extension(3, **{name: b"c" * MAX_CHAIN_BYTES + b"\x00"}))
    with pytest.raises(LimitExceededError, match="issuer chain"):
        parse_endorsements_extension(extension(3, **{name: b"c" * MAX_CHAIN_BYTES + b"c\x00"}))


def test_the_whole_is_bounded() -> None:
    with pytest.raises(LimitExceededError):
        parse_endorsements_extension(extension(0x00010003, pck_crl=bytes(MAX_CERTIFICATE_BYTES)))


@given(data=st.data())
def test_a_damaged_extension_gives_collateral_or_our_error(data: st.DataObject) -> None:
    damaged = bytearray(encode_endorsements_extension(COLLATERAL))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_endorsements_extension(bytes(damaged))
    except (MalformedError, UnsupportedError, LimitExceededError):
        return
    assert type(parsed) is Collateral
