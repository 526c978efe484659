"""SEV evidence of AMD's first generations, as rats-tls carries it: report, certificates up to AMD's root, verifier.

ARK -> ASK -> CEK (of a chip) -> PEK (of a platform, also signed by its owner's OCA) -> report.
**Nothing in this evidence is chosen by the guest, so it is bound to no key**: whoever has seen it can present it.
Specification: AMD 55766, SEV Key Management API, chapter 6.8 (ATTESTATION), appendices B and C.
"""
