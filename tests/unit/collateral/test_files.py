import json
from base64 import encodebytes
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.collateral.endorser import APPRAISED, DAY, START, Endorser
from tests.unit.tees.simulated import YEAR_2050, in_year_zero, platform, signed_again
from verdictd.collateral.certificate_pool import CertificatePool
from verdictd.collateral.file_contents import NotCollateral, recognise
from verdictd.collateral.files import LoadedCollateral, load_collateral
from verdictd.collateral.items import CollateralItem, ItemKind, verify_item
from verdictd.core.errors import CollateralError, ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import MAX_COLLATERAL_FILE_BYTES
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.tees.dcap.collateral import (
    DocumentMember,
    RevocationList,
    SignedDocument,
    encode_signed_document,
)
from verdictd.tees.dcap.memory import FactMemory

MEMORY = FactMemory()


def answer(item: CollateralItem) -> bytes:
    """A document as the PCS answers it."""
    assert isinstance(item.raw, SignedDocument)
    member: DocumentMember = "tcbInfo" if item.kind is ItemKind.TCB_INFO else "enclaveIdentity"
    return encode_signed_document(item.raw, member)


def der(item: CollateralItem) -> bytes:
    assert isinstance(item.raw, RevocationList)
    return item.raw.der


def pem(item: CollateralItem) -> bytes:
    return b"-----BEGIN X509 CRL-----\n" + encodebytes(der(item)) + b"-----END X509 CRL-----\n"


def chain(endorser: Endorser, role: str) -> bytes:
    return endorser.platform.pki.chain("tcb-signing" if role == "tcb" else "platform-ca")


def verified(loaded: LoadedCollateral, endorser: Endorser) -> list[str]:
    """What the loaded items turn out to be, once verified."""
    return sorted(str(verify_item(item, endorser.roots, MEMORY).key.name) for item in loaded.items)


ALL = ["CRL of the PCK platform CA", "CRL of the root CA", "SGX QE identity"]


def test_a_single_file_in_the_form_of_dcap_qvl(endorser: Endorser, tmp_path: Path) -> None:
    path = tmp_path / "collateral.json"
    path.write_bytes(encode_collateral_file(endorser.platform.collateral(START)))
    loaded = load_collateral(path)
    assert verified(loaded, endorser) == [*ALL, f"SGX TCB info for FMSPC {endorser.fmspc.hex()}"]
    assert loaded.taken == ("collateral.json: a set of collateral (tcb_info, qe_identity, pck_crl, root_ca_crl)",)
    assert loaded.ignored == ()
    assert {item.source for item in loaded.items} == {str(path)}


def test_what_was_read_is_what_was_written(endorser: Endorser, tmp_path: Path) -> None:
    collateral = endorser.platform.collateral(START)
    path = tmp_path / "collateral.json"
    path.write_bytes(encode_collateral_file(collateral))
    found = {item.kind: item.raw for item in load_collateral(path).items}
    for kind in APPRAISED:
        raw = getattr(collateral, kind.value)
        read = found[kind]
        if isinstance(raw, SignedDocument):
            assert isinstance(read, SignedDocument)
            assert (read.body, read.signature, read.issuer_chain) == (raw.body, raw.signature, raw.issuer_chain)
        else:
            assert isinstance(read, RevocationList)
            assert (read.der, read.issuer_chain) == (raw.der, raw.issuer_chain)


def a_set(endorser: Endorser) -> dict[str, object]:
    members: dict[str, object] = json.loads(encode_collateral_file(endorser.platform.collateral(START)))
    return members


def test_an_incomplete_set_gives_what_it_holds(endorser: Endorser, tmp_path: Path) -> None:
    members = a_set(endorser)
    for name in ("qe_identity", "qe_identity_signature", "qe_identity_issuer_chain"):
        del members[name]
    members["root_ca_crl"] = None
    path = tmp_path / "c.json"
    path.write_text(json.dumps(members))
    assert [item.kind for item in load_collateral(path).items] == [ItemKind.TCB_INFO, ItemKind.PCK_CRL]


