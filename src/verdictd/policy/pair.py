"""A policy and the reference values it is used with: replaced together where need be, and told apart by digest.

A `PolicyPair` never changes. Whoever decides under one decides under exactly this policy and this reference.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from verdictd.core.errors import PolicyError
from verdictd.core.limits import MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.policy.json_document import parse_json_object
from verdictd.policy.rego.rules import PACKAGE

SHIPPED_LISTS = ("mrEnclave", "mrSigner")
"""The members of a reference that say whose enclaves are let in. An empty one stands for any."""


@dataclass(frozen=True, slots=True)
class Document:
    """A policy or a reference as uploaded: its name, its exact bytes, and their SHA-256 in lower-case hex."""

    name: str
    content: bytes
    digest: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Document":
        """Make a document of its bytes."""
        return cls(name, content, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPair:
    """A checked policy and a checked reference.

    Attributes:
        policy: the policy.
        reference: the reference.
        values: the reference, read. Its members are ``data.<name>`` to the policy.
        members_read: the members that the policy reads.
        is_repeatable: whether the same input always gets the same decision: see `rego.builtins`. Where nobody found
            that out, it counts as false.
    """

    policy: Document
    reference: Document
    values: Mapping[str, JSONValue]
    members_read: tuple[str, ...]
    is_repeatable: bool = False

    @property
    def key(self) -> bytes:
        """64 bytes that tell this pair from every other: the two digests."""
        return bytes.fromhex(self.policy.digest + self.reference.digest)

    @property
    def missing_members(self) -> tuple[str, ...]:
        """The members that the policy reads and the reference has not: undefined to the policy."""
        return tuple(name for name in self.members_read if name not in self.values)

    @property
    def admits_any_enclave(self) -> bool:
        """Whether the reference is the shipped one, or as open: see `is_open_reference`."""
        return is_open_reference(self.values)


def parse_reference(data: bytes, name: str = "the reference") -> Mapping[str, JSONValue]:
    """Read reference values.

    Args:
        data: the reference's bytes.
        name: what to call it in a message.
    Raises:
        MalformedError: not an unambiguous JSON object in UTF-8.
        LimitExceededError: longer than `MAX_REFERENCE_BYTES`, or too deep.
        PolicyError: it has a member ``policy``, which would take the place of the policy's own rules.
    """
    values = parse_json_object(data, name, MAX_REFERENCE_BYTES)
    if PACKAGE in values:
        raise PolicyError(
            f"{name} has a member {PACKAGE}, which would replace the rules of the policy",
            remedy="give the member another name",
        )
    return MappingProxyType(values)


def is_open_reference(values: Mapping[str, JSONValue]) -> bool:
    """Whether reference values name neither an enclave nor a signer, as those that are shipped.

    Under the shipped policy, and under every policy that gives the two lists the meaning they have there, such values
    let in any genuine enclave of anybody. That ``productId`` or ``svn`` ask for more does not help: whoever builds an
    enclave chooses them. Empty is what Rego counts as 0: ``[]``, ``{}`` and ``""``. Without the lists, or with one
    that has members, the reference is not the shipped one and its owner has thought about it.
    """
    return all(name in values and values[name] in ([], {}, "") for name in SHIPPED_LISTS)
