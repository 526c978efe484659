"""Chains: whatever stands in a PEM, in whatever order, only a path of sound links to a trusted root is taken."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.tees.simulated import AT, YEAR_2050, in_year_zero, other, pem_of, platform, roots_of, signed_again
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES
from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate, simulated_name
from verdictd.simulator.keys import PrivateKey, generate_key
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.certificates import VerifiedChain, p256_key, verify_pem_chain
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots
from verdictd.tees.dcap.x509_names import parse_certificate


def verify(pem: bytes, roots: TrustRoots | None = None, memory: FactMemory | None = None) -> VerifiedChain:
    return verify_pem_chain(pem, roots or roots_of(platform()), "the chain", memory or FactMemory())


def chain() -> tuple[bytes, bytes, bytes]:
    pki = platform().pki
    return pki.pck.pem, pki.platform_ca.pem, pki.root_ca.pem


def issued(common_name: str, issuer: str, key: PrivateKey, signer: PrivateKey, **changes: object) -> x509.Certificate:
    """A certificate of a made-up PKI."""
    spec = CertificateSpec(
        subject=simulated_name(common_name),
        issuer=simulated_name(issuer),
        serial_number=x509.random_serial_number(),
        not_before=AT - timedelta(days=1),
        not_after=AT + timedelta(days=1),
        public_key=key.public_key(),
        authority_key=signer.public_key(),
        crl_url="https://tee-sim.invalid/crl",
    )
    return issue_certificate(replace(spec, **changes), signer)  # type: ignore[arg-type]


YEAR_2051 = datetime(2051, 1, 1, tzinfo=UTC)
CA = {"is_ca": True, "may_sign_certificates": True}


def pki_of_depth(depth: int) -> tuple[TrustRoots, list[x509.Certificate]]:
    """A root without path length, and a path of that many CAs and a leaf below it, the leaf first."""
    keys = [generate_key() for _ in range(depth + 2)]
    names = ["Root", *(f"CA {number}" for number in range(depth)), "Leaf"]
    root = issued("Root", "Root", keys[0], keys[0], **CA)
    path = [
        issued(
            names[number], names[number - 1], keys[number], keys[number - 1], **(CA if names[number] != "Leaf" else {})
        )
        for number in range(1, depth + 2)
    ]
    return TrustRoots((TrustRoot(root, "made up"),)), path[::-1]


def test_a_genuine_chain() -> None:
    verified = verify(b"".join(chain()))
    pki = platform().pki
    assert verified.leaf.certificate == pki.pck.certificate
    assert verified.issuer.certificate == pki.platform_ca.certificate
    assert verified.root.certificate == pki.root_ca.certificate
    certificates = (pki.pck.certificate, pki.platform_ca.certificate, pki.root_ca.certificate)
    assert verified.not_before == max(each.not_valid_before_utc for each in certificates)
    assert verified.not_after == min(each.not_valid_after_utc for each in certificates)


@pytest.mark.parametrize("shortest", ["pck", "platform-ca", "root-ca"])
def test_the_chain_is_valid_as_long_as_each_of_its_certificates(shortest: CertificateRole) -> None:
    sim = platform()
    until, since = AT + timedelta(hours=5), AT + timedelta(hours=1)
    spec = replace(sim.certificate_spec(shortest), not_after=until, not_before=since)
    short = sim.with_certificate(shortest, spec)
    verified = verify(short.pki.chain("pck"), roots_of(short))
    assert (verified.not_before, verified.not_after) == (since, until)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_will_do(order: tuple[int, ...]) -> None:
    assert verify(b"".join(chain()[number] for number in order)) == verify(b"".join(chain()))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_root_need_not_come_along(order: tuple[int, ...]) -> None:
    assert verify(b"".join(chain()[number] for number in order)) == verify(b"".join(chain()))


def test_certificates_that_come_twice_count_once() -> None:
    leaf, ca, root = chain()
    for pem in (leaf + leaf + ca + root, leaf + ca + ca + root, leaf + ca + root + root, root + ca + leaf + ca):
        assert verify(pem).leaf == verify(b"".join(chain())).leaf


def test_text_around_the_certificates_is_no_part_of_them() -> None:
    """Quotes end theirs with NUL, files have lines of text, mails of some systems carry carriage returns."""
    leaf, ca, root = chain()
    plain = verify(leaf + ca + root)
    for pem in (
        leaf + ca + root + b"\0",
        b"subject: a PCK\n" + leaf + b"\n\n" + ca + b"text" + root,
        (leaf + ca + root).replace(b"\n", b"\r\n"),
        (leaf + ca + root).rstrip(b"\n"),
    ):
        assert verify(pem) == plain


@cache
def strangers() -> dict[str, bytes]:
    key = generate_key()
    intermediate = platform().pki.platform_ca.certificate
    return {
        "another vendor's PCK": other().pki.pck.pem,
        "another vendor's CA of the same name": other().pki.platform_ca.pem,
        "another vendor's root of the same name": other().pki.root_ca.pem,
        "the platform's own TCB signer": platform().pki.tcb_signing.pem,
        "a self-signed stranger": pem_of(issued("Stranger", "Stranger", key, key, **CA)),
        "a stranger issued by nobody there": pem_of(issued("Stranger", "Nobody", key, key)),
        "a stranger who names the CA": pem_of(issued("Stranger", "Simulated SGX PCK Platform CA", key, key)),
        "a stranger who names himself the CA": pem_of(
            issued("Simulated SGX PCK Platform CA", "Nobody", key, key, **CA)
        ),
        "the root's key under another name": pem_of(
            issued("Stranger", "Stranger", platform().pki.root_ca.key, platform().pki.root_ca.key, **CA)
        ),
        "a claim to the root's key under another name, signed by nobody": pem_of(
            issued("Stranger", "Stranger", key, key, **(CA | {"public_key": platform().pki.root_ca.key.public_key()}))
        ),
        "the CA, reissued": pem_of(
            issue_certificate(
                replace(platform().certificate_spec("platform-ca"), serial_number=intermediate.serial_number + 1),
                platform().pki.root_ca.key,
            )
        ),
    }


@pytest.mark.parametrize("stranger", sorted(strangers()))
@pytest.mark.parametrize("place", range(4))
def test_nothing_but_the_path_may_be_there(stranger: str, place: int) -> None:
    blocks = list(chain())
    blocks.insert(place, strangers()[stranger])
    with pytest.raises(AuthenticityError):
        verify(b"".join(blocks))


def test_another_vendors_root_is_none_even_with_ours_beside_it() -> None:
    both = roots_of(platform(), other())
    assert verify(platform().pki.chain("pck"), both).root.certificate == platform().pki.root_ca.certificate
    assert verify(other().pki.chain("pck"), both).root.certificate == other().pki.root_ca.certificate
    leaf, ca, _ = chain()
    with pytest.raises(AuthenticityError):
        verify(leaf + ca + other().pki.root_ca.pem, roots_of(platform()))
    with pytest.raises(AuthenticityError, match="not trusted"):
        verify(b"".join(chain()), roots_of(other()))


def test_a_root_reissued_with_its_key_is_the_same_root() -> None:
    """Intel has issued its root's certificate more than once. What vouches is the certificate that is trusted."""
    sim = platform()
    spec = replace(sim.certificate_spec("root-ca"), serial_number=4711)
    reissued = sim.with_certificate("root-ca", spec)
    leaf, ca, _ = chain()
    assert verify(leaf + ca + reissued.pki.root_ca.pem).root.certificate == sim.pki.root_ca.certificate


