"""The simulated AMD: certificates and CRLs in the form of genuine ones, and the key distribution service's answers."""

import stat
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.simulator.oracle import AT
from tests.vectors import needs_vectors, vector
from verdictd.core.errors import ConfigError
from verdictd.simulator.amd_certificates import AMDTCB, AMDProduct, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI, create_amd_pki
from verdictd.simulator.amd_store import amd_root_file, load_amd_pki
from verdictd.simulator.behaviour import Behaviour, Fault
from verdictd.simulator.kds_api import answer_kds
from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.service import ServiceRequest, SimulatedService

ARC = "1.3.6.1.4.1.3704.1."
CHIP = "5a" * 64
TURIN_CHIP = "5a" * 8
MILAN_PATH = f"/vcek/v1/Milan/{CHIP}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"
TURIN_PATH = f"/vcek/v1/Turin/{TURIN_CHIP}?fmcSPL=01&blSPL=01&teeSPL=02&snpSPL=03&ucodeSPL=204"
VLEK_PATH = "/vlek/v1/Milan/cert?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"
VECTORS = "sev-snp/virtee-sev/"


@pytest.fixture(autouse=True)
def serial_zero_is_known() -> Iterator[None]:
    """Genuine certificates have it, of which the library warns each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*serial number.*")
        yield


@pytest.fixture(scope="session")
def milan() -> AMDPKI:
    return create_amd_pki("Milan", AT)


@pytest.fixture(scope="session")
def turin(milan: AMDPKI) -> AMDPKI:
    """With Milan's keys, so that no others need be made: only the leaf differs in form."""
    return replace(milan, product="Turin")


def _ask(pki: AMDPKI, target: str, *, lifetime: timedelta | None = None) -> PCSAnswer:
    def find(product: AMDProduct) -> AMDPKI:
        assert product == pki.product
        return pki

    return answer_kds(target, find, AT, lifetime=lifetime)


def _leaf(pki: AMDPKI, target: str) -> x509.Certificate:
    found = _ask(pki, target)
    assert found.status == HTTPStatus.OK, found.body
    return x509.load_der_x509_certificate(found.body)


