"""TLS alerts in words: what the other side meant, and what the operator can do.

Spec:
    RFC 8446, 6.2; RFC 5246, 7.2.2.
"""

import re
from typing import Final

from verdictd.ratstls.channel import ChannelFailed, Failure, Role

_HANDSHAKE_FAILURE: Final = 40
_DECRYPT_ERROR: Final = 51
_INTERNAL_ERROR: Final = 80
_CERTIFICATE_REQUIRED: Final = 116

_NAMES: Final = {
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    _HANDSHAKE_FAILURE: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    _DECRYPT_ERROR: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    _INTERNAL_ERROR: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    _CERTIFICATE_REQUIRED: "certificate_required",
    120: "no_application_protocol",
}
_NUMBERS: Final = {name: number for number, name in _NAMES.items()}
_ALERT: Final = re.compile(r"\balert ([a-z ]+)$")
# rats-tls's OpenSSL answers internal_error where it is the last of its calls that refuses.
_REFUSALS: Final = frozenset({42, 43, 44, 45, 46, 48, 49, _INTERNAL_ERROR})


def find_alert(reason: str) -> int | None:
    """Return the number of the alert that a reason of OpenSSL's speaks of, ``tlsv1 alert unknown ca`` for instance.

    Only of alerts that were received does it speak so.
    """
    found = _ALERT.search(reason)
    return None if found is None else _NUMBERS.get(found[1].replace(" ", "_"))


def explain_alert(alert: int, *, role: Role, attestation_id: str | None) -> ChannelFailed:
    """Say what a fatal alert from the peer means.

    Args:
        alert: its number.
        role: this side's role.
        attestation_id: that of the certificate this side sent or would send, ``None`` where it has none.
    """
    peer, name = role.peer, f"TLS alert {_NAMES.get(alert, alert)}"
    if attestation_id is None and alert in {_HANDSHAKE_FAILURE, _CERTIFICATE_REQUIRED}:
        return ChannelFailed(
            failure=Failure.REFUSED_BY_PEER,
            message=f"the {peer} ended the handshake, most likely because it requires a certificate ({name})",
            remedy="send one with --mutual",
        )
    if attestation_id is not None and alert in _REFUSALS:
        return ChannelFailed(
            failure=Failure.REFUSED_BY_PEER,
            message=f"the {peer} refused our certificate (attestation id {attestation_id}, {name})",
            remedy=f"the {peer}'s operator can see why under that id",
        )
    if alert == _DECRYPT_ERROR:
        return ChannelFailed(
            failure=Failure.REFUSED_BY_PEER,
            message=f"the {peer} could not verify our signature: our key and certificate do not match ({name})",
        )
    return ChannelFailed(failure=Failure.PROTOCOL, message=f"the {peer} ended the connection ({name})")
