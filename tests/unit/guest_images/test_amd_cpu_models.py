import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import UnsupportedError
from verdictd.guest_images.amd_cpu_models import encode_cpu_signature, find_cpu_signature


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("EPYC", 0x800F12),
        ("EPYC-Rome", 0x830F10),
        ("EPYC-Milan", 0xA00F11),
        ("EPYC-Genoa", 0xA10F10),
        ("EPYC-Turin", 0xB00F00),
    ],
)
def test_known_signatures(name: str, signature: int) -> None:
    assert find_cpu_signature(name) == signature


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnsupportedError, match="EPYC-Milan-v2"):
        find_cpu_signature("Skylake-Server")


@given(st.integers(0, 270), st.integers(0, 255), st.integers(0, 15))
def test_the_signature_is_read_back_as_the_manual_says(family: int, model: int, stepping: int) -> None:
    signature = encode_cpu_signature(family, model, stepping)
    base = signature >> 8 & 0xF
    assert base + (signature >> 20 if base == 0xF else 0) == family
    assert signature >> 16 & 0xF == model >> 4
    assert (signature >> 4 & 0xF, signature & 0xF) == (model & 0xF, stepping)


@pytest.mark.parametrize("numbers", [(271, 0, 0), (-1, 0, 0), (25, 256, 0), (25, -1, 0), (25, 0, 16), (25, 0, -1)])
def test_numbers_out_of_range_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(UnsupportedError):
        encode_cpu_signature(*numbers)