@pytest.mark.parametrize(
    "role_and_kind", [("pck", "leaf"), ("platform-ca", "CA")], ids=lambda role_and_kind: role_and_kind[1]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: replace(spec, hash_algorithm=hashes.SHA384()), "not signed with ECDSA and SHA-256"),
        (lambda spec: replace(spec, hash_algorithm=hashes.SHA512()), "not signed with ECDSA and SHA-256"),
        (
            lambda spec: replace(
                spec, added=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""), True),)
            ),
            "critical extension 1.2.3",
        ),
    ],
    ids=["SHA-384", "SHA-512", "critical extension"],
)
def test_each_link_is_checked(
    role_and_kind: tuple[CertificateRole, str], change: Callable[[CertificateSpec], CertificateSpec], message: str
) -> None:
    role, _ = role_and_kind
    sim = platform()
    changed = sim.with_certificate(role, change(sim.certificate_spec(role)))
    with pytest.raises(AuthenticityError, match=message):
        verify(changed.pki.chain("pck"))


@pytest.mark.parametrize("role", ["pck", "platform-ca"])
def test_each_signature_is_verified(role: CertificateRole) -> None:
    sim = platform()
    forged = sim.with_certificate(role, sim.certificate_spec(role), signer=generate_key())
    with pytest.raises(AuthenticityError, match="does not verify under its issuer's key"):
        verify(forged.pki.chain("pck"))


