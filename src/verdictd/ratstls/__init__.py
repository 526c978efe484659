"""RATS-TLS: certificates that carry evidence, and the TLS channel that judges them.

Certificates (pure): `certificate` reads one, `binding` judges it, `certificate_builder` writes one; `der`, `cbor`,
`evidence` and `endorsements` are their parts.

Channel: `endpoint` is TLS without I/O, bytes in, events and bytes out, and calls a judge once with the peer's
certificate; `nulltls` is the same without TLS; `channel` is what they have in common, `tls_context` what all
connections of an identity share. `server` (asyncio) and `client` (blocking) move the bytes.
"""
