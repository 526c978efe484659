"""The tables, as the newest migration leaves them. All begin with ``pccs_``: a PostgreSQL database may have others.

Nothing is trusted for being here. What can be verified is verified again by whoever reads it, and what follows from
that (an item's sequence and expiry, a certificate's components) is read from it then, so that it has no column.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from verdictd.pccs.database.column_types import Content, Instant

PREFIX: Final = "pccs_"
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only what it calls INTEGER; that has 64 bits there."""

REVISIONS: Final = Table(
    "pccs_revisions",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("newest", BigInteger, nullable=False),
)
"""One row, which every change of an item raises and holds until it is committed."""

ITEMS: Final = Table(
    "pccs_items",
    METADATA,
    Column("api_version", SmallInteger, primary_key=True, autoincrement=False),
    Column("publication", String(20), primary_key=True),
    Column("root", String(64), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("tee", String(3), primary_key=True),
    Column("fmspc", String(12), primary_key=True),
    Column("pck_ca", String(9), primary_key=True),
    Column("body", Content, nullable=False),
    Column("signature", Content, nullable=False),
    Column("issuer_chain", Content, nullable=False),
    Column("source", Text, nullable=False),
    Column("fetched_at", Instant, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Column("revision", BigInteger, nullable=False, unique=True),
)
"""TCB info, identities and CRLs. ``publication`` is ``standard``, ``early`` or a number; columns that do not apply are
empty."""

ISSUER_CHAINS: Final = Table(
    "pccs_issuer_chains",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("pem", Content, nullable=False),
)
"""Chains of PCK CAs, by SHA-256: all platforms have one of a few."""

PLATFORMS: Final = Table(
    "pccs_platforms",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("qe_id", String(260), nullable=False),
    Column("pce_id", String(4), nullable=False),
    Column("enc_ppid", Content, nullable=False),
    Column("manifest", Content, nullable=False),
    Column("fmspc", String(12), nullable=False),
    Column("ca", String(9), nullable=False),
    Column("issuer_chain", String(64), ForeignKey("pccs_issuer_chains.digest"), nullable=False),
    Column("is_complete", Boolean, nullable=False),
    Column("fetched_at", Instant, nullable=False),
    UniqueConstraint("qe_id", "pce_id"),
)
Index(None, PLATFORMS.c.fmspc, PLATFORMS.c.id)

PCK_CERTIFICATES: Final = Table(
    "pccs_pck_certificates",
    METADATA,
    Column("platform_id", ForeignKey("pccs_platforms.id", ondelete="CASCADE"), primary_key=True),
    Column("tcb", String(36), primary_key=True),
    Column("pem", Content, nullable=True),
)
"""A row for each TCB level; without a certificate where the vendor said that there is none."""

ANSWERS: Final = Table(
    "pccs_answers",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("platform_id", ForeignKey("pccs_platforms.id", ondelete="CASCADE"), nullable=False),
    Column("raw_tcb", String(36), nullable=False),
    Column("chosen", String(36), nullable=True),
    UniqueConstraint("platform_id", "raw_tcb"),
)
"""The raw TCBs that platforms asked for, each with the level that was chosen, until other certificates come."""

REGISTRATIONS: Final = Table(
    "pccs_registrations",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("qe_id", String(260), nullable=False),
    Column("pce_id", String(4), nullable=False),
    Column("raw_tcb", String(36), nullable=False),
    Column("enc_ppid", Content, nullable=False),
    Column("manifest", Content, nullable=False),
    Column("fmspc", String(12), nullable=False),
    Column("ca", String(9), nullable=False),
    Column("state", String(10), nullable=False, index=True),
    UniqueConstraint("qe_id", "pce_id", "raw_tcb"),
)

POLICIES: Final = Table(
    "pccs_policies",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("policy_id", String(96), nullable=False),
    Column("fmspc", String(12), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("fmspc", "policy_id"),
)

AMD_ITEMS: Final = Table(
    "pccs_amd_items",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("key_type", String(4), nullable=False),
    Column("product", String(10), nullable=False),
    Column("what", String(10), nullable=False),
    Column("chip_id", String(128), nullable=False),
    Column("tcb", String(16), nullable=False),
    Column("content", Content, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("sequence", String(50), nullable=False),
    Column("fetched_at", Instant, nullable=False),
    UniqueConstraint("key_type", "product", "what", "chip_id", "tcb"),
)
"""``sequence`` is written out in digits: a CRL number may have twenty bytes."""

LEASES: Final = Table(
    "pccs_leases",
    METADATA,
    Column("name", String(400), primary_key=True),
    Column("holder", String(400), nullable=False),
    Column("ends_at", Instant, nullable=False),
)

ATTEMPTS: Final = Table(
    "pccs_attempts",
    METADATA,
    Column("name", String(400), primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("failure", Text, nullable=False),
    Column("not_before", Instant, nullable=True),
    Column("down_since", Instant, nullable=True),
)
