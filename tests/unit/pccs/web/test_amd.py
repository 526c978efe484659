"""AMD's certificates at the paths of AMD's service."""

import pytest

from tests.unit.pccs.web.desk import Desk
from tests.unit.pccs.web.fakes import amd_item
from verdictd.collateral.amd_names import AMDCertificateName as Name
from verdictd.pccs.model import AMDProduct

CHIP = bytes(range(64))
TURIN_CHIP = CHIP[:8]
LEAF, PEM, CRL = "application/pkix-cert", "application/x-pem-file", "application/pkix-crl"
NUMBERS = "blSPL=3&teeSPL=1&snpSPL=22&ucodeSPL=213"
TCB = bytes([3, 1, 0, 0, 0, 0, 22, 213])
TURIN_TCB = bytes([9, 3, 1, 22, 0, 0, 0, 213])


@pytest.mark.parametrize(
    ("target", "name", "content_type"),
    [
        (f"/vcek/v1/Milan/{CHIP.hex()}?{NUMBERS}", Name("vcek", "Milan", "leaf", CHIP, TCB), LEAF),
        (f"/vcek/v1/genoa/{CHIP.hex().upper()}", Name("vcek", "Genoa", "leaf", CHIP, bytes(8)), LEAF),
        (
            f"/vcek/v1/Turin/{TURIN_CHIP.hex()}?fmcSPL=9&{NUMBERS}",
            Name("vcek", "Turin", "leaf", TURIN_CHIP, TURIN_TCB),
            LEAF,
        ),
        (
            f"/vcek/v1/Turin/{TURIN_CHIP.hex()}{'00' * 56}?fmcSPL=9&{NUMBERS}",
            Name("vcek", "Turin", "leaf", TURIN_CHIP, TURIN_TCB),
            LEAF,
        ),
        (f"/vlek/v1/Genoa/cert?{NUMBERS}", Name("vlek", "Genoa", "leaf", b"", TCB), LEAF),
        ("/vcek/v1/Milan/cert_chain", Name("vcek", "Milan", "cert_chain"), PEM),
        ("/vlek/v1/Turin/cert_chain", Name("vlek", "Turin", "cert_chain"), PEM),
        ("/vcek/v1/Milan/crl", Name("vcek", "Milan", "crl"), CRL),
        ("/vlek/v1/Milan/crl", Name("vlek", "Milan", "crl"), CRL),
    ],
)
@pytest.mark.parametrize("at_hand", [True, False])
def test_what_is_asked_for(target: str, name: Name, content_type: str, at_hand: bool) -> None:
    desk = Desk()
    (desk.amd.memory if at_hand else desk.amd.stored)[name] = amd_item(name, b"what it holds", desk.now)
    reply = desk.get(target)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"what it holds", content_type)


@pytest.mark.parametrize(
    "target",
    [
        f"/vcek/v1/Milan/{CHIP[:8].hex()}",
        f"/vcek/v1/Milan/{CHIP.hex()}00",
        f"/vcek/v1/Milan/{CHIP.hex()[:-1]}g",
        f"/vcek/v1/Turin/{CHIP.hex()}",
        f"/vcek/v1/Turin/{CHIP[:7].hex()}",
        f"/vcek/v1/Milan/{CHIP.hex()}?fmcSPL=1",
        f"/vcek/v1/Milan/{CHIP.hex()}?blSPL=256",
        f"/vcek/v1/Milan/{CHIP.hex()}?snpSPL=",
        f"/vcek/v1/Milan/{CHIP.hex()}?snpSPL=-1",
        "/vlek/v1/Milan/cert?ucodeSPL=0x10",
    ],
)
def test_requests_refused(target: str) -> None:
    reply = Desk().get(target)
    assert (reply.status, reply.headers["error-code"]) == (400, "invalid-parameter")


@pytest.mark.parametrize("target", ["/vcek/v1/Naples/cert_chain", "/vlek/v1/Milan/" + CHIP.hex(), "/vcek/v2/Milan/crl"])
def test_what_there_is_not(target: str) -> None:
    reply = Desk().get(target)
    assert (reply.status, reply.headers["error-code"]) == (404, "no-such-path")


@pytest.mark.parametrize("product", ["Milan", "Turin"])
def test_amd_limits_how_often_it_is_asked(product: AMDProduct) -> None:
    reply = Desk().get(f"/vcek/v1/{product}/crl")
    assert (reply.status, reply.headers["retry-after"], reply.headers["error-code"]) == (503, "7", "rate-limited")
