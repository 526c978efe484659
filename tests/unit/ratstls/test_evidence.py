import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ratstls.forge import quote
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_CUSTOM_CLAIMS, MAX_QUOTE_BYTES
from verdictd.ratstls.evidence import (
    MAX_CLAIMS_BUFFER_BYTES,
    CertificateFormat,
    EvidenceKind,
    encode_claims_buffer,
    encode_evidence_extension,
    parse_claims_buffer,
    parse_evidence_extension,
    parse_legacy_extension,
    tell_quote_kind,
)

DIGEST = bytes(range(32))
CLAIMS = encode_claims_buffer(DIGEST, {"key_0": b"value_0\x00"})


def v5(body_type: int) -> bytes:
    return quote(version=5)[:48] + body_type.to_bytes(2, "little") + bytes(700)


def tagged(tag: int, *elements: object) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, list(elements)))


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (quote(version=3, key_type=2), EvidenceKind.SGX_ECDSA),
        (quote(version=3, key_type=3), EvidenceKind.SGX_ECDSA),
        (quote(version=4, tee=0), EvidenceKind.SGX_ECDSA),
        (quote(version=4, tee=0x81), EvidenceKind.TDX_ECDSA),
        (v5(1), EvidenceKind.SGX_ECDSA),
        (v5(2), EvidenceKind.TDX_ECDSA),
        (v5(3), EvidenceKind.TDX_ECDSA),
    ],
)
def test_quotes_are_told_apart_by_their_header(evidence: bytes, kind: EvidenceKind) -> None:
    assert tell_quote_kind(evidence) is kind


@pytest.mark.parametrize(
    "evidence", [quote(version=1), quote(version=2), quote(version=3, key_type=0), quote(version=3, key_type=1)]
)
def test_epid_is_refused_by_name(evidence: bytes) -> None:
    with pytest.raises(UnsupportedError, match="EPID"):
        tell_quote_kind(evidence)


@pytest.mark.parametrize(
    "evidence",
    [quote(version=0), quote(version=3, key_type=4), quote(version=4, tee=1), v5(0), v5(4), quote(version=6)],
)
def test_unknown_quotes_are_refused(evidence: bytes) -> None:
    with pytest.raises(UnsupportedError, match="expected an SGX or TDX"):
        tell_quote_kind(evidence)


def test_a_quote_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(MalformedError, match="shorter than its header"):
        tell_quote_kind(quote()[:49])


@pytest.mark.parametrize(
    ("tag", "evidence", "kind"),
    [
        (60000, quote(), EvidenceKind.SGX_ECDSA),
        (60000, quote(version=4, tee=0x81), EvidenceKind.TDX_ECDSA),
        (0x1A7501, quote(), EvidenceKind.SGX_ECDSA),
        (60002, b"r" * 432, EvidenceKind.SGX_LA),
        (0x1A7503, b"r" * 432, EvidenceKind.SGX_LA),
        (0x1A7504, b"r" * 1184, EvidenceKind.SEV_SNP),
        (0x1A7505, b"r" * 6461, EvidenceKind.SEV),
        (0x1A7506, b"r" * 7016, EvidenceKind.CSV),
    ],
)
def test_tags_name_the_kind(tag: int, evidence: bytes, kind: EvidenceKind) -> None:
    found = parse_evidence_extension(tagged(tag, evidence, CLAIMS))
    assert (found.kind, found.evidence, found.claims_buffer) == (kind, evidence, CLAIMS)
    assert found.certificate_format is CertificateFormat.INTEROPERABLE


@pytest.mark.parametrize("tag", [59999, 60001, 60003, 0x1A7502, 0x1A7507, 0])
def test_other_tags_never_pass_for_no_evidence(tag: int) -> None:
    with pytest.raises(UnsupportedError):
        parse_evidence_extension(tagged(tag, quote(), CLAIMS))


