"""What an attested peer may ask for: the EAA protocol, version v1, JSON over a RATS-TLS channel.

Nothing here does I/O. `framing` finds requests in a stream of bytes, `request` reads one, `commands` answers it, and
`session` is the three together for one peer. Whether a peer may ask at all was settled before it came here.
"""
