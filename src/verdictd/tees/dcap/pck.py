"""The PCK certificate: which platform it names, and at which TCB. Its key signs the quoting enclave's report.

Spec: Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, revision 1.5, section 1.3.5.
"""

import re
from collections.abc import Set as AbstractSet
from itertools import compress, product
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from verdictd.core.der import (
    BOOLEAN,
    ENUMERATED,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    parse_unsigned,
    read_single,
    read_spans,
)
from verdictd.core.errors import AuthenticityError, MalformedError
from verdictd.tees.dcap.certificates import VerifiedChain, p256_key, require_end_entity, verify_pem_chain
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

PCKCAType = Literal["processor", "platform"]

SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
_MEMBER = bytes.fromhex("060a2a864886f84d010d01")
_TCB_MEMBER = bytes.fromhex("060b2a864886f84d010d0102")
_CONFIGURATION_MEMBER = bytes.fromhex("060b2a864886f84d010d0107")
"""The DER of a member's OID, 1.2.840.113741.1.13.1.n, .2.n and .7.n, but for the n at its end."""
_PPID, _TCB, _PCEID, _FMSPC, _SGX_TYPE, _INSTANCE_ID, _CONFIGURATION = (_MEMBER + bytes([n]) for n in range(1, 8))
_COMPONENTS = tuple(_TCB_MEMBER + bytes([n]) for n in range(1, 17))
_PCESVN, _CPUSVN = _TCB_MEMBER + bytes([17]), _TCB_MEMBER + bytes([18])
_MEMBERS = frozenset({_PPID, _TCB, _PCEID, _FMSPC, _SGX_TYPE, _INSTANCE_ID, _CONFIGURATION})
_SGX_TYPES = {0: "standard", 1: "scalable", 2: "scalable with integrity"}
_FLAGS = {
    _CONFIGURATION_MEMBER + b"\1": "dynamic_platform",
    _CONFIGURATION_MEMBER + b"\2": "cached_keys",
    _CONFIGURATION_MEMBER + b"\3": "smt_enabled",
}


def _encode_flags(flags: tuple[bool, ...]) -> bytes:
    members = [name + bytes([BOOLEAN, 1, 0xFF * flag]) for name, flag in zip(_FLAGS, flags, strict=True)]
    encoded = b"".join(bytes([SEQUENCE, len(member)]) + member for member in members)
    return bytes([SEQUENCE, len(encoded)]) + encoded


_USUAL_CONFIGURATIONS = {
    _encode_flags(flags): tuple(compress(_FLAGS.values(), flags))
    for flags in product((False, True), repeat=len(_FLAGS))
}
"""The configurations that there can be at present, as DER writes them, and the flags that are set in each."""


def _pattern(name: bytes, header: bytes, value: bytes, size: int) -> bytes:
    """A pattern for SEQUENCE { OID, value }, whose value is `header` and `size` bytes that match `value`."""
    return re.escape(bytes([SEQUENCE, len(name) + len(header) + size]) + name + header) + value


def _svn_pattern(name: bytes) -> bytes:
    """A pattern for a member that is an INTEGER from 0 to 255, in its shortest form; it captures the SVN's byte."""
    short, long = bytes([INTEGER, 1]), bytes([INTEGER, 2, 0])
    return b"(?:%b|%b)" % (_pattern(name, short, b"([\0-\x7f])", 1), _pattern(name, long, b"([\x80-\xff])", 1))


def _octets_pattern(name: bytes, group: bytes, size: int) -> bytes:
    return _pattern(name, bytes([OCTET_STRING, size]), b"(?P<%b>.{%d})" % (group, size), size)


_USUAL_FORM = re.compile(
    b"\x30\x82(?P<size>..)"
    + _octets_pattern(_PPID, b"ppid", 16)
    + b"\x30\x82(?P<member_size>..)%b\x30\x82(?P<tcb_size>..)" % re.escape(_TCB)
    + b"".join(_svn_pattern(name) for name in (*_COMPONENTS, _PCESVN))
    + _octets_pattern(_CPUSVN, b"cpu_svn", 16)
    + _octets_pattern(_PCEID, b"pce_id", 2)
    + _octets_pattern(_FMSPC, b"fmspc", 6)
    + _pattern(_SGX_TYPE, bytes([ENUMERATED, 1]), b"(?P<sgx_type>[\0-\2])", 1)
    + b"(?:%b" % _octets_pattern(_INSTANCE_ID, b"instance_id", 16)
    + b"%b)?" % _pattern(_CONFIGURATION, b"", b"(?P<configuration>.{56})", 56),
    re.DOTALL,
)
"""The extension as every PCK certificate seen has it: the members of the profile, each once and in its order."""
_SVN_GROUPS = slice(4, 4 + 2 * (len(_COMPONENTS) + 1))
"""Two for each SVN, after size, ppid, member_size and tcb_size; one of the two is empty."""


