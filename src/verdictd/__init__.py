"""verdictd: remote attestation for confidential workloads.

Evidence comes in over TLS (`ratstls`), is parsed and appraised against what the hardware vendor endorses (`tees`),
judged by policy against the user's reference values (`policy`), and only then is anything answered (`keybroker`).
The words are those of RFC 9334: Attester, Verifier, Evidence, Endorsements, Reference Values, Appraisal Policy,
Attestation Result.
"""

__version__ = "0.1.0"
