"""Intel DCAP: what SGX and TDX evidence share.

Quote container, PCK certificates, CRLs, TCB info, QE identity, and the judgement of a platform's TCB level.
Specifications: Intel SGX ECDSA Quote Library Reference (quote formats, appendix A.4), Intel Provisioning Certification
Service API v3/v4 (TCB info, QE identity), Intel SGX PCK Certificate and CRL Profile specification 1.5.
"""
