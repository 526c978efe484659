"""A software TEE vendor and platform: real formats, own root. Trusted only where its root was named as trusted."""
