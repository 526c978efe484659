"""Keys and records of TLS 1.3 against the trace of RFC 8448, section 3; each record has its own nonce."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import AuthenticityError
from verdictd.ratstls import record_protection
from verdictd.ratstls.record_protection import CIPHER_SUITES, CipherSuite, TrafficKey

SUITE = CIPHER_SUITES["TLS_AES_128_GCM_SHA256"]
CLIENT_SECRET = bytes.fromhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
SERVER_SECRET = bytes.fromhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
CONTENT = bytes(range(50))
CLIENT_RECORD = bytes.fromhex(
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2"
    "977014bd1e3deae63aeebb21694915e4"
)
CLIENT_ALERT = bytes.fromhex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3")
SERVER_RECORD = bytes.fromhex(
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a2"
    "1c0047c2abf332540dd032e167c2955d"
)


def test_what_a_client_sent_opens_record_by_record() -> None:
    key = TrafficKey(SUITE, CLIENT_SECRET)
    assert key.open(CLIENT_RECORD[:5], CLIENT_RECORD[5:]) == CONTENT + b"\x17"
    assert key.open(CLIENT_ALERT[:5], CLIENT_ALERT[5:]) == b"\x01\x00\x15"
    assert key.sequence == 2


def test_what_a_client_sent_is_sealed_to_the_byte() -> None:
    key = TrafficKey(SUITE, CLIENT_SECRET)
    assert key.seal(23, CONTENT) == CLIENT_RECORD
    assert key.seal(21, b"\x01\x00") == CLIENT_ALERT


def test_what_a_server_sent_after_its_ticket_is_sealed_to_the_byte() -> None:
    key = TrafficKey(SUITE, SERVER_SECRET)
    key._sequence = 1
    assert key.seal(23, CONTENT) == SERVER_RECORD


@pytest.mark.parametrize("suite", CIPHER_SUITES.values(), ids=list(CIPHER_SUITES))
@given(contents=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=5))
def test_what_is_sealed_opens_in_its_order_and_in_no_other(
    suite: CipherSuite, contents: list[tuple[int, bytes]]
) -> None:
    secret = bytes(suite.hash.digest_size)
    sealing, opening = TrafficKey(suite, secret), TrafficKey(suite, secret)
    records = [sealing.seal(kind, content) for kind, content in contents]
    for (kind, content), record in zip(contents, records, strict=True):
        for other in (each for each in records if each != record):
            with pytest.raises(AuthenticityError):
                opening.open(other[:5], other[5:])
            opening._sequence -= 1
        assert opening.open(record[:5], record[5:]) == content + bytes((kind,))
    assert len(set(records)) == len(records)


@given(st.integers(0, len(CLIENT_RECORD) * 8 - 1))
def test_a_flipped_bit_anywhere_is_refused(bit: int) -> None:
    record = bytearray(CLIENT_RECORD)
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticityError):
        TrafficKey(SUITE, CLIENT_SECRET).open(bytes(record[:5]), bytes(record[5:]))


def test_the_key_that_follows_is_another_one_and_begins_anew() -> None:
    key = TrafficKey(SUITE, CLIENT_SECRET)
    first = key.seal(23, CONTENT)
    following = key.follow()
    assert following.sequence == 0
    assert following.seal(23, CONTENT) != first
    assert key.follow().seal(23, CONTENT) == TrafficKey(SUITE, CLIENT_SECRET).follow().seal(23, CONTENT)


def test_a_worn_key_protects_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_protection, "MAX_RECORDS_OF_A_KEY", 2)
    key = TrafficKey(SUITE, CLIENT_SECRET)
    key.seal(23, b"")
    key.seal(23, b"")
    with pytest.raises(RuntimeError, match="worn"):
        key.seal(23, b"")


def test_a_record_has_room_for_so_much_and_no_more() -> None:
    key = TrafficKey(SUITE, CLIENT_SECRET)
    assert len(key.seal(23, bytes(16384))) == 5 + 16384 + 1 + 16
    with pytest.raises(ValueError, match="room for 16384 bytes"):
        key.seal(23, bytes(16385))
    assert key.sequence == 1, "nothing was sealed, and no number used"


@pytest.mark.parametrize("name", CIPHER_SUITES)
def test_a_secret_of_another_length_makes_no_key(name: str) -> None:
    with pytest.raises(ValueError, match="as long as the hash"):
        TrafficKey(CIPHER_SUITES[name], bytes(20))


def test_no_text_shows_a_key() -> None:
    key = TrafficKey(SUITE, CLIENT_SECRET)
    for secret in (CLIENT_SECRET.hex(), repr(CLIENT_SECRET)[2:-1], "17422dda"):
        assert secret not in repr(key)
        assert secret not in str(key)
