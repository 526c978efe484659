"""Which roots are trusted: Hygon's own, or those that are named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.tees.csv.inputs import HYGON, OTHER
from verdictd.core.errors import ConfigError
from verdictd.simulator.hygon_certificates import VendorCertificateSpec, issue_vendor_certificate
from verdictd.tees.csv.roots import HygonRoot, HygonRoots, hygon_root, parse_hygon_root
from verdictd.tees.psp.certificate import KeyUsage

ROOT = KeyUsage.VENDOR_ROOT


def test_hygons_own_root() -> None:
    root = hygon_root()
    assert root.key.name == b"HYGON-SSD-HRK"
    assert root.key.encoded.hex().startswith("be62e14d62a4f14c")
    assert root.fingerprint != parse_hygon_root(HYGON.hrk_certificate, "x").fingerprint
    assert len(root.fingerprint) == 64


def test_a_root_that_is_named() -> None:
    root = parse_hygon_root(HYGON.hrk_certificate, "hrk.cert")
    assert (root.label, root.key_id) == ("hrk.cert", HYGON.key_id(ROOT))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda spec: replace(spec, usage=0x13), "usage 0x13"),
        (lambda spec: replace(spec, issuer_id=bytes(16)), "another key signs it"),
        (lambda spec: replace(spec, version=2), "version 2"),
        (lambda spec: replace(spec, key=OTHER.key(ROOT).public_key), "does not verify"),
    ],
)
def test_what_is_no_root_is_refused(
    change: Callable[[VendorCertificateSpec], VendorCertificateSpec], found: str
) -> None:
    certificate = issue_vendor_certificate(change(HYGON.vendor_spec(ROOT)), HYGON.key(ROOT))
    with pytest.raises(ConfigError, match=found) as caught:
        parse_hygon_root(certificate, "hrk.cert")
    assert "hrk.cert" in caught.value.message
    assert caught.value.remedy


def test_no_roots_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="no root"):
        HygonRoots(())
    with pytest.raises(ValueError, match="16 bytes"):
        HygonRoot(hygon_root().key, b"", "x")
