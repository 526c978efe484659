"""What reference values are taken from: an enclave's signature, its image, or evidence of a running one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from verdictd.core.checks import Check
from verdictd.core.result import JSONValue
from verdictd.tees.sgx_ecdsa.reference_values import EnclaveValues


class MeasurementSource(StrEnum):
    """Where a measurement comes from."""

    IMAGE = "image"
    """Recomputed from the image, and the same as the signature says."""
    SIGNATURE = "signature"
    """As its author signed it; the image was not measured."""
    EVIDENCE = "evidence"
    """As evidence says that nobody verified here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing that reference values can be taken from.

    Attributes:
        where: the file, and where in it, as one line of text.
        kind: what it is, for a person.
        values: what identifies it.
        source: where the measurement comes from.
        source_note: why the image was not measured, where it was not; else empty.
        checks: what was checked of it; all passed.
        notes: sentences for the operator.
        details: further fields for a person, by name.
        signature: its SIGSTRUCT, where there is one; else empty.
        metadata: the fields that Intel's SDK puts before the SIGSTRUCT in an image, by name; else empty.
        policy_input: what a policy is given of a peer that runs it, as far as it is known.
    """

    where: str
    kind: str
    values: EnclaveValues
    source: MeasurementSource
    source_note: str = ""
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    signature: bytes = b""
    metadata: Mapping[str, int] = field(default_factory=dict)
    policy_input: Mapping[str, JSONValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Something that looks like an enclave and that no reference values may be taken from.

    Attributes:
        where: as in `Subject`.
        reason: a sentence: what is wrong, and what to do.
        checks: what was checked of it, where it came so far.
    """

    where: str
    reason: str
    checks: tuple[Check, ...] = ()


Finding = Subject | Unusable
