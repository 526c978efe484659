"""Keeps a simulated platform in a directory: PEM files a person can look at, and what changes in one JSON file.

A directory appears whole or not at all, and a change replaces `platform.json` at once: whoever reads meanwhile, or
after a crash, sees the old or the new state. Private keys are readable by their owner alone. They are secrets only
within the simulation, but whoever has them is the platform.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from verdictd.core.errors import ConfigError
from verdictd.simulator.documents import encode_instant
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.keys import Credential, PrivateKey
from verdictd.simulator.pki import PKI, CertificateRole
from verdictd.simulator.state import PlatformState, Publication, RevocationTarget
from verdictd.tees.dcap.acceptance import TCBStatus

STATE_FILE: Final = "platform.json"
ROOT_CERTIFICATE_FILE: Final = "root-ca.pem"
_ATTESTATION_KEY_FILE: Final = "attestation-key.pem"
_FORMAT: Final = 2
_ROLES: Final[tuple[CertificateRole, ...]] = ("root-ca", "platform-ca", "processor-ca", "tcb-signing", "pck")
_OCTETS: Final = ("fmspc", "pce_id", "components", "ppid", "platform_instance_id", "qe_id")
_NUMBERS: Final = ("evaluation_data_number", "pck_crl_number", "root_ca_crl_number")


def save_state(state: PlatformState, directory: Path) -> None:
    """Write a platform to a directory that is new or empty; its mode becomes 0700.

    Raises:
        ConfigError: the directory holds something, or cannot be written.
    """
    with explained(f"a simulated platform cannot be written to {directory}", "name a new directory you may write"):
        if (directory / STATE_FILE).exists():
            raise ConfigError(f"{directory} holds a simulated platform already", remedy="use it, or remove it first")
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise ConfigError(f"{directory} exists already", remedy="name a directory that is new or empty")
        directory.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))  # its mode is 0700
        try:
            for name, content in _encode_files(state).items():
                write_durably(draft / name, content)
            draft.rename(directory)  # refused unless the directory is absent or empty
        except BaseException:
            shutil.rmtree(draft)
            raise


def load_state(directory: Path) -> PlatformState:
    """Read the platform from the directory that `save_state` made.

    Raises:
        ConfigError: not such a directory, or it cannot be read.
    """
    with explained(f"{directory} is no simulated platform", f"make one with: tee-sim init {directory}"):
        return _decode_files(lambda name: (directory / name).read_bytes())


def update_state(directory: Path, change: Callable[[PlatformState], PlatformState]) -> PlatformState:
    """Apply a change of status, numbers or revocations to the platform in a directory; return the new state.

    Updates at the same time are made one after the other. Keys and certificates are not written again.

    Raises:
        ConfigError: not a platform's directory, or it cannot be written.
    """
    with locked(directory):
        state = change(load_state(directory))
        draft = directory / f".{STATE_FILE}.new"  # one at a time, under the lock
        with explained(f"the simulated platform in {directory} cannot be changed", "check who may write there"):
            draft.unlink(missing_ok=True)  # left by a crash
            write_durably(draft, _encode_state(state))
            draft.replace(directory / STATE_FILE)
    return state


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes and threads from changing a platform's directory until the end of the block.

    Raises:
        ConfigError: it is no directory.
    """
    with explained(f"{directory} is no simulated platform", f"make one with: tee-sim init {directory}"):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turn what the file system or the content of files refuses into one sentence for the operator."""
    try:
        yield
    except OSError as error:
        name = f" ({Path(error.filename).name})" if error.filename else ""
        raise ConfigError(f"{what}: {error.strerror or error}{name}", remedy=remedy) from error
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ConfigError(f"{what}: its files cannot be read: {error}", remedy=remedy) from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _encode_files(state: PlatformState) -> dict[str, bytes]:
    files = {STATE_FILE: _encode_state(state), _ATTESTATION_KEY_FILE: _encode_key(state.attestation_key)}
    for role in _ROLES:
        credential = state.pki.credential(role)
        files[f"{role}.pem"] = credential.pem
        files[f"{role}-key.pem"] = _encode_key(credential.key)
    return files


def _decode_files(read: Callable[[str], bytes]) -> PlatformState:
    document: dict[str, Any] = json.loads(read(STATE_FILE))
    if document["format"] != _FORMAT:
        raise ValueError(f"{STATE_FILE} has the format {document['format']!r}, known is {_FORMAT}")
    root_ca, platform_ca, processor_ca, tcb_signing, pck = (_decode_credential(role, read) for role in _ROLES)
    machine, early = document["hardware"], document["early"]
    return PlatformState(
        hardware=Hardware(pce_svn=int(machine["pce_svn"]), **{name: bytes.fromhex(machine[name]) for name in _OCTETS}),
        pki=PKI(root_ca=root_ca, platform_ca=platform_ca, processor_ca=processor_ca, tcb_signing=tcb_signing, pck=pck),
        attestation_key=_decode_key(read(_ATTESTATION_KEY_FILE)),
        created_at=datetime.fromisoformat(document["created_at"]),
        tcb_status=TCBStatus(document["tcb_status"]),
        early=None if early is None else _decode_publication(early),
        past=tuple(_decode_publication(entry) for entry in document["past"]),
        revocations={
            RevocationTarget(target): datetime.fromisoformat(since)
            for target, since in dict(document["revocations"]).items()
        },
        **{name: int(document[name]) for name in _NUMBERS},
    )


def _decode_publication(entry: dict[str, Any]) -> Publication:
    return Publication(int(entry["number"]), TCBStatus(entry["status"]))


def _decode_credential(role: CertificateRole, read: Callable[[str], bytes]) -> Credential:
    certificate = x509.load_pem_x509_certificate(read(f"{role}.pem"))
    key = _decode_key(read(f"{role}-key.pem"))
    if certificate.public_key() != key.public_key():
        raise ValueError(f"the key in {role}-key.pem is not that of {role}.pem")
    return Credential(certificate, key)


def _encode_state(state: PlatformState) -> bytes:
    document = {
        "format": _FORMAT,
        "created_at": encode_instant(state.created_at),
        "tcb_status": state.tcb_status.value,
        **{name: getattr(state, name) for name in _NUMBERS},
        "early": state.early and state.early._asdict(),
        "past": [publication._asdict() for publication in state.past],
        "revocations": {target.value: encode_instant(since) for target, since in state.revocations.items()},
        "hardware": {
            "pce_svn": state.hardware.pce_svn,
            **{name: getattr(state.hardware, name).hex() for name in _OCTETS},
        },
    }
    return json.dumps(document, indent=4).encode("ascii") + b"\n"


def _encode_key(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _decode_key(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("a private key is not an elliptic curve key")
    return key
