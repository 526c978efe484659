"""AMD's endorsement of SEV-SNP processors: which certificates and CRLs hold up to AMD's roots, and what they say.

ARK -> ASK -> VCEK (of a chip at a TCB), ARK -> ASVK -> VLEK (of a cloud provider at a TCB); the ARK issues the CRLs.
Specifications: AMD 57230, VCEK Certificate and KDS Interface Specification; 58217 for VLEK; RFC 5280, RFC 4055.
"""
