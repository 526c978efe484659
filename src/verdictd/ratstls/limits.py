"""What peers may take of a server, all together and each: every bound on something that a peer controls."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The bounds. Each is looked at before memory is spent on what would exceed it.

    Attributes:
        max_connections: connections at once, handshaking ones included; more are closed as soon as they are accepted.
            An idle one costs some 7 KiB (with TLS 1.2, some 50), and one in its handshake up to
            `max_handshake_bytes` more.
        max_connections_per_address: of these, from one address (IPv6: from one /64), so that nobody takes them all.
            Peers behind one gateway share an address.
        handshake_threads: handshake steps at once in each process, each of which may wait for collateral.
        handshake_timeout_s: for a handshake as a whole, judgement included.
        max_handshake_bytes: what a peer may send until its handshake is complete. Certificates with evidence take about
            10 KiB, and with collateral about 40 KiB.
        idle_timeout_s: for which an accepted peer may send no data.
        request_timeout_s: in which a request that has begun has to be complete.
        max_requests: on one connection.
        max_connection_bytes: what a peer may send on one connection.
        max_silent_bytes: what it may send in TLS records that bring no data, one after the other.
        write_timeout_s: in which a peer has to take what is sent to it.
        farewell_timeout_s: for which a connection is kept so that its peer can read the last words, which would be
            lost in a reset if the peer was still sending.
        max_refusals_per_minute: refusals that each process writes down, one by one, in a minute. Of more than that only
            how many they were is written down, so that nobody fills the disk by being turned away.
    """

    max_connections: int = 10_000
    max_connections_per_address: int = 1_000
    handshake_threads: int = 16
    handshake_timeout_s: float = 30.0
    max_handshake_bytes: int = 128 * 1024
    idle_timeout_s: float = 300.0
    request_timeout_s: float = 30.0
    max_requests: int = 1_000_000
    max_connection_bytes: int = 1024 * 1024 * 1024
    max_silent_bytes: int = 64 * 1024
    write_timeout_s: float = 30.0
    farewell_timeout_s: float = 2.0
    max_refusals_per_minute: int = 600
