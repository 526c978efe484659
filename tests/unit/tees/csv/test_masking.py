"""The mask is an XOR of words, and taking it off is putting it on."""

from hypothesis import given
from hypothesis import strategies as st

from verdictd.simulator.hygon_platform import mask_words
from verdictd.tees.csv.masking import ANONCE_BYTES, mask


@given(st.binary(max_size=50), st.binary(min_size=ANONCE_BYTES, max_size=ANONCE_BYTES))
def test_masking_twice_gives_back(data: bytes, anonce: bytes) -> None:
    assert mask(mask(data, anonce), anonce) == data


@given(st.lists(st.integers(0, 2**32 - 1)), st.binary(min_size=ANONCE_BYTES, max_size=ANONCE_BYTES))
def test_whole_words_are_masked_as_the_firmware_masks_them(words: list[int], anonce: bytes) -> None:
    data = b"".join(word.to_bytes(4, "little") for word in words)
    assert mask(data, anonce) == mask_words(data, anonce)


def test_part_of_a_word_is_masked_too() -> None:
    assert mask(b"\0\0\0\0\0", b"\1\2\3\4") == b"\1\2\3\4\1"
