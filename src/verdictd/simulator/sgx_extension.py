"""Writes the SGX extension of a PCK certificate, member by member as genuine ones have it."""

from dataclasses import dataclass

from verdictd.simulator.der_encoding import (
    encode_boolean,
    encode_enumerated,
    encode_integer,
    encode_object_identifier,
    encode_octets,
    encode_sequence,
)

SGX_EXTENSION_OID = "1.2.840.113741.1.13.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SGXExtensionSpec:
    """What the SGX extension of a PCK certificate is to say. Nothing is checked, so that it can be damaged.

    Attributes:
        ppid: platform provisioning id, 16 bytes.
        components: SVNs of the TCB's components, a byte each, 16 of them.
        pce_svn: SVN of the provisioning certification enclave.
        cpu_svn: 16 bytes.
        pce_id: 2 bytes.
        fmspc: 6 bytes.
        sgx_type: 0 standard, 1 scalable, 2 scalable with integrity.
        platform_instance_id: 16 bytes; ``None`` leaves the member out, as the processor CA does.
        configuration: dynamic platform, cached keys, SMT enabled; ``None`` leaves the member out.
        omitted: numbers of members (1 to 7) to leave out.
    Spec:
        Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, revision 1.5, 1.3.5.
    """

    ppid: bytes
    components: bytes
    pce_svn: int
    cpu_svn: bytes
    pce_id: bytes
    fmspc: bytes
    sgx_type: int = 1
    platform_instance_id: bytes | None
    configuration: tuple[bool, ...] | None = (False, True, True)
    omitted: frozenset[int] = frozenset()


def encode_sgx_extension(spec: SGXExtensionSpec) -> bytes:
    """Write the extension's value: a SEQUENCE of SEQUENCE { OID 1.2.840.113741.1.13.1.n, value } in DER."""
    members: dict[int, bytes | None] = {
        1: encode_octets(spec.ppid),
        2: _encode_tcb(spec),
        3: encode_octets(spec.pce_id),
        4: encode_octets(spec.fmspc),
        5: encode_enumerated(spec.sgx_type),
        6: None if spec.platform_instance_id is None else encode_octets(spec.platform_instance_id),
        7: None if spec.configuration is None else _encode_configuration(spec.configuration),
    }
    return encode_sequence(
        *(
            _encode_member(str(number), value)
            for number, value in members.items()
            if value is not None and number not in spec.omitted
        )
    )


def _encode_tcb(spec: SGXExtensionSpec) -> bytes:
    components = (_encode_member(f"2.{number}", encode_integer(svn)) for number, svn in enumerate(spec.components, 1))
    return encode_sequence(
        *components,
        _encode_member("2.17", encode_integer(spec.pce_svn)),
        _encode_member("2.18", encode_octets(spec.cpu_svn)),
    )


def _encode_configuration(flags: tuple[bool, ...]) -> bytes:
    return encode_sequence(
        *(_encode_member(f"7.{number}", encode_boolean(flag)) for number, flag in enumerate(flags, 1))
    )


def _encode_member(name: str, value: bytes) -> bytes:
    return encode_sequence(encode_object_identifier(f"{SGX_EXTENSION_OID}.{name}"), value)