def test_an_older_set_without_the_crls_chain_finds_it_in_the_pck_chain(
    endorser: Endorser, stranger: Endorser, tmp_path: Path
) -> None:
    members = a_set(endorser)
    del members["pck_crl_issuer_chain"]
    path = tmp_path / "c.json"
    path.write_text(json.dumps(members))
    bare = next(item for item in load_collateral(path).items if item.kind is ItemKind.PCK_CRL)
    assert bare.raw.issuer_chain == b""
    members["pck_certificate_chain"] = endorser.platform.pki.chain("pck").decode()
    path.write_text(json.dumps(members))
    assert verified(load_collateral(path), endorser)[0] == "CRL of the PCK platform CA"
    members["pck_certificate_chain"] = stranger.platform.pki.chain("pck").decode()
    path.write_text(json.dumps(members))
    bare = next(item for item in load_collateral(path).items if item.kind is ItemKind.PCK_CRL)
    assert bare.raw.issuer_chain == b""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tcb_info_signature", None, "tcb_info_signature is missing"),
        ("tcb_info_signature", "00" * 63, "is 63 bytes long, expected 64"),
        ("tcb_info_signature", "zz", "is not hex text"),
        ("qe_identity_issuer_chain", None, "qe_identity_issuer_chain is missing"),
        ("qe_identity", {"id": "QE"}, "qe_identity is dict, expected text"),
        ("pck_crl", "not hex", "pck_crl is no CRL in DER, hex or PEM"),
        ("root_ca_crl", 5, "root_ca_crl is int, expected text"),
        ("tcb_info", "\ud800", "cannot be written|not text that can be written"),
        ("pck_crl_issuer_chain", "no chain", "pck_crl_issuer_chain holds no certificate"),
    ],
)
def test_a_broken_set_is_an_error_that_names_file_and_member(
    endorser: Endorser, tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(a_set(endorser) | {name: value}))
    with pytest.raises(CollateralError, match=message) as caught:
        load_collateral(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def save_answers(directory: Path, endorser: Endorser) -> None:
    """A directory as one gets it from a PCS with a command line client, under the PCS's names."""
    files = {
        "tcb_info.json": answer(endorser.tcb_info()) + b"\n",
        "identity": answer(endorser.qe_identity()),
        "pckcrl.crl": der(endorser.pck_crl()),
        "rootcacrl": der(endorser.root_ca_crl()).hex().encode(),
        "tcb-issuer-chain.pem": quote(chain(endorser, "tcb").decode(), safe="").encode(),
        "pck-crl-issuer-chain.pem": chain(endorser, "ca"),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)


def test_a_directory_of_saved_answers(endorser: Endorser, tmp_path: Path) -> None:
    save_answers(tmp_path, endorser)
    loaded = load_collateral(tmp_path)
    assert verified(loaded, endorser) == [*ALL, f"SGX TCB info for FMSPC {endorser.fmspc.hex()}"]
    assert sorted(loaded.taken) == [
        "identity: QE identity",
        "pck-crl-issuer-chain.pem: 2 certificates",
        "pckcrl.crl: the CRL of a PCK CA",
        "rootcacrl: the CRL of a root CA",
        "tcb-issuer-chain.pem: 2 certificates",
        "tcb_info.json: TCB info",
    ]
    assert loaded.ignored == ()


def test_chains_are_found_among_saved_headers(endorser: Endorser, tmp_path: Path) -> None:
    escaped = quote(chain(endorser, "tcb").decode(), safe="")
    headers = f"HTTP/1.1 200 OK\r\nRequest-ID: 5\r\nTCB-Info-Issuer-Chain: {escaped}\r\nContent-Length: 9\r\n\r\n"
    (tmp_path / "tcb_info.headers").write_bytes(headers.encode())
    (tmp_path / "tcb_info.json").write_bytes(answer(endorser.tcb_info()))
    loaded = load_collateral(tmp_path)
    assert loaded.taken == ("tcb_info.headers: 2 certificates", "tcb_info.json: TCB info")
    assert verified(loaded, endorser) == [f"SGX TCB info for FMSPC {endorser.fmspc.hex()}"]


def test_what_a_file_is_depends_on_its_content_alone(endorser: Endorser, tmp_path: Path) -> None:
    signer, root = x509.load_pem_x509_certificates(chain(endorser, "tcb"))
    files = [
        answer(endorser.tcb_info()),
        b"\xef\xbb\xbf \n" + answer(endorser.qe_identity()),
        pem(endorser.pck_crl()) + chain(endorser, "ca") + pem(endorser.root_ca_crl()),
        signer.public_bytes(Encoding.DER),
        root.public_bytes(Encoding.DER),
    ]
    for number, content in enumerate(files):
        (tmp_path / f"{number}.txt").write_bytes(content)
    loaded = load_collateral(tmp_path)
    assert verified(loaded, endorser) == [*ALL, f"SGX TCB info for FMSPC {endorser.fmspc.hex()}"]
    assert "3.txt: a certificate" in loaded.taken


def test_the_signer_that_is_not_of_that_key_is_not_taken(
    endorser: Endorser, stranger: Endorser, tmp_path: Path
) -> None:
    (tmp_path / "0.pem").write_bytes(chain(stranger, "tcb") + chain(stranger, "ca"))
    save_answers(tmp_path, endorser)
    (tmp_path / "strangers-tcb.json").write_bytes(answer(stranger.tcb_info()))
    (tmp_path / "strangers.crl").write_bytes(der(stranger.pck_crl()))
    loaded = load_collateral(tmp_path)
    assert len(loaded.items) == 6
    for item in loaded.items:
        owner = stranger if "strangers" in item.source else endorser
        verify_item(item, owner.roots, MEMORY)


def test_several_platforms_lie_side_by_side(endorser: Endorser, tmp_path: Path) -> None:
    save_answers(tmp_path, endorser)
    for number in range(5):
        (tmp_path / f"tcb{number}.json").write_bytes(answer(endorser.tcb_info(fmspc=bytes([number] * 6))))
    collateral = endorser.platform.collateral(START)
    (tmp_path / "set.json").write_bytes(encode_collateral_file(collateral))
    names = verified(load_collateral(tmp_path), endorser)
    assert [f"SGX TCB info for FMSPC {bytes([number] * 6).hex()}" in names for number in range(5)] == [True] * 5
    assert len(names) == 4 + 5 + 4


def test_what_is_no_collateral_is_ignored_and_listed(endorser: Endorser, tmp_path: Path) -> None:
    save_answers(tmp_path, endorser)
    key = b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "notes.json").write_text('{"todo": []}')
    (tmp_path / "broken.json").write_text('{"todo": ')
    (tmp_path / "qve.json").write_bytes(answer(endorser.qe_identity(enclave_id="QVE")))
    (tmp_path / "odd.json").write_text('{"enclaveIdentity": 5}')
    (tmp_path / "quote.bin").write_bytes(b"\x03\x00" + bytes(60) + chain(endorser, "ca") + b"\0")
    (tmp_path / "key.der").write_bytes(bytes.fromhex("3081870201003013"))
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden.json").write_bytes(b'{"tcbInfo"')
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "broken.json").write_bytes(b'{"tcbInfo"')
    loaded = load_collateral(tmp_path)
    assert len(loaded.items) == 4
    assert loaded.ignored == (
        "broken.json: not JSON",
        "empty: neither JSON, PEM, DER nor hex",
        "key.der: DER, but neither a CRL nor a certificate",
        "key.pem: neither JSON, PEM, DER nor hex",
        "notes.json: JSON, but no collateral",
        "odd.json: JSON, but no collateral",
        "quote.bin: neither JSON, PEM, DER nor hex",
        "qve.json: the identity of another enclave than a quoting enclave",
    )
    assert loaded.as_source().warnings[0] == f"{tmp_path}: ignored broken.json: not JSON"