class PlatformIdentity(NamedTuple):
    """What the SGX extension of a PCK certificate says of the platform.

    Attributes:
        ppid: 16 bytes, identifies the processor package.
        cpu_svn: 16 bytes, raw; levels are compared with `components`, never with it.
        components: the 16 component SVNs of the TCB, a byte each.
        pce_svn: 0 to 65535.
        pce_id: 2 bytes as in TCB info's hex.
        fmspc: 6 bytes: family, model, stepping, platform type, custom SKU.
        sgx_type: ``standard``, ``scalable`` or ``scalable with integrity``.
        platform_instance_id: 16 bytes, or ``None`` (processor CA).
        configuration: the flags that are set; empty for the processor CA, which states none.
    """

    ppid: bytes
    cpu_svn: bytes
    components: bytes
    pce_svn: int
    pce_id: bytes
    fmspc: bytes
    sgx_type: str
    platform_instance_id: bytes | None
    configuration: tuple[str, ...]


class VerifiedPCK(NamedTuple):
    """A PCK certificate whose chain holds up to a trusted root. Not judged: time and revocation."""

    chain: VerifiedChain
    platform: PlatformIdentity
    key: ec.EllipticCurvePublicKey
    ca_type: PCKCAType


def verify_pck_chain(pem: bytes, roots: TrustRoots, memory: FactMemory) -> VerifiedPCK:
    """Verify a PCK certificate's chain and read the platform it names.

    Args:
        pem: untrusted: the quote's certification data of type 5; certificates in any order.
        roots: what the operator trusts.
        memory: remembers chains that hold.
    Raises:
        MalformedError, LimitExceededError: not PEM, or the SGX extension does not follow its profile.
        AuthenticityError: the chain does not hold, or its leaf is no PCK certificate issued by a PCK CA.
    """
    return memory.recall(("pck", pem, roots.key), lambda: _verify_pck_chain(pem, roots, memory))


def _verify_pck_chain(pem: bytes, roots: TrustRoots, memory: FactMemory) -> VerifiedPCK:
    chain = verify_pem_chain(pem, roots, "the PCK certificate chain", memory)
    subject, issuer = chain.leaf.common_name, chain.issuer.common_name
    if not subject.endswith("SGX PCK Certificate"):
        raise AuthenticityError(f"the quote's certificate is named {subject!r:.100}, expected an SGX PCK Certificate")
    if not issuer.endswith(("SGX PCK Platform CA", "SGX PCK Processor CA")) or len(chain.issuers.certificates) != 2:
        raise AuthenticityError(
            f"the PCK certificate was issued by {issuer!r:.100}, expected an SGX PCK Platform or Processor CA"
        )
    require_end_entity(chain.leaf, "the PCK certificate chain")
    key = p256_key(chain.leaf, "the PCK certificate chain")
    try:
        extension = chain.leaf.certificate.extensions.get_extension_for_oid(SGX_EXTENSION)
    except x509.ExtensionNotFound as error:
        raise MalformedError("the PCK certificate has no SGX extension") from error
    if not isinstance(extension.value, x509.UnrecognizedExtension):
        raise MalformedError("the PCK certificate's SGX extension cannot be read")
    return VerifiedPCK(
        chain=chain,
        platform=parse_sgx_extension(extension.value.value),
        key=key,
        ca_type="platform" if issuer.endswith("Platform CA") else "processor",
    )


def parse_sgx_extension(der: bytes) -> PlatformIdentity:
    """Parse the SGX extension of a PCK certificate.

    Layout: SEQUENCE of SEQUENCE { OID 1.2.840.113741.1.13.1.n, value }; n = 1 PPID, 2 TCB (the same shape again:
    1 to 16 components, 17 PCESVN, 18 CPUSVN), 3 PCEID, 4 FMSPC, 5 SGX type, 6 platform instance id, 7 configuration.

    Raises:
        MalformedError: anything else, a member twice, or one that is required absent.
    """
    return _parse_usual_form(der) or _parse_any_form(der)


