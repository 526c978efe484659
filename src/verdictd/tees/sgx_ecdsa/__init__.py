"""SGX evidence with ECDSA quotes (DCAP): claims, verifier, and the devices that make quotes."""
