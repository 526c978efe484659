"""RATS-TLS: certificates that carry evidence, and the TLS channel that judges them."""
