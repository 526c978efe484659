"""Who may connect: counted in all and by site, and whoever is counted in is counted out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.ratstls.admission import Admission, identify_site
from verdictd.ratstls.limits import ServerLimits

HOSTS = ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a name", "a name"),
    ],
)
def test_what_counts_as_one_site(host: str, site: str) -> None:
    assert identify_site(host) == site


def test_one_site_cannot_take_what_others_may_have() -> None:
    admission = Admission(ServerLimits(max_connections=4, max_connections_per_address=2))
    assert [admission.admit("2001:db8::1"), admission.admit("2001:db8::2")] == [None, None]
    assert admission.admit("2001:db8::3") == (
        "there are 2 connections from 2001:db8::/64, the limit is 2 (raise --max-connections-per-address)"
    )
    assert [admission.admit("2001:db8:0:1::1"), admission.admit("192.0.2.1")] == [None, None]
    assert admission.admit("192.0.2.2") == "there are 4 connections, the limit is 4 (raise --max-connections)"
    admission.release("2001:db8::1")
    assert admission.admit("192.0.2.2") is None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(HOSTS)), max_size=60))
def test_counts_are_those_of_a_plain_list_whatever_comes_and_goes(steps: list[tuple[bool, str]]) -> None:
    admission = Admission(ServerLimits(max_connections=5, max_connections_per_address=2))
    there: list[str] = []
    for comes, host in steps:
        if not comes:
            if host in there:
                there.remove(host)
                admission.release(host)
            continue
        same = sum(identify_site(other) == identify_site(host) for other in there)
        refusal = admission.admit(host)
        assert (refusal is None) is (len(there) < 5 and same < 2)
        if refusal is None:
            there.append(host)
    assert admission.connections == len(there)
    for host in there:
        admission.release(host)
    assert admission.connections == 0
    assert admission._by_site == {}  # a site that is remembered for ever is a leak
