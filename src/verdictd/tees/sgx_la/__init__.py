"""SGX local reports: what a CPU measured, with a MAC that only the same machine can check."""
