"""Which roots are trusted for SEV: AMD's own, or those that are named."""

import pytest

from tests.unit.tees.sev.inputs import ask_ark, flipped, roots, sim
from verdictd.core.errors import ConfigError
from verdictd.tees.sev.roots import ARK_SHA256, SEVRoots, amd_sev_roots, parse_sev_root
from verdictd.tees.sev.vendor_certificate import parse_vendor_certificate


def test_amds_own_roots_are_one_for_each_product() -> None:
    assert [root.label for root in amd_sev_roots()] == [f"AMD ARK {product}" for product in ARK_SHA256]
    assert {len(bytes.fromhex(root.fingerprint)) for root in amd_sev_roots()} == {32}
    assert SEVRoots(amd_sev_roots()).find(parse_vendor_certificate(sim().ark_certificate, "it")) is None


def test_a_root_that_is_named_is_found() -> None:
    certificate = parse_vendor_certificate(sim().ark_certificate, "it")
    assert roots().find(certificate) == parse_sev_root(sim().ark_certificate, "ark.cert")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "shorter"),
        (ask_ark()[:832], "usage 0x13"),
        (sim().ark_certificate[:576], "its signature is 0 bytes long"),
        (flipped(sim().ark_certificate, 8 * 20), "does not verify"),
    ],
)
def test_what_is_no_root_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as caught:
        parse_sev_root(data, "ark.cert")
    assert "ark.cert" in caught.value.message


def test_no_roots_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="no root"):
        SEVRoots(())