@pytest.mark.parametrize(
    "value",
    [
        tagged(60000, quote()),
        tagged(60000, quote(), CLAIMS, b""),
        tagged(60000, quote(), "claims"),
        tagged(60000, "quote", CLAIMS),
        tagged(60000, b"", CLAIMS),
        tagged(60000, quote(), CLAIMS) + b"\x00",
        cbor2.dumps([quote(), CLAIMS]),
        cbor2.dumps(cbor2.CBORTag(60000, cbor2.CBORTag(60000, [quote(), CLAIMS]))),
        b"\xd9\xea\x60\x9f" + cbor2.dumps(quote()) + cbor2.dumps(CLAIMS) + b"\xff",
        b"\xd9\xea\x60\x82\x5f" + cbor2.dumps(quote()) + b"\xff" + cbor2.dumps(CLAIMS),
    ],
)
def test_the_extension_is_two_byte_strings_and_nothing_else(value: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_evidence_extension(value)


def test_size_of_evidence_is_bounded() -> None:
    largest = quote().ljust(MAX_QUOTE_BYTES, b"\x00")
    assert parse_evidence_extension(tagged(60000, largest, CLAIMS)).evidence == largest
    assert parse_legacy_extension(largest, EvidenceKind.SGX_ECDSA).evidence == largest
    with pytest.raises(LimitExceededError):
        parse_evidence_extension(tagged(60000, largest + b"\x00", CLAIMS))
    with pytest.raises(LimitExceededError):
        parse_legacy_extension(largest + b"\x00", EvidenceKind.SGX_ECDSA)


def test_a_legacy_extension_must_hold_what_its_object_identifier_says() -> None:
    found = parse_legacy_extension(quote(), EvidenceKind.SGX_ECDSA)
    assert (found.certificate_format, found.claims, found.claims_buffer) == (CertificateFormat.LEGACY, None, None)
    assert parse_legacy_extension(b"r" * 1184, EvidenceKind.SEV_SNP).kind is EvidenceKind.SEV_SNP
    with pytest.raises(MalformedError, match="kind sgx_ecdsa, its extension's object identifier says tdx_ecdsa"):
        parse_legacy_extension(quote(), EvidenceKind.TDX_ECDSA)
    with pytest.raises(MalformedError, match="empty"):
        parse_legacy_extension(b"", EvidenceKind.SEV_SNP)


def test_claims() -> None:
    claims = parse_claims_buffer(CLAIMS)
    assert (claims.public_key_hash_algorithm, claims.public_key_hash) == (1, DIGEST)
    assert (dict(claims.custom), claims.nonce) == ({"key_0": b"value_0\x00"}, None)
    with_nonce = cbor2.dumps({"nonce": b"n", "pubkey-hash": cbor2.dumps([7, b"x" * 48])})
    assert parse_claims_buffer(with_nonce).nonce == b"n"
    assert parse_claims_buffer(with_nonce).custom == {}


def test_claims_keep_their_order_and_the_key_comes_first() -> None:
    names = [f"c{number}" for number in range(40)]
    written = encode_claims_buffer(DIGEST, dict.fromkeys(reversed(names), b""))
    assert list(parse_claims_buffer(written).custom) == list(reversed(names))
    assert written[2:].startswith(b"\x6bpubkey-hash")


@pytest.mark.parametrize(
    "item",
    [
        [],
        {},
        {"key": b"value"},
        {"pubkey-hash": "text"},
        {"pubkey-hash": b""},
        {"pubkey-hash": cbor2.dumps([1])},
        {"pubkey-hash": cbor2.dumps([1, DIGEST, 0])},
        {"pubkey-hash": cbor2.dumps([True, DIGEST])},
        {"pubkey-hash": cbor2.dumps(["1", DIGEST])},
        {"pubkey-hash": cbor2.dumps([1, "digest"])},
        {"pubkey-hash": cbor2.dumps([1, DIGEST]) + b"\x00"},
        {"pubkey-hash": b"\x9f\x01\x41a\xff"},
        {"pubkey-hash": cbor2.dumps([1, DIGEST]), "claim": "text"},
        {"pubkey-hash": cbor2.dumps([1, DIGEST]), "claim": 1},
        {"pubkey-hash": cbor2.dumps([1, DIGEST]), b"claim": b""},
    ],
)
def test_refuses_claims_of_another_shape(item: object) -> None:
    with pytest.raises(MalformedError):
        parse_claims_buffer(cbor2.dumps(item))


def test_refuses_a_claim_that_is_there_twice() -> None:
    twice = b"\xa3" + CLAIMS[1:] + cbor2.dumps("key_0") + cbor2.dumps(b"other")
    with pytest.raises(MalformedError, match="Duplicate"):
        parse_claims_buffer(twice)
    with pytest.raises(MalformedError, match="Duplicate"):
        parse_claims_buffer(b"\xa2" + 2 * encode_claims_buffer(DIGEST, {})[1:])


def as_libcbor_leaves_it(item: bytes) -> bytes:
    return item.ljust(max(32, 1 << (len(item) - 1).bit_length()), b"\xa5")


def test_buffers_as_rats_tls_writes_them_since_april_2023() -> None:
    entry = as_libcbor_leaves_it(cbor2.dumps([1, DIGEST]))
    claims = as_libcbor_leaves_it(cbor2.dumps({"pubkey-hash": entry, "key_0": b"value_0\x00"}))
    value = as_libcbor_leaves_it(encode_evidence_extension(quote(), claims))
    assert (len(entry), len(claims), len(value)) == (64, 128, 1024)
    found = parse_evidence_extension(value)
    assert found.claims_buffer == claims
    assert found.claims is not None
    assert (found.claims.public_key_hash, dict(found.claims.custom)) == (DIGEST, {"key_0": b"value_0\x00"})
    for damaged in (value + b"\xa5", value[:-1]):
        with pytest.raises(MalformedError, match="after its CBOR item"):
            parse_evidence_extension(damaged)


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a\n", "ä", "../x", "a\x00", "pubkey-hash", "nonce"])
def test_refuses_names_that_are_not_identifiers(name: str) -> None:
    with pytest.raises(MalformedError, match="may not be named so"):
        encode_claims_buffer(DIGEST, {name: b""})
    if name not in {"pubkey-hash", "nonce"}:
        with pytest.raises(MalformedError, match="may not be named so"):
            parse_claims_buffer(cbor2.dumps({"pubkey-hash": cbor2.dumps([1, DIGEST]), name: b""}))


def test_number_and_size_of_claims_are_bounded() -> None:
    most = {f"c{number}": b"" for number in range(MAX_CUSTOM_CLAIMS)}
    entry = {"pubkey-hash": cbor2.dumps([1, DIGEST])}
    assert len(parse_claims_buffer(encode_claims_buffer(DIGEST, most)).custom) == MAX_CUSTOM_CLAIMS
    for more in ({"one": b""}, {"one": b"", "two": b"", "three": b""}):
        with pytest.raises(LimitExceededError):
            parse_claims_buffer(cbor2.dumps({**entry, **most, **more}))
    with pytest.raises(LimitExceededError):
        parse_claims_buffer(encode_claims_buffer(DIGEST, {"large": bytes(MAX_CLAIMS_BUFFER_BYTES)}))


@given(st.binary(max_size=120))
def test_any_bytes_give_claims_or_our_error(data: bytes) -> None:
    for parse in (parse_claims_buffer, parse_evidence_extension):
        with pytest.raises((MalformedError, UnsupportedError, LimitExceededError)):
            parse(data)


@given(data=st.data())
def test_a_damaged_extension_gives_evidence_or_our_error(data: st.DataObject) -> None:
    damaged = bytearray(encode_evidence_extension(quote(), CLAIMS))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_evidence_extension(bytes(damaged))
    except (MalformedError, UnsupportedError, LimitExceededError):
        return
    assert parsed.evidence in bytes(damaged)
    assert parsed.claims_buffer is not None
    assert parsed.claims_buffer in bytes(damaged)
