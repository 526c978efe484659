"""The first form of the tables."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables, and the row that counts revisions."""
    _create_items()
    _create_platforms()
    _create_registrations()
    _create_amd_items()
    _create_leases()


def _create_items() -> None:
    revisions = op.create_table(
        "pccs_revisions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_revisions"),
    )
    op.bulk_insert(revisions, [{"id": 1, "newest": 0}])
    op.create_table(
        "pccs_items",
        sa.Column("api_version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("publication", sa.String(length=20), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("tee", sa.String(length=3), nullable=False),
        sa.Column("fmspc", sa.String(length=12), nullable=False),
        sa.Column("pck_ca", sa.String(length=9), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("issuer_chain", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "api_version", "publication", "root", "kind", "tee", "fmspc", "pck_ca", name="pk_pccs_items"
        ),
        sa.UniqueConstraint("revision", name="uq_pccs_items_revision"),
    )


def _create_platforms() -> None:
    op.create_table(
        "pccs_issuer_chains",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("pem", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_pccs_issuer_chains"),
    )
    op.create_table(
        "pccs_platforms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("qe_id", sa.String(length=260), nullable=False),
        sa.Column("pce_id", sa.String(length=4), nullable=False),
        sa.Column("enc_ppid", sa.LargeBinary(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("fmspc", sa.String(length=12), nullable=False),
        sa.Column("ca", sa.String(length=9), nullable=False),
        sa.Column("issuer_chain", sa.String(length=64), nullable=False),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_chain"], ["pccs_issuer_chains.digest"], name="fk_pccs_platforms_issuer_chain"),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_platforms"),
        sa.UniqueConstraint("qe_id", "pce_id", name="uq_pccs_platforms_qe_id_pce_id"),
    )
    op.create_index("ix_pccs_platforms_fmspc_pccs_platforms_id", "pccs_platforms", ["fmspc", "id"], unique=False)
    op.create_table(
        "pccs_pck_certificates",
        sa.Column("platform_id", _ID, nullable=False),
        sa.Column("tcb", sa.String(length=36), nullable=False),
        sa.Column("pem", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["pccs_platforms.id"], name="fk_pccs_pck_certificates_platform_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("platform_id", "tcb", name="pk_pccs_pck_certificates"),
    )
    op.create_table(
        "pccs_answers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("platform_id", _ID, nullable=False),
        sa.Column("raw_tcb", sa.String(length=36), nullable=False),
        sa.Column("chosen", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["pccs_platforms.id"], name="fk_pccs_answers_platform_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_answers"),
        sa.UniqueConstraint("platform_id", "raw_tcb", name="uq_pccs_answers_platform_id_raw_tcb"),
    )


def _create_registrations() -> None:
    op.create_table(
        "pccs_registrations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("qe_id", sa.String(length=260), nullable=False),
        sa.Column("pce_id", sa.String(length=4), nullable=False),
        sa.Column("raw_tcb", sa.String(length=36), nullable=False),
        sa.Column("enc_ppid", sa.LargeBinary(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("fmspc", sa.String(length=12), nullable=False),
        sa.Column("ca", sa.String(length=9), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_registrations"),
        sa.UniqueConstraint("qe_id", "pce_id", "raw_tcb", name="uq_pccs_registrations_qe_id_pce_id_raw_tcb"),
    )
    op.create_index("ix_pccs_registrations_state", "pccs_registrations", ["state"], unique=False)
    op.create_table(
        "pccs_policies",
        sa.Column("id", _ID, nullable=False),
        sa.Column("policy_id", sa.String(length=96), nullable=False),
        sa.Column("fmspc", sa.String(length=12), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_policies"),
        sa.UniqueConstraint("fmspc", "policy_id", name="uq_pccs_policies_fmspc_policy_id"),
    )


def _create_amd_items() -> None:
    op.create_table(
        "pccs_amd_items",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key_type", sa.String(length=4), nullable=False),
        sa.Column("product", sa.String(length=10), nullable=False),
        sa.Column("what", sa.String(length=10), nullable=False),
        sa.Column("chip_id", sa.String(length=128), nullable=False),
        sa.Column("tcb", sa.String(length=16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.String(length=50), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pccs_amd_items"),
        sa.UniqueConstraint(
            "key_type", "product", "what", "chip_id", "tcb", name="uq_pccs_amd_items_key_type_product_what_chip_id_tcb"
        ),
    )


def _create_leases() -> None:
    op.create_table(
        "pccs_leases",
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("holder", sa.String(length=400), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pccs_leases"),
    )
    op.create_table(
        "pccs_attempts",
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("down_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_pccs_attempts"),
    )
    op.create_index("ix_pccs_attempts_at", "pccs_attempts", ["at"], unique=False)
