"""The certificate that the service shows, replaced without a restart when its files are.

Every handshake takes the context that is current then. A pair that cannot be loaded leaves the old one in use.
"""

import logging
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from verdictd.core.errors import ConfigError

_LOGGER: Final = logging.getLogger(__name__)
_Stamp = tuple[int, int, int]


class TLSFiles(NamedTuple):
    """Where the certificate chain and its private key are, in PEM."""

    certificate: Path
    key: Path


class ReloadingCertificate:
    """Watches the files when it is asked to, and hands out the newest context that could be made of them."""

    def __init__(self, files: TLSFiles) -> None:
        """Load the pair.

        Raises:
            ConfigError: it cannot be used.
        """
        self._files = files
        self._stamps = self._read_stamps()
        self._current = _load(files)
        self.context = _load(files)
        """What to listen with: it changes to the newest at each handshake."""
        self.context.sni_callback = self._choose

    def check(self, *, always: bool = False) -> bool:
        """Load the pair again if its files have changed; tell whether a new one is in use.

        Args:
            always: load it also where they look the same.
        """
        stamps = self._read_stamps()
        if stamps == self._stamps and not always:
            return False
        self._stamps = stamps
        try:
            self._current = _load(self._files)
        except ConfigError as error:
            _LOGGER.error("the new TLS certificate is not used, the one before stays in use: %s", error)  # noqa: TRY400 - the message says it
            return False
        _LOGGER.info("the TLS certificate was loaded again from %s", self._files.certificate)
        return True

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _read_stamps(self) -> tuple[_Stamp | None, ...]:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(files: TLSFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"the TLS certificate {files.certificate} with the key {files.key} cannot be used: {error}",
            remedy="give both in PEM, the key without a password and belonging to the first certificate",
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")
