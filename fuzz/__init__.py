"""Coverage-guided fuzzing of every parser of untrusted bytes, and of the path from a certificate to its verdict."""
