"""The key of the author of simulated enclaves, kept beside the platform so that all of them have one signer."""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from verdictd.core.errors import ConfigError
from verdictd.simulator.enclave_image import generate_author_key

AUTHOR_KEY_FILE: Final = "enclave-author-key.pem"
MAX_ENCLAVE_CONTENT_BYTES: Final = 64 * 1024 * 1024
_REMEDY: Final = "remove it: it is made anew"


def load_author_key(directory: Path) -> rsa.RSAPrivateKey:
    """Load the author's key from a platform's directory; make it where there is none yet.

    Raises:
        ConfigError: the directory or the key cannot be used.
    """
    path = directory / AUTHOR_KEY_FILE
    try:
        if not path.exists():
            key = generate_author_key()
            with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return key
        loaded = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"the author's key {path} cannot be used: {error}", remedy="remove it: it is made anew"
        ) from error
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise ConfigError(f"the author's key {path} is no RSA key", remedy=_REMEDY)
    return loaded
