"""One folder per kind of evidence, named like rats-tls's instances; `dcap` holds what Intel's share.

Verifiers are pure functions of (evidence, collateral, trust roots, acceptance, time): no clock, no network, no files.
"""