@pytest.mark.parametrize("role", ["platform-ca", "root-ca"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: replace(spec, is_ca=False, path_length=None), "is no CA that may sign certificates"),
        (lambda spec: replace(spec, may_sign_certificates=False), "is no CA that may sign certificates"),
        (lambda spec: replace(spec, omitted=frozenset({x509.KeyUsage.oid})), "does not say that it is a CA"),
        (lambda spec: replace(spec, omitted=frozenset({x509.BasicConstraints.oid})), "does not say that it is a CA"),
    ],
    ids=["no CA", "may not sign", "no key usage", "no constraints"],
)
def test_each_issuer_says_that_it_is_a_ca(
    role: CertificateRole, change: Callable[[CertificateSpec], CertificateSpec], message: str
) -> None:
    sim = platform()
    changed = sim.with_certificate(role, change(sim.certificate_spec(role)))
    trusted = TrustRoots((TrustRoot(changed.pki.root_ca.certificate, "changed"),))
    with pytest.raises(AuthenticityError, match=message):
        verify(changed.pki.chain("pck"), trusted)


@pytest.mark.parametrize(("path_length", "holds"), [(None, True), (2, True), (1, True), (0, False)])
def test_path_length_of_the_root_counts_the_cas_below_it(path_length: int | None, holds: bool) -> None:
    sim = platform()
    changed = sim.with_certificate("root-ca", replace(sim.certificate_spec("root-ca"), path_length=path_length))
    if holds:
        assert verify(changed.pki.chain("pck"), roots_of(changed)).root.certificate == changed.pki.root_ca.certificate
    else:
        with pytest.raises(AuthenticityError, match=r"more CAs stand below .* than it allows \(0\)"):
            verify(changed.pki.chain("pck"), roots_of(changed))


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_paths_of_any_length_are_followed(depth: int) -> None:
    roots, path = pki_of_depth(depth)
    verified = verify(b"".join(map(pem_of, path[::-1])), roots)
    assert verified.leaf.certificate == path[0]
    assert [issuer.certificate for issuer in verified.issuers.certificates] == [*path[1:], roots.roots[0].certificate]


def test_a_missing_intermediate_breaks_the_path() -> None:
    roots, path = pki_of_depth(2)
    leaf, lower, upper = map(pem_of, path)
    assert verify(leaf + lower + upper, roots).leaf.certificate == path[0]
    for broken in (leaf + upper, leaf + lower, leaf):
        with pytest.raises(AuthenticityError):
            verify(broken, roots)


def test_a_path_that_begins_with_a_ca_is_one_too() -> None:
    """CRLs come with such chains. Whether the leaf may do what it did is for the callers to judge."""
    roots, path = pki_of_depth(2)
    assert verify(b"".join(map(pem_of, path[1:])), roots).leaf.certificate == path[1]


@pytest.mark.parametrize(
    ("pem", "error"),
    [
        (b"", MalformedError),
        (b"\0", MalformedError),
        (b"-----BEGIN CERTIFICATE-----", MalformedError),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", MalformedError),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", MalformedError),
        (b"-----BEGIN CERTIFICATE-----\nM\n-----END CERTIFICATE-----", MalformedError),
        (b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----", MalformedError),
        (b"-----BEGIN CERTIFICATE-----" * (MAX_CHAIN_CERTIFICATES + 1), LimitExceededError),
        (bytes(MAX_CHAIN_BYTES + 1), LimitExceededError),
    ],
)
def test_what_is_no_chain_is_our_error(pem: bytes, error: type[VerdictdError]) -> None:
    with pytest.raises(error, match="the chain"):
        verify(pem)


def test_as_many_certificates_as_are_allowed() -> None:
    roots, path = pki_of_depth(MAX_CHAIN_CERTIFICATES - 2)
    complete = b"".join(map(pem_of, [*path, roots.roots[0].certificate]))
    assert verify(complete, roots).leaf.certificate == path[0]
    with pytest.raises(LimitExceededError, match=f"{MAX_CHAIN_CERTIFICATES + 1} certificates, the limit"):
        verify(complete + pem_of(path[0]), roots)


