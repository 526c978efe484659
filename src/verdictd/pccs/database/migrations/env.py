"""What alembic runs: the steps that are missing, in the transaction that the caller began."""

from alembic import context

from verdictd.pccs.database.schema import VERSION_TABLE
from verdictd.pccs.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