@pytest.mark.parametrize("identity", ['{"id":[]}', '{"id":{}}', '{"id":null}', "{}", "[]", '"QE"'])
def test_an_identity_without_a_name_is_of_no_quoting_enclave(identity: str) -> None:
    (found,) = recognise(f'{{"enclaveIdentity":{identity}}}'.encode(), "file")
    assert isinstance(found, NotCollateral)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"tcbInfo": {', "it holds collateral, but is not JSON"),
        (b'{"tcb_info": "x", "tcb_info_signature"', "it holds collateral, but is not JSON"),
        (b'{"tcbInfo": 5}', "does not begin with"),
        (b'{"tcbInfo": {}, "signature": "00"}', "does not end with"),
        (b'{"enclaveIdentity": {"id": "QE"}}', "does not end with"),
        (
            b'{"tcbInfo": {"a": 1}, "signature": "%s"}' % (b"00" * 64),
            "TCB info .* was signed by none of the certificates",
        ),
        (b"-----BEGIN X509 CRL-----\nMIIB\n", "not one CRL in PEM"),
        (b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", "not an X.509 CRL"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "not certificates in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "not certificates in PEM"),
    ],
)
def test_collateral_that_is_broken_is_an_error_that_names_the_file(
    endorser: Endorser, tmp_path: Path, content: bytes, message: str
) -> None:
    save_answers(tmp_path, endorser)
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(CollateralError, match=message) as caught:
        load_collateral(tmp_path)
    assert str(tmp_path / "broken") in caught.value.message
    assert caught.value.remedy


