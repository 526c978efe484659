"""The SGX extension of a PCK certificate, and what makes a certificate a PCK certificate."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.simulated import other, platform, roots_of
from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.simulator.certificate_builder import CertificateSpec, simulated_name
from verdictd.simulator.der_encoding import (
    encode_boolean,
    encode_enumerated,
    encode_integer,
    encode_object_identifier,
    encode_octets,
    encode_sequence,
)
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.sgx_extension import encode_sgx_extension
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import VerifiedPCK, parse_sgx_extension, verify_pck_chain

OID = "1.2.840.113741.1.13.1"
SVNS = bytes((14, 14, 3, 3, 255, 255, 1, 0, 128, 127, 2, 9, 10, 11, 12, 200))


def member(name: str, value: bytes) -> bytes:
    return encode_sequence(encode_object_identifier(f"{OID}.{name}"), value)


def tcb_members() -> dict[str, bytes]:
    components = {f"2.{number}": encode_integer(svn) for number, svn in enumerate(SVNS, 1)}
    return components | {"2.17": encode_integer(13), "2.18": encode_octets(bytes(range(16)))}


def top_members() -> dict[str, bytes]:
    return {
        "1": encode_octets(b"P" * 16),
        "2": encode_sequence(*(member(name, value) for name, value in tcb_members().items())),
        "3": encode_octets(b"\x12\x34"),
        "4": encode_octets(b"FMSPC!"),
        "5": encode_enumerated(1),
        "6": encode_octets(b"I" * 16),
        "7": encode_sequence(
            member("7.1", encode_boolean(True)),
            member("7.2", encode_boolean(False)),
            member("7.3", encode_boolean(True)),
        ),
    }


def extension(top: dict[str, bytes] | None = None, tcb: dict[str, bytes] | None = None) -> bytes:
    """The extension with members replaced; an empty value takes its member out."""
    inner = tcb_members() | (tcb or {})
    outer = top_members()
    outer["2"] = encode_sequence(*(member(name, value) for name, value in inner.items() if value))
    outer |= top or {}
    return encode_sequence(*(member(name, value) for name, value in outer.items() if value))


def retagged(der: bytes, tag: int) -> bytes:
    return bytes([tag]) + der[1:]


def test_every_member_is_read() -> None:
    identity = parse_sgx_extension(extension())
    assert identity.ppid == b"P" * 16
    assert identity.components == SVNS
    assert identity.pce_svn == 13
    assert identity.cpu_svn == bytes(range(16))
    assert identity.pce_id == b"\x12\x34"
    assert identity.fmspc == b"FMSPC!"
    assert identity.sgx_type == "scalable"
    assert identity.platform_instance_id == b"I" * 16
    assert identity.configuration == ("dynamic_platform", "smt_enabled")


def test_a_processor_cas_extension_has_neither_instance_nor_configuration() -> None:
    identity = parse_sgx_extension(extension({"6": b"", "7": b""}))
    assert (identity.platform_instance_id, identity.configuration) == (None, ())


def test_members_may_stand_in_any_order() -> None:
    tcb = encode_sequence(*(member(name, value) for name, value in reversed(tcb_members().items())))
    members = [member(name, value) for name, value in (top_members() | {"2": tcb}).items()]
    assert parse_sgx_extension(encode_sequence(*reversed(members))) == parse_sgx_extension(extension())


@pytest.mark.parametrize("name", ["1", "2", "3", "4", "5"])
def test_no_required_member_may_be_absent(name: str) -> None:
    with pytest.raises(MalformedError, match="lacks member"):
        parse_sgx_extension(extension({name: b""}))


@pytest.mark.parametrize("number", range(1, 19))
def test_no_member_of_the_tcb_may_be_absent(number: int) -> None:
    """An SVN that is not stated must not count as one that is high enough."""
    with pytest.raises(MalformedError, match="lacks member"):
        parse_sgx_extension(extension(tcb={f"2.{number}": b""}))


@pytest.mark.parametrize("number", range(1, 17))
def test_every_component_is_read_from_its_own_member(number: int) -> None:
    identity = parse_sgx_extension(extension(tcb={f"2.{number}": encode_integer(77)}))
    assert identity.components == SVNS[: number - 1] + b"\x4d" + SVNS[number:]


@settings(max_examples=150, deadline=None)
@given(
    components=st.binary(min_size=16, max_size=16),
    pce_svn=st.integers(0, 0xFFFF),
    cpu_svn=st.binary(min_size=16, max_size=16),
    order=st.permutations(range(18)),
)
def test_the_tcb_is_read_alike_in_its_usual_order_and_in_any(
    components: bytes, pce_svn: int, cpu_svn: bytes, order: list[int]
) -> None:
    svns = [*components, pce_svn]
    members = [member(f"2.{number}", encode_integer(svn)) for number, svn in enumerate(svns, 1)]
    members.append(member("2.18", encode_octets(cpu_svn)))
    for tcb in (members, [members[number] for number in order]):
        identity = parse_sgx_extension(extension({"2": encode_sequence(*tcb)}))
        assert (identity.components, identity.pce_svn, identity.cpu_svn) == (components, pce_svn, cpu_svn)


@pytest.mark.parametrize("svn", [0, 1, 127, 128, 255])
def test_a_components_whole_range_is_read(svn: int) -> None:
    assert parse_sgx_extension(extension(tcb={"2.1": encode_integer(svn)})).components[0] == svn


@pytest.mark.parametrize("svn", [0, 127, 128, 255, 256, 32767, 32768, 65535])
def test_the_pcesvns_whole_range_is_read(svn: int) -> None:
    assert parse_sgx_extension(extension(tcb={"2.17": encode_integer(svn)})).pce_svn == svn


@pytest.mark.parametrize(
    ("tcb", "message"),
    [
        ({"2.1": encode_integer(256)}, "TCB component 1 is 256, expected 0 to 255"),
        ({"2.16": bytes.fromhex("0201ff")}, "TCB component 16 is -1"),
        ({"2.3": bytes.fromhex("02020003")}, "shortest form"),
        ({"2.3": bytes.fromhex("0200")}, "shortest form"),
        ({"2.3": encode_octets(b"\3")}, "expected an INTEGER"),
        ({"2.3": encode_integer(3) + encode_integer(3)}, "follow"),
        ({"2.17": encode_integer(65536)}, "PCESVN is 65536, expected 0 to 65535"),
        ({"2.17": bytes.fromhex("0202ffff")}, "PCESVN is -1"),
        ({"2.18": encode_octets(bytes(15))}, "CPUSVN is 15 bytes long, expected 16"),
        ({"2.18": encode_integer(1)}, "CPUSVN has the DER tag 0x02"),
    ],
)
def test_svns_are_read_strictly(tcb: dict[str, bytes], message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_sgx_extension(extension(tcb=tcb))


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"1": encode_octets(bytes(15))}, "PPID is 15 bytes long, expected 16"),
        ({"3": encode_octets(bytes(3))}, "PCEID is 3 bytes long, expected 2"),
        ({"4": encode_octets(bytes(7))}, "FMSPC is 7 bytes long, expected 6"),
        ({"4": encode_octets(b"FMSPC!") + encode_octets(b"FMSPC?")}, "follow"),
        ({"5": encode_enumerated(3)}, "SGX type is 3, known are 0, 1 and 2"),
        ({"6": encode_octets(bytes(17))}, "platform instance id is 17 bytes"),
        ({"8": encode_octets(b"?")}, "unknown members"),
        ({"0": encode_octets(b"?")}, "unknown members"),
        ({"4.1": encode_octets(b"FMSPC!")}, "unknown members"),
    ],
)
def test_members_are_read_strictly(top: dict[str, bytes], message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_sgx_extension(extension(top))


def test_no_member_may_be_there_twice() -> None:
    """Which of two FMSPCs holds would otherwise depend on who reads them."""
    for name, value in top_members().items():
        members = [member(each, of) for each, of in top_members().items()]
        with pytest.raises(MalformedError, match="repeated"):
            parse_sgx_extension(encode_sequence(*members, member(name, value)))
    tcb = [member(each, of) for each, of in tcb_members().items()]
    with pytest.raises(MalformedError, match="repeated"):
        parse_sgx_extension(extension({"2": encode_sequence(*tcb, member("2.1", encode_integer(255)))}))


def test_members_are_sequences() -> None:
    """One that is not, or all of them: SET and SEQUENCE are different types."""
    names = list(top_members())
    for wrong in ([names[0]], names[-1:], names):
        members = [
            retagged(member(name, value), 0x31 if name in wrong else 0x30) for name, value in top_members().items()
        ]
        with pytest.raises(MalformedError):
            parse_sgx_extension(encode_sequence(*members))
    tcb = [retagged(member(name, value), 0x31) for name, value in tcb_members().items()]
    with pytest.raises(MalformedError):
        parse_sgx_extension(extension({"2": encode_sequence(*tcb)}))


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x00", encode_octets(b"x"), b"\x30\x80\x00\x00", b"\x30\x01\x00"])
def test_what_is_no_such_sequence_is_malformed(der: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_sgx_extension(der)


def test_bytes_behind_the_extension_are_refused() -> None:
    with pytest.raises(MalformedError, match="follow"):
        parse_sgx_extension(extension() + b"\0")


def verify(
    role: CertificateRole, change: Callable[[CertificateSpec], CertificateSpec], pem: bytes | None = None
) -> VerifiedPCK:
    """Verify the simulated PCK chain with one certificate of it issued anew."""
    sim = platform()
    changed = sim.with_certificate(role, change(sim.certificate_spec(role)))
    return verify_pck_chain(pem or changed.pki.chain("pck"), roots_of(sim), FactMemory())


def test_a_genuine_chain_names_its_platform() -> None:
    verified = verify("pck", lambda spec: spec)
    assert verified.platform == parse_sgx_extension(encode_sgx_extension(platform().sgx_extension_spec()))
    assert verified.key == platform().pki.pck.key.public_key()
    assert verified.ca_type == "platform"
    assert verified.chain.root.certificate == platform().pki.root_ca.certificate
    assert verified.chain.issuer.certificate == platform().pki.platform_ca.certificate


def test_the_processor_ca_is_told_from_the_platform_ca() -> None:
    name = simulated_name("Simulated SGX PCK Processor CA")
    sim = platform()
    processor = sim.with_certificate("platform-ca", replace(sim.certificate_spec("platform-ca"), subject=name))
    leaf = processor.with_certificate("pck", replace(sim.certificate_spec("pck"), issuer=name))
    assert verify_pck_chain(leaf.pki.chain("pck"), roots_of(sim), FactMemory()).ca_type == "processor"


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        ("pck", lambda spec: replace(spec, subject=simulated_name("Somebody")), "expected an SGX PCK Certificate"),
        ("pck", lambda spec: replace(spec, subject=x509.Name([])), "expected an SGX PCK Certificate"),
        ("pck", lambda spec: replace(spec, sgx_extension=None), "no SGX extension"),
        ("pck", lambda spec: replace(spec, sgx_extension=b""), "cut off"),
        ("pck", lambda spec: replace(spec, sgx_extension=b"\x30\x00"), "lacks member"),
        ("pck", lambda spec: replace(spec, hash_algorithm=hashes.SHA384()), "not signed with ECDSA and SHA-256"),
        ("platform-ca", lambda spec: replace(spec, is_ca=False, path_length=None), "no CA that may sign"),
        ("platform-ca", lambda spec: replace(spec, may_sign_certificates=False), "no CA that may sign"),
        ("platform-ca", lambda spec: replace(spec, omitted=frozenset({x509.KeyUsage.oid})), "does not say"),
        ("platform-ca", lambda spec: replace(spec, omitted=frozenset({x509.BasicConstraints.oid})), "does not say"),
    ],
)
def test_what_is_no_pck_chain_is_refused(
    role: CertificateRole, change: Callable[[CertificateSpec], CertificateSpec], message: str
) -> None:
    with pytest.raises((AuthenticityError, MalformedError), match=message):
        verify(role, change)


def test_a_ca_of_another_kind_issues_no_pck_certificate() -> None:
    sim = platform()
    name = simulated_name("Simulated SGX Something CA")
    renamed = sim.with_certificate("platform-ca", replace(sim.certificate_spec("platform-ca"), subject=name))
    leaf = renamed.with_certificate("pck", replace(sim.certificate_spec("pck"), issuer=name))
    with pytest.raises(AuthenticityError, match="expected an SGX PCK Platform or Processor CA"):
        verify_pck_chain(leaf.pki.chain("pck"), roots_of(sim), FactMemory())


def test_the_root_issues_no_pck_certificate() -> None:
    sim = platform()
    spec = replace(sim.certificate_spec("pck"), issuer=sim.pki.root_ca.certificate.subject)
    direct = sim.with_certificate("pck", spec, signer=sim.pki.root_ca.key)
    with pytest.raises(AuthenticityError, match="expected an SGX PCK Platform or Processor CA"):
        verify_pck_chain(direct.pki.pck.pem + sim.trust_root_pem, roots_of(sim), FactMemory())


def test_a_root_that_bears_a_pck_cas_name_issues_none_either() -> None:
    """One CA must stand between root and PCK certificate, whatever the root is called."""
    sim = platform()
    name = simulated_name("Simulated SGX PCK Platform CA")
    root = sim.with_certificate("root-ca", replace(sim.certificate_spec("root-ca"), subject=name, issuer=name))
    direct = root.with_certificate("pck", sim.certificate_spec("pck"), signer=sim.pki.root_ca.key)
    with pytest.raises(AuthenticityError, match="expected an SGX PCK Platform or Processor CA"):
        verify_pck_chain(direct.pki.pck.pem, roots_of(root), FactMemory())


def test_another_vendors_chain_is_refused_by_name_of_what_is_trusted() -> None:
    with pytest.raises(AuthenticityError, match="not trusted; trusted: simulated") as caught:
        verify_pck_chain(platform().pki.chain("pck"), roots_of(other()), FactMemory())
    assert "--trust-root" in caught.value.remedy