def test_keys_of_other_kinds_are_refused() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for public in (rsa_key.public_key(), ec.generate_private_key(ec.SECP384R1()).public_key()):
        spec = replace(platform().certificate_spec("platform-ca"), public_key=public)
        odd = issue_certificate(spec, platform().pki.root_ca.key)
        with pytest.raises(AuthenticityError, match="has no P-256 key"):
            verify(platform().pki.pck.pem + pem_of(odd))
        with pytest.raises(AuthenticityError, match="has no P-256 key"):
            p256_key(parse_certificate(odd.public_bytes(Encoding.DER)), "it")


def orders_and_strangers() -> list[bytes]:
    """PEMs of every kind, good and bad, whose blocks overlap."""
    signer = platform().pki.tcb_signing.pem
    pool = [*chain(), signer, other().pki.pck.pem, other().pki.platform_ca.pem, other().pki.root_ca.pem]
    return [b"".join(blocks) for size in (1, 2, 3) for blocks in itertools.product(pool, repeat=size)]


def outcome(pem: bytes, roots: TrustRoots, memory: FactMemory) -> VerifiedChain | str:
    try:
        return verify(pem, roots, memory)
    except VerdictdError as error:
        return str(error)


@pytest.mark.parametrize("both", [False, True], ids=["one root", "two roots"])
def test_what_was_seen_before_changes_nothing(both: bool) -> None:
    """All orders and mixtures of two vendors' certificates, one after the other, with one memory and with none."""
    roots = roots_of(platform(), other()) if both else roots_of(platform())
    memory = FactMemory()
    good = 0
    for pem in orders_and_strangers() + orders_and_strangers()[::-1]:
        fresh = outcome(pem, roots, FactMemory())
        assert outcome(pem, roots, memory) == fresh
        good += isinstance(fresh, VerifiedChain)
    assert good > 20, "chains that hold are among them"


def test_what_held_under_one_root_does_not_hold_under_another() -> None:
    memory = FactMemory()
    assert verify(platform().pki.chain("pck"), roots_of(platform()), memory).root.label == "simulated"
    with pytest.raises(AuthenticityError, match="not trusted"):
        verify(platform().pki.chain("pck"), roots_of(other()), memory)


def test_another_leaf_behind_remembered_cas_is_verified_itself() -> None:
    sim, memory = platform(), FactMemory()
    verify(sim.pki.chain("pck"), memory=memory)
    spec = sim.certificate_spec("pck")
    bad: list[SimulatedPlatform] = [
        sim.with_certificate("pck", spec, signer=generate_key()),
        sim.with_certificate("pck", replace(spec, hash_algorithm=hashes.SHA384())),
        sim.with_certificate("pck", replace(spec, issuer=simulated_name("Nobody"))),
        sim.with_certificate("pck", replace(spec, subject=spec.issuer)),
    ]
    for changed in bad:
        fresh = outcome(changed.pki.chain("pck"), roots_of(sim), FactMemory())
        assert isinstance(fresh, str)
        assert outcome(changed.pki.chain("pck"), roots_of(sim), memory) == fresh


@pytest.mark.parametrize("role", ["pck", "platform-ca"])
@pytest.mark.parametrize("dates", [{"not_before": YEAR_2050, "not_after": YEAR_2051}, {"not_after": YEAR_2050}])
def test_a_date_of_the_year_zero_is_malformed(role: CertificateRole, dates: dict[str, datetime]) -> None:
    """X.509 can write it, and `datetime` cannot hold it."""
    sim = platform()
    changed = sim.with_certificate(role, replace(sim.certificate_spec(role), **dates))  # type: ignore[arg-type]
    body = in_year_zero(changed.pki.credential(role).certificate.tbs_certificate_bytes)
    pem = pem_of(signed_again(body, sim.pki.issuer(role).key))
    pck, ca, root = chain()
    whole = pem + ca + root if role == "pck" else pck + pem + root
    memory = FactMemory()
    verify(b"".join(chain()), memory=memory)
    for each in (memory, FactMemory()):
        with pytest.raises(MalformedError, match=r"the validity of .* cannot be read"):
            verify(whole, memory=each)
