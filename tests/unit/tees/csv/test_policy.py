"""The bits of a guest's policy."""

from verdictd.tees.csv.policy import GuestPolicy


def test_each_field_has_its_bits() -> None:
    names = ["nodbg", "noks", "es", "nosend", "domain", "csv", "csv3", "asid_reuse"]
    for bit, name in enumerate(names):
        claims = GuestPolicy(1 << bit).as_claims()
        assert claims.pop(name) == 1
        assert set(claims.values()) == {0}
    claims = GuestPolicy(0x04032100).as_claims()
    assert {name: value for name, value in claims.items() if value} == {
        "hsk_version": 1,
        "cek_version": 2,
        "api_major": 3,
        "api_minor": 4,
    }


def test_only_the_lowest_bit_forbids_debugging() -> None:
    assert GuestPolicy(0).allows_debugging
    assert GuestPolicy(0xFFFFFFFE).allows_debugging
    assert not GuestPolicy(1).allows_debugging