def _parse_usual_form(der: bytes) -> PlatformIdentity | None:
    """Read the extension where it has its usual form, at once; ``None`` where it has another, or is malformed."""
    usual = _USUAL_FORM.fullmatch(der)
    if usual is None:
        return None
    tcb_end = usual.end("cpu_svn")
    for group, end in (("size", len(der)), ("member_size", tcb_end), ("tcb_size", tcb_end)):
        if int.from_bytes(usual[group], "big") != end - usual.end(group):
            return None
    configuration = usual["configuration"]
    flags = () if configuration is None else _USUAL_CONFIGURATIONS.get(configuration)
    if flags is None:
        return None
    svns = b"".join(filter(None, usual.groups()[_SVN_GROUPS]))
    return PlatformIdentity(
        ppid=usual["ppid"],
        cpu_svn=usual["cpu_svn"],
        components=svns[:-1],
        pce_svn=svns[-1],
        pce_id=usual["pce_id"],
        fmspc=usual["fmspc"],
        sgx_type=_SGX_TYPES[usual["sgx_type"][0]],
        platform_instance_id=usual["instance_id"],
        configuration=flags,
    )


def _parse_any_form(der: bytes) -> PlatformIdentity:
    """Read the extension member by member, in any order, and say what is wrong with it."""
    members = _members(der, len(_PPID))
    unknown = [key.hex() for key in members.keys() - _MEMBERS]
    if unknown:
        raise MalformedError(f"the SGX extension has unknown members {unknown!s:.200}")
    tcb = _members(_required(members, _TCB), len(_PCESVN))
    _check_ignored(tcb, {*_COMPONENTS, _PCESVN, _CPUSVN}, _TCB_MEMBER)
    instance, configuration = members.get(_INSTANCE_ID), members.get(_CONFIGURATION)
    sgx_type = _unsigned(_required(members, _SGX_TYPE), 255, "SGX type")
    if sgx_type not in _SGX_TYPES:
        raise MalformedError(f"the SGX type is {sgx_type}, known are 0, 1 and 2")
    return PlatformIdentity(
        ppid=_octets(_required(members, _PPID), 16, "PPID"),
        cpu_svn=_octets(_required(tcb, _CPUSVN), 16, "CPUSVN"),
        components=bytes([_unsigned(_required(tcb, key), 255, f"TCB component {key[-1]}") for key in _COMPONENTS]),
        pce_svn=_unsigned(_required(tcb, _PCESVN), 0xFFFF, "PCESVN"),
        pce_id=_octets(_required(members, _PCEID), 2, "PCEID"),
        fmspc=_octets(_required(members, _FMSPC), 6, "FMSPC"),
        sgx_type=_SGX_TYPES[sgx_type],
        platform_instance_id=None if instance is None else _octets(instance, 16, "platform instance id"),
        configuration=() if configuration is None else _parse_configuration(configuration),
    )


def _members(der: bytes, name_size: int) -> dict[bytes, bytes]:
    """Read SEQUENCE OF SEQUENCE { OID, value }, whose OIDs are of one size, into {DER of the OID: DER of the value}."""
    entries = read_spans(der, read_single(der).expect(SEQUENCE, "the SGX extension").value_start, len(der))
    members = {der[start : start + name_size]: der[start + name_size : end] for _, start, end in entries}
    if len(members) != len(entries) or {tag for tag, _, _ in entries} - {SEQUENCE}:
        raise MalformedError("the SGX extension has a repeated member, or one that is no sequence of name and value")
    return members


def _check_ignored(members: dict[bytes, bytes], known: AbstractSet[bytes], name: bytes) -> None:
    """Check that members which are not known are at least what future versions of the extension could have there."""
    for key in members.keys() - known:
        if not key.startswith(name):
            raise MalformedError(f"the SGX extension has a foreign member {key.hex()}")
        read_single(members[key])


def _required(members: dict[bytes, bytes], key: bytes) -> bytes:
    if key not in members:
        raise MalformedError(f"the SGX extension lacks member {key.hex()}")
    return members[key]


def _unsigned(der: bytes, maximum: int, what: str) -> int:
    return parse_unsigned(read_single(der), what, maximum)


def _octets(der: bytes, size: int, what: str) -> bytes:
    value = read_single(der).expect(OCTET_STRING, what).value
    if len(value) != size:
        raise MalformedError(f"{what} is {len(value)} bytes long, expected {size}")
    return value


def _parse_configuration(der: bytes) -> tuple[str, ...]:
    flags = _members(der, len(_CONFIGURATION_MEMBER) + 1)
    _check_ignored(flags, _FLAGS.keys(), _CONFIGURATION_MEMBER)
    return tuple(
        name for key, name in _FLAGS.items() if key in flags and read_single(flags[key]).value not in {b"", b"\0"}
    )
