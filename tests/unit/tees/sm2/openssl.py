"""The `openssl` command as another implementation of SM2."""

import subprocess
from pathlib import Path

from verdictd.tees.sm2.verification import SM2Signature

_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


def run(*arguments: str, at: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], cwd=at, capture_output=True, timeout=30, check=False)


def make_key(at: Path) -> bytes:
    """Make a key pair in a directory; return the public key, x ‖ y."""
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", "key.pem", at=at).check_returncode()
    done = run("pkey", "-in", "key.pem", "-pubout", "-outform", "DER", at=at)
    done.check_returncode()
    return done.stdout[-64:]


def sign(message: bytes, name: bytes, at: Path) -> SM2Signature:
    """Sign with the key in a directory."""
    (at / "message").write_bytes(message)
    options = ("-rawin", "-digest", "sm3", "-in", "message", "-pkeyopt", f"hexdistid:{name.hex()}")
    done = run("pkeyutl", "-sign", "-inkey", "key.pem", *options, at=at)
    done.check_returncode()
    return decode_signature(done.stdout)


def accepts(public_key: bytes, signature: SM2Signature, message: bytes, name: bytes, at: Path) -> bool:
    """Whether openssl finds that a signature holds."""
    (at / "public.der").write_bytes(_SPKI_PREFIX + public_key)
    (at / "message").write_bytes(message)
    (at / "signature").write_bytes(encode_signature(signature))
    options = ("-rawin", "-digest", "sm3", "-in", "message", "-sigfile", "signature")
    key = ("-pubin", "-keyform", "DER", "-inkey", "public.der", "-pkeyopt", f"hexdistid:{name.hex()}")
    return run("pkeyutl", "-verify", *key, *options, at=at).returncode == 0


def encode_signature(signature: SM2Signature) -> bytes:
    parts = b"".join(
        b"\x02" + len(octets).to_bytes(1, "big") + octets
        for octets in (number.to_bytes(number.bit_length() // 8 + 1, "big") for number in signature)
    )
    return b"\x30" + len(parts).to_bytes(1, "big") + parts


def decode_signature(der: bytes) -> SM2Signature:
    end = 4 + der[3]
    return SM2Signature(int.from_bytes(der[4:end], "big"), int.from_bytes(der[end + 2 :], "big"))