def _verify(certificate: x509.Certificate | x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    """Verify with SHA-384, PSS and a salt of 48 bytes, whatever the certificate says of itself."""
    key = issuer.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert certificate.issuer == issuer.subject
    if isinstance(certificate, x509.Certificate):
        signed = certificate.tbs_certificate_bytes
    else:
        signed = certificate.tbs_certlist_bytes
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    key.verify(certificate.signature, signed, pss, hashes.SHA384())


def _extensions(certificate: x509.Certificate) -> dict[str, bytes]:
    found = {}
    for extension in certificate.extensions:
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        assert not extension.critical
        found[extension.oid.dotted_string.removeprefix(ARC)] = extension.value.value
    return found


@pytest.mark.parametrize(("key_type", "path"), [("vcek", MILAN_PATH), ("vlek", VLEK_PATH)])
def test_chain_holds_from_leaf_to_root(milan: AMDPKI, key_type: str, path: str) -> None:
    chain = _ask(milan, f"/{key_type}/v1/Milan/cert_chain")
    assert chain.content_type == "application/x-pem-file"
    intermediate, root = x509.load_pem_x509_certificates(chain.body)
    leaf = _leaf(milan, path)
    _verify(leaf, intermediate)
    _verify(intermediate, root)
    _verify(root, root)
    for certificate in (intermediate, root):
        assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"


@pytest.mark.parametrize("key_type", ["vcek", "vlek"])
def test_crl_is_the_root_s(milan: AMDPKI, key_type: str) -> None:
    crl = x509.load_der_x509_crl(_ask(milan, f"/{key_type}/v1/Milan/crl").body)
    _verify(crl, milan.ark.certificate)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1
    assert crl.last_update_utc <= AT < (crl.next_update_utc or AT)


def test_vcek_states_chip_and_tcb(milan: AMDPKI) -> None:
    said = _extensions(_leaf(milan, MILAN_PATH))
    assert said["4"] == bytes.fromhex(CHIP)
    assert {number: said[number].hex() for number in ("1", "3.1", "3.2", "3.3", "3.8")} == {
        "1": "020100",
        "3.1": "020103",
        "3.2": "020100",
        "3.3": "020108",
        "3.8": "020173",
    }
    assert "5" not in said


def test_turin_states_the_fmc_too(turin: AMDPKI) -> None:
    said = _extensions(_leaf(turin, TURIN_PATH))
    assert said["4"] == bytes.fromhex(TURIN_CHIP)
    assert [said[number].hex() for number in ("1", "3.9", "3.1", "3.2", "3.3", "3.8")] == [
        "020101",
        "020101",
        "020101",
        "020102",
        "020103",
        "020200cc",
    ]


@needs_vectors
@pytest.mark.parametrize("path", [MILAN_PATH, TURIN_PATH, VLEK_PATH])
def test_certificate_has_the_genuine_form(milan: AMDPKI, turin: AMDPKI, path: str) -> None:
    genuine_path = {
        MILAN_PATH: f"{VECTORS}tests/certs_data/vcek_milan.der",
        TURIN_PATH: f"{VECTORS}tests/certs_data/vcek_turin.der",
        VLEK_PATH: "sev-snp/coco-trustee/verifier/snp/test-vlek.der",
    }[path]
    ours = _leaf(turin if path == TURIN_PATH else milan, path)
    genuine = x509.load_der_x509_certificate(vector(genuine_path))
    said, genuinely_said = _extensions(ours), _extensions(genuine)
    assert list(said) == list(genuinely_said)
    assert (said["1"], said["2"]) == (genuinely_said["1"], genuinely_said["2"])
    assert {number: value[0] for number, value in said.items() if number[0] in "35"} == {
        number: value[0] for number, value in genuinely_said.items() if number[0] in "35"
    }
    assert ours.serial_number == genuine.serial_number == 0
    assert ours.signature_algorithm_oid == genuine.signature_algorithm_oid
    assert [attribute.oid for attribute in ours.subject] == [attribute.oid for attribute in genuine.subject]
    for of in ("subject", "issuer"):
        names = [getattr(one, of).get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for one in (ours, genuine)]
        assert names[0] == names[1] or path == TURIN_PATH  # whose issuer here is Milan's
    years = [round((one.not_valid_after_utc - one.not_valid_before_utc).days / 365) for one in (ours, genuine)]
    assert years[0] == years[1]


@needs_vectors
@pytest.mark.parametrize("role", ["ark", "ask"])
def test_ca_certificates_have_the_genuine_form(milan: AMDPKI, role: str) -> None:
    ours = (milan.ark if role == "ark" else milan.ask).certificate
    genuine = x509.load_pem_x509_certificate(vector(f"{VECTORS}src/certs/snp/builtin/milan/{role}.pem"))
    said, genuinely_said = (
        {extension.oid.dotted_string: extension.critical for extension in one.extensions} for one in (ours, genuine)
    )
    assert said == genuinely_said
    for kind in (x509.BasicConstraints, x509.KeyUsage):
        values = [one.extensions.get_extension_for_class(kind).value for one in (ours, genuine)]
        assert values[0] == values[1]
    assert ours.serial_number == genuine.serial_number
    names = [one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for one in (ours, genuine)]
    assert names[0] == names[1]


def test_key_is_that_of_chip_and_tcb(milan: AMDPKI) -> None:
    def key(path: str) -> bytes:
        return _leaf(milan, path).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    other_chip = MILAN_PATH.replace("5a", "5b", 1)
    other_tcb = MILAN_PATH.replace("snpSPL=08", "snpSPL=09")
    assert key(MILAN_PATH) == key(MILAN_PATH)
    assert len({key(MILAN_PATH), key(other_chip), key(other_tcb), key(VLEK_PATH)}) == 4
    tcb = AMDTCB(bootloader=3, snp=8, microcode=115)
    private = milan.endorsement_key("vcek", bytes.fromhex(CHIP), tcb)
    assert key(MILAN_PATH) == private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_one_thing_said_can_be_damaged(milan: AMDPKI) -> None:
    spec = milan.spec("vcek", bytes.fromhex(CHIP), AMDTCB(), AT)
    der = issue_endorsement_key(replace(spec, omitted=frozenset({"3.3"})), milan.ask.key)
    damaged = x509.load_der_x509_certificate(der)
    assert "3.3" not in _extensions(damaged)
    _verify(damaged, milan.ask.certificate)


def test_what_is_issued_can_be_short_lived(milan: AMDPKI) -> None:
    ends = timedelta(seconds=5)
    leaf = x509.load_der_x509_certificate(_ask(milan, MILAN_PATH, lifetime=ends).body)
    crl = x509.load_der_x509_crl(_ask(milan, "/vcek/v1/Milan/crl", lifetime=ends).body)
    assert leaf.not_valid_after_utc == crl.next_update_utc == AT + ends


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        ("/vcek/v1/Rome/crl", HTTPStatus.NOT_FOUND, "Milan, Genoa, Turin"),
        ("/vcek/v2/Milan/crl", HTTPStatus.NOT_FOUND, "is not served"),
        ("/vcek/v1/milan/crl", HTTPStatus.NOT_FOUND, "is not served"),
        ("/vcek/v1/Milan/cert", HTTPStatus.BAD_REQUEST, "expected 128 hex digits"),
        (f"/vcek/v1/Milan/{TURIN_CHIP}", HTTPStatus.BAD_REQUEST, "expected 128 hex digits"),
        (f"/vcek/v1/Milan/{'00' * 64}", HTTPStatus.NOT_FOUND, "no chip"),
        (f"/vcek/v1/Milan/{'ff' * 8}{'5a' * 56}", HTTPStatus.NOT_FOUND, "no chip"),
        (f"/vlek/v1/Milan/{CHIP}", HTTPStatus.NOT_FOUND, "a VLEK is at 'cert'"),
        (f"/vcek/v1/Milan/{CHIP}?blSPL=256", HTTPStatus.BAD_REQUEST, "not 0 to 255"),
        (f"/vcek/v1/Milan/{CHIP}?blSPL=x", HTTPStatus.BAD_REQUEST, "not 0 to 255"),
        (f"/vcek/v1/Milan/{CHIP}?blSPL=1&blSPL=1", HTTPStatus.BAD_REQUEST, "more than once"),
    ],
)
def test_request_that_cannot_be_answered_gets_a_reason(
    milan: AMDPKI, target: str, status: HTTPStatus, reason: str
) -> None:
    found = _ask(milan, target)
    assert found.status == status
    assert reason in found.body.decode()


