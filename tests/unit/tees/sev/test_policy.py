"""The bits of a guest's policy."""

from verdictd.tees.sev.policy import GuestPolicy


def test_each_field_has_its_bits() -> None:
    for bit, name in enumerate(["nodbg", "noks", "es", "nosend", "domain", "sev"]):
        claims = GuestPolicy(1 << bit).as_claims()
        assert claims.pop(name) == 1
        assert set(claims.values()) == {0}
    assert GuestPolicy(0x04030000).as_claims()["api_major"] == 3
    assert GuestPolicy(0x04030000).as_claims()["api_minor"] == 4


def test_only_the_lowest_bit_forbids_debugging() -> None:
    assert GuestPolicy(0xFFFFFFFE).allows_debugging
    assert not GuestPolicy(1).allows_debugging
