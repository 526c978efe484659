"""Signed documents as they are served: the signed text is kept byte for byte, and nothing else is let in."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.simulated import AT, platform
from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_SIGNED_DOCUMENT_BYTES
from verdictd.tees.dcap.collateral import (
    Collateral,
    DocumentMember,
    SignedDocument,
    encode_signed_document,
    parse_signed_document,
)

MEMBERS: tuple[DocumentMember, ...] = get_args(DocumentMember)
SIGNATURE = bytes(range(64))


def parse(text: bytes | str, member: DocumentMember = "tcbInfo") -> SignedDocument:
    data = text.encode() if isinstance(text, str) else text
    return parse_signed_document(data, member, issuer_chain=b"chain", source="somewhere")


def answer(body: str = '{"a":1}', signature: str = SIGNATURE.hex(), member: str = "tcbInfo") -> str:
    return f'{{"{member}":{body},"signature":"{signature}"}}'


@pytest.mark.parametrize("member", MEMBERS)
def test_an_answer_is_taken_apart(member: DocumentMember) -> None:
    document = parse(answer(member=member), member)
    assert document == SignedDocument(body=b'{"a":1}', signature=SIGNATURE, issuer_chain=b"chain", source="somewhere")


def test_the_simulated_platforms_documents_are_taken_apart_and_put_together_again() -> None:
    collateral = platform().collateral(AT)
    for member, document in (("tcbInfo", collateral.tcb_info), ("enclaveIdentity", collateral.qe_identity)):
        assert document is not None
        served = encode_signed_document(document, member)  # type: ignore[arg-type]
        assert json.loads(served)["signature"] == document.signature.hex()
        again = parse_signed_document(
            served,
            member,  # type: ignore[arg-type]
            issuer_chain=document.issuer_chain,
            source=document.source,
        )
        assert again == document


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{ "a" : 1 }',
        '{"a":1.0}',
        '{"a":1e5}',
        '{"b":1,"a":2}',
        '{"a":1,"a":2}',
        '{"a":"\\u00e4"}',
        '{"a":"ä"}',
        '{"a":"}"}',
        '{"a":"\\"}"}',
        '{"a":"\\",\\"signature\\":\\"00\\"}"}',
        '{"signature":"00"}',
        '{"tcbInfo":{}}',
        '{\n\t"a": [\r\n1]\n}',
    ],
)
def test_the_signed_text_is_kept_byte_for_byte(body: str) -> None:
    """The signature is over the text: what a parser would write for the same value is other bytes."""
    assert parse(answer(body)).body == body.encode()


json_objects = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
spaces = st.text(alphabet=" \t\r\n", max_size=3)


@given(json_objects, st.binary(min_size=64, max_size=64), st.lists(spaces, min_size=8, max_size=8), st.booleans())
def test_white_space_around_does_not_matter_and_within_is_kept(
    value: dict[str, Any], signature: bytes, gaps: list[str], ascii_only: bool
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=1 if ascii_only else None)
    try:
        body.encode()
    except UnicodeEncodeError:  # a lone surrogate cannot be served
        return
    a, b, c, d, e, f, g, h = gaps
    text = f'{a}{{{b}"tcbInfo"{c}:{d}{body}{e},{f}"signature"{g}:"{signature.hex()}"{h}}}{a}'
    document = parse(text)
    assert (document.body, document.signature) == (body.encode(), signature)
    assert parse(encode_signed_document(document, "tcbInfo")) == document


@pytest.mark.parametrize("digits", [SIGNATURE.hex(), SIGNATURE.hex().upper()])
def test_the_signature_is_hex_in_either_case(digits: str) -> None:
    assert parse(answer(signature=digits)).signature == SIGNATURE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '"tcbInfo"',
        answer(member="enclaveIdentity"),
        answer(member="tcbinfo"),
        answer(body="[]"),
        answer(body="null"),
        answer(body='"{}"'),
        answer(body="{"),
        answer(body="{]"),
        answer(body="{}{}"),
        answer(body='{"a":NUL}'),
        answer(signature=""),
        answer(signature="00" * 63),
        answer(signature="00" * 65),
        answer(signature="0g" * 64),
        answer(signature="00" * 63 + " 0"),
        answer().replace('"signature"', '"Signature"'),
        answer().replace(',"signature"', ',"more":1,"signature"'),
        answer()[:-1] + ',"more":1}',
        '{"signature":"' + "00" * 64 + '","tcbInfo":{}}',
        answer() + "x",
        answer() + "\0",
        "\0" + answer(),
        "\ufeff" + answer(),
        answer() + answer(),
        answer()[:-1],
        "{" + answer() + "}",
    ],
)
def test_what_is_no_such_answer_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError, match="tcbInfo from somewhere"):
        parse(text)


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\x0b", "\x0c", "\x1c", "\u3000"])
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_only_what_json_calls_white_space_is_white_space(space: str, place: str) -> None:
    text = {
        "before": space + answer(),
        "between": answer().replace(',"signature"', f'{space},"signature"'),
        "after": answer() + space,
    }[place]
    with pytest.raises(MalformedError, match="tcbInfo from somewhere"):
        parse(text)


def test_bytes_that_are_no_utf_8_are_malformed() -> None:
    with pytest.raises(MalformedError, match="is not JSON"):
        parse(answer().encode().replace(b"1", b"\xff"))


def test_size_and_depth_are_limited() -> None:
    padding = " " * (MAX_SIGNED_DOCUMENT_BYTES - len(answer()))
    assert parse(answer() + padding).signature == SIGNATURE
    with pytest.raises(LimitExceededError, match=f"{MAX_SIGNED_DOCUMENT_BYTES + 1} bytes long, the limit"):
        parse(answer() + padding + " ")
    with pytest.raises(VerdictdError, match="tcbInfo from somewhere"):
        parse(answer('{"a":' + "[" * 200_000 + "]" * 200_000 + "}"))


@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(max_size=60).map(str.encode),
        st.integers(0, 200).map(lambda cut: answer().encode()[:cut]),
    )
)
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    try:
        document = parse(data)
    except VerdictdError as error:
        assert error.message  # noqa: PT017 - every error says something
    else:
        assert document.body in data


def test_collateral_without_items_has_none() -> None:
    empty = Collateral()
    assert (empty.tcb_info, empty.qe_identity, empty.pck_crl, empty.root_ca_crl) == (None, None, None, None)
