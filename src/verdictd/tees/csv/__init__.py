"""CSV evidence, of Hygon's secure virtual machines: report, certificates up to Hygon's root, claims, verifier.

HRK -> HSK -> CEK (of a chip) -> PEK (of a platform) -> report; SM2 with SM3 throughout.
Hygon publishes no specification of the report. What is here was read from Hygon's own programs.
"""
