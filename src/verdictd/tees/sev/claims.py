"""What an SEV appraisal found, as JSON for policies and people. Byte strings are lower-case hex."""

from collections.abc import Mapping

from verdictd.core.result import JSONValue
from verdictd.tees.sev.chain import PlatformKey, VerifiedASK
from verdictd.tees.sev.evidence import SEVEvidence


def build_claims(evidence: SEVEvidence, ask: VerifiedASK | None, pek: PlatformKey | None) -> dict[str, JSONValue]:
    """Collect everything appraised. What could not be established is ``None``, never guessed.

    `report_data` is always empty: SEV's report has no room for anything that the guest chooses.
    """
    return {
        "report_data": "",
        "launch_digest": evidence.launch_digest.hex(),
        "mnonce": evidence.mnonce.hex(),
        "debug": evidence.policy.allows_debugging,
        "policy": evidence.policy.as_claims(),
        "root": None if ask is None else ask.root.label,
        "firmware": (
            None if pek is None else {"api_major": pek.certificate.api_major, "api_minor": pek.certificate.api_minor}
        ),
        "unsigned": {"device_type": evidence.device_type},
    }


def build_policy_input(claims: Mapping[str, JSONValue], custom_claims: Mapping[str, bytes]) -> dict[str, JSONValue]:
    """The `input` of a policy: everything appraised, and the peer's custom claims, which nothing binds to the guest."""
    return {"sev": dict(claims), "claims": {name: value.hex() for name, value in custom_claims.items()}}


def build_reference_fields(claims: Mapping[str, JSONValue]) -> dict[str, JSONValue]:
    """Reference values that this evidence, and no other guest, meets: what `sevData` holds."""
    return {"launchDigest": [claims["launch_digest"]]}
