"""Upper bounds on what a peer or a server may hand us, checked before memory or time is spent.

Real values are far smaller: quotes 4 to 8 KiB, TCB info 3 to 18 KiB, CRLs 0.3 to 100 KiB, chains 2 to 4 KiB.
"""

MAX_QUOTE_BYTES = 64 * 1024
MAX_CERTIFICATE_BYTES = 256 * 1024
MAX_CHAIN_BYTES = 64 * 1024
MAX_CHAIN_CERTIFICATES = 8
MAX_SIGNED_DOCUMENT_BYTES = 1024 * 1024
MAX_CRL_BYTES = 4 * 1024 * 1024
MAX_COLLATERAL_FILE_BYTES = 16 * 1024 * 1024
MAX_CUSTOM_CLAIMS = 64
MAX_POLICY_BYTES = 1024 * 1024
MAX_REFERENCE_BYTES = 8 * 1024 * 1024
MAX_REQUEST_BYTES = 1024 * 1024
