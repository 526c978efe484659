"""SM2 keys of the simulated Hygon, and signatures by them. Slow and leaky: they are secrets only in a simulation."""

import hashlib
import secrets
from dataclasses import dataclass

from verdictd.tees.sm2.curve import GENERATOR, ORDER, add_multiples
from verdictd.tees.sm2.verification import SM2PublicKey, SM2Signature, hash_message, make_public_key

_SEED_BYTES = 48
"""Half as long again as the order, so that every key is as likely as every other."""


@dataclass(frozen=True, slots=True)
class SM2PrivateKey:
    """A private key, from 1 to the order less 2, and the name that its owner signs with."""

    number: int
    name: bytes

    @property
    def public_key(self) -> SM2PublicKey:
        """The public part, with the owner's name."""
        point = add_multiples(self.number, 0, GENERATOR)
        if point is None:
            raise ValueError("0 is no private key")
        return make_public_key(point.x, point.y, self.name)

    def sign(self, message: bytes) -> SM2Signature:
        """Sign a message. Each signature is another.

        Spec: GB/T 32918.2-2016, 6.1.
        """
        digest = hash_message(self.public_key, message)
        while True:
            nonce = secrets.randbelow(ORDER - 1) + 1
            point = add_multiples(nonce, 0, GENERATOR)
            r = (digest + (point.x if point else 0)) % ORDER
            s = pow(1 + self.number, -1, ORDER) * (nonce - r * self.number) % ORDER
            if r and s and r + nonce != ORDER:
                return SM2Signature(r, s)


def derive_sm2_key(seed: bytes, name: bytes) -> SM2PrivateKey:
    """Derive the key of a name from a secret: always the same."""
    number = int.from_bytes(hashlib.shake_256(seed + b"SM2" + name).digest(_SEED_BYTES), "big")
    return SM2PrivateKey(number % (ORDER - 2) + 1, name)
