"""A software TEE vendor and platform: real formats, own root. Trusted only where its root was named as trusted.

`platform` is the entry: a `SimulatedPlatform` makes quotes and issues collateral. `attester` gives its quotes to a
RATS-TLS endpoint, `server` its collateral to whoever asks a PCCS. Below it, each builder takes a frozen spec of which
any field can be replaced, and signs what comes of it: so that each check of a verifier can be met with an input that
this check alone refuses.

The encoders share nothing with the parsers in `tees.dcap`, so that the two check one another.
"""
