"""Intel TDX: a trust domain quoted with ECDSA, as rats-tls's instance of that name."""