@settings(max_examples=50)
@given(st.text().map(lambda text: f"/vcek/v1/Milan/{text}") | st.text())
def test_any_target_gets_an_answer(milan: AMDPKI, target: str) -> None:
    assert _ask(milan, target).body


def test_certificates_are_made_once_and_kept(directory: Path) -> None:
    made = load_amd_pki(directory, "Genoa", AT)
    loaded = load_amd_pki(directory, "Genoa", AT + timedelta(days=1))
    assert loaded.chain("vcek") == made.chain("vcek")
    assert loaded.chain("vlek") == made.chain("vlek")
    assert amd_root_file(directory, "Genoa").read_bytes() == made.ark.pem
    places = [directory / "amd", directory / "amd" / "genoa"]
    assert {stat.S_IMODE(place.stat().st_mode) for place in places} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in places[1].iterdir()} == {0o600}
    SimulatedPlatform.load(directory)  # which does not mind
    (directory / "amd" / "genoa" / "ask-key.pem").write_bytes((directory / "pck-key.pem").read_bytes())
    with pytest.raises(ConfigError, match="is no simulated AMD"):
        load_amd_pki(directory, "Genoa", AT)


def test_service_answers_for_amd_with_its_faults(directory: Path) -> None:
    service = SimulatedService(directory, lambda: AT, behaviour=Behaviour())
    chain = ServiceRequest(method="GET", target="/vcek/v1/Milan/cert_chain")
    found, _ = service.respond(chain)
    assert found.body.endswith(amd_root_file(directory, "Milan").read_bytes())
    service.behaviour = Behaviour(faults=(Fault(route="/vcek/*", status=429, retry_after_s=30, times=1),))
    refused, _ = service.respond(chain)
    assert (int(refused.status), refused.headers) == (429, (("Retry-After", "30"),))
    assert service.respond(chain)[0] == found
    assert int(service.respond(replace(chain, method="POST"))[0].status) == HTTPStatus.NOT_FOUND
