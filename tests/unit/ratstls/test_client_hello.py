"""Whether a ClientHello asks for short records; what is not understood is taken to ask for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.ratstls.client_hello import takes_full_records


def extension(kind: int, value: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def vector(width: int, value: bytes) -> bytes:
    return len(value).to_bytes(width, "big") + value


def hello(*extensions: bytes, session: bytes = b"s" * 32, suites: bytes = b"\x13\x01", kind: int = 1) -> bytes:
    body = b"\x03\x03" + b"r" * 32 + vector(1, session) + vector(2, suites) + vector(1, b"\0")
    body += vector(2, b"".join(extensions))
    return b"\x16\x03\x01" + vector(2, bytes((kind,)) + vector(3, body))


VERSIONS = extension(43, b"\x02\x03\x04")
LIMIT = extension(1, b"\x01")


@pytest.mark.parametrize("session", [b"", b"s", b"s" * 32])
@pytest.mark.parametrize("suites", [b"", b"\x13\x01", b"\x13\x01" * 300])
@pytest.mark.parametrize("extensions", [(), (VERSIONS,), (VERSIONS, extension(0), extension(255), extension(256))])
def test_who_asks_for_nothing_takes_full_records(session: bytes, suites: bytes, extensions: tuple[bytes, ...]) -> None:
    assert takes_full_records(hello(*extensions, session=session, suites=suites))


@pytest.mark.parametrize(
    "extensions", [(LIMIT,), (LIMIT, VERSIONS), (VERSIONS, LIMIT), (VERSIONS, extension(1)), (LIMIT, LIMIT)]
)
def test_who_asks_for_short_records_is_noticed_wherever_it_does(extensions: tuple[bytes, ...]) -> None:
    assert not takes_full_records(hello(*extensions))


def test_what_only_looks_like_the_extension_within_another_one_is_not_taken_for_it() -> None:
    assert takes_full_records(hello(extension(16, LIMIT), suites=LIMIT + b"\0"))


def test_another_message_or_another_record_is_not_understood() -> None:
    assert not takes_full_records(hello(VERSIONS, kind=2))
    assert not takes_full_records(b"\x17" + hello(VERSIONS)[1:])


@pytest.mark.parametrize("more", [b"\0", VERSIONS])
def test_a_hello_with_something_after_it_is_not_understood(more: bytes) -> None:
    assert not takes_full_records(hello(VERSIONS) + more)


@pytest.mark.parametrize("wrong", [-1, 1, 256])
def test_a_hello_that_goes_on_in_another_record_or_has_another_length_is_not_understood(wrong: int) -> None:
    whole = hello(VERSIONS)
    size = int.from_bytes(whole[6:9], "big") + wrong
    assert not takes_full_records(whole[:6] + size.to_bytes(3, "big") + whole[9:])


@pytest.mark.parametrize("cut", range(1, len(hello(VERSIONS, VERSIONS))))
def test_a_hello_that_is_cut_off_anywhere_is_not_understood(cut: int) -> None:
    whole = hello(VERSIONS, VERSIONS)
    assert not takes_full_records(whole[:-cut])
    body = whole[9:-cut] if cut < len(whole) - 9 else b""
    assert not takes_full_records(b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))), "its lengths say more"


def test_extensions_that_do_not_end_where_they_say_are_not_understood() -> None:
    for last in (b"\0", b"\0\x2b", b"\0\x2b\0", b"\0\x2b\0\x05abc"):
        assert not takes_full_records(hello(VERSIONS, last))


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert takes_full_records(data) in {True, False}
    assert takes_full_records(hello(data)) in {True, False}


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=20)), max_size=6))
def test_whatever_the_extensions_are_only_the_one_decides(extensions: list[tuple[int, bytes]]) -> None:
    found = takes_full_records(hello(*(extension(kind, value) for kind, value in extensions)))
    assert found == all(kind != 1 for kind, _ in extensions)
