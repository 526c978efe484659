"""What a package brings that adds a kind of evidence: the registry of TEEs is open, by entry points.

A package names an object of this kind in the entry point group `ENTRY_POINTS`, under the TEE's name. It is loaded only
where an operator names it. See docs/adding-a-tee.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from verdictd.core.attester import Attester
from verdictd.core.result import AppraisalResult, JSONValue

ENTRY_POINTS: Final = "verdictd.tees"
"""The group of entry points in which packages name their TEEs."""


class AppraiseEvidence(Protocol):
    """The appraisal of a kind of evidence: pure, and with an answer whatever the bytes."""

    def __call__(
        self, evidence: bytes, *, at: datetime, allow_debug: bool, allow_expired_collateral: bool
    ) -> AppraisalResult:
        """Appraise untrusted evidence.

        The result lists every check, failed and not made ones too. Its claims hold ``report_data``, the 64 bytes
        (lower-case hex) that the evidence binds: they are compared with the peer's key by whoever called.

        Args:
            evidence: as the certificate carries it, up to 1 MiB.
            at: the instant to appraise for; aware.
            allow_debug: whether the operator accepts workloads whose memory the host may read.
            allow_expired_collateral: whether the operator accepts certificates and collateral past their time.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TEE:
    """A kind of evidence, with all that judges it.

    Attributes:
        name: as it is named to ``--verifier`` and ``--attester``: a small letter, then up to 31 small letters, digits
            and underscores. Its policy and reference are called by it: ``<name>Policy.rego`` and ``<name>Data``.
        evidence_tag: the CBOR tag of such evidence in a certificate.
        appraise: the appraisal.
        build_policy_input: makes the `input` of a policy of an appraisal's claims and the peer's custom claims.
        build_reference_fields: makes reference values that evidence of these claims meets.
        policy: the policy that is written where there is none yet; Rego, package ``policy``.
        reference: the reference values that are written where there are none yet; JSON. They must let nobody in.
        open_attester: opens what makes such evidence, where the package has that; raises `ConfigError` without one.
    """

    name: str
    evidence_tag: int
    appraise: AppraiseEvidence
    build_policy_input: Callable[[Mapping[str, JSONValue], Mapping[str, bytes]], dict[str, JSONValue]]
    build_reference_fields: Callable[[Mapping[str, JSONValue]], dict[str, JSONValue]]
    policy: bytes
    reference: bytes
    open_attester: Callable[[], Attester] | None = None
