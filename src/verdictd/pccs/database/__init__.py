"""The database of the cache: SQLite in a file, or PostgreSQL. `open_storage` is the way in."""

from verdictd.pccs.database.storage import open_storage

__all__ = ["open_storage"]