def test_a_pck_crl_without_its_issuer_is_an_error_with_the_remedy(endorser: Endorser, tmp_path: Path) -> None:
    (tmp_path / "pck.crl").write_bytes(der(endorser.pck_crl()))
    with pytest.raises(CollateralError, match="expected 'Simulated SGX PCK Platform CA'") as caught:
        load_collateral(tmp_path)
    assert "issuer chain" in caught.value.remedy


def test_of_two_certificates_of_one_key_the_one_that_lasts_longer_is_taken(endorser: Endorser, tmp_path: Path) -> None:
    platform = endorser.platform
    spec = replace(platform.certificate_spec("tcb-signing"), not_after=START + DAY, serial_number=4711)
    short = platform.with_certificate("tcb-signing", spec, key=platform.pki.tcb_signing.key)
    (tmp_path / "a.pem").write_bytes(short.pki.chain("tcb-signing"))
    (tmp_path / "b.pem").write_bytes(chain(endorser, "tcb"))
    (tmp_path / "tcb.json").write_bytes(answer(endorser.tcb_info()))
    (item,) = load_collateral(tmp_path).items
    assert verify_item(item, endorser.roots, MEMORY).expires_at == START + 30 * DAY


@pytest.mark.parametrize("content", [b"", b"nothing", b"{}"])
def test_a_file_without_collateral_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no collateral") as caught:
        load_collateral(path)
    assert "file: " in caught.value.message


def test_an_empty_or_missing_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no collateral;"):
        load_collateral(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_collateral(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load_collateral(Path("x" * 5000))
    with pytest.raises(ConfigError, match="is no path: embedded null byte"):
        load_collateral(Path("x\0y"))


def test_certificates_are_limited(endorser: Endorser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_answers(tmp_path, endorser)
    monkeypatch.setattr("verdictd.collateral.certificate_pool._MAX_CERTIFICATES", 2)
    with pytest.raises(CollateralError, match="more than 2 different certificates"):
        load_collateral(tmp_path)
    monkeypatch.setattr("verdictd.collateral.certificate_pool._MAX_CERTIFICATES", 3)  # the root is there twice
    assert len(load_collateral(tmp_path).items) == 4


def test_sizes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_COLLATERAL_FILE_BYTES + 1)
    with pytest.raises(LimitExceededError, match="larger than"):
        load_collateral(path)
    path.write_bytes(b"x" * 60)
    (tmp_path / "other").write_bytes(b"x" * 60)
    monkeypatch.setattr("verdictd.collateral.files._MAX_TOTAL_BYTES", 100)
    with pytest.raises(LimitExceededError, match="together"):
        load_collateral(tmp_path)
    monkeypatch.setattr("verdictd.collateral.files._MAX_FILES", 1)
    with pytest.raises(LimitExceededError, match="holds 2 files"):
        load_collateral(tmp_path)


def test_a_certificate_whose_dates_cannot_be_read_is_no_collateral() -> None:
    sim = platform()
    changed = sim.with_certificate("tcb-signing", replace(sim.certificate_spec("tcb-signing"), not_after=YEAR_2050))
    body = in_year_zero(changed.pki.tcb_signing.certificate.tbs_certificate_bytes)
    with pytest.raises(MalformedError, match="year 0"):
        CertificatePool().add_der(signed_again(body, sim.pki.root_ca.key))
