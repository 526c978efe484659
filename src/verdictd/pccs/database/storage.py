"""All storages over one database, and how it is opened."""

from verdictd.pccs.database.addresses import parse_database_url
from verdictd.pccs.database.amd_items import AMDVerifier, DatabaseAMD
from verdictd.pccs.database.attempts import DatabaseAttempts
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.items import DatabaseItems
from verdictd.pccs.database.leases import DatabaseLeases
from verdictd.pccs.database.pck_verification import PCKVerifier
from verdictd.pccs.database.platforms import DatabasePlatforms
from verdictd.pccs.database.policies import DatabasePolicies
from verdictd.pccs.database.registrations import DatabaseRegistrations
from verdictd.pccs.database.row_warnings import RowWarnings
from verdictd.pccs.database.schema import check_presence, identify_file, prepare_schema
from verdictd.pccs.errors import StorageError
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots


class DatabaseStorage:
    """Implements `Storage`."""

    def __init__(self, database: Database, roots: TrustRoots, verify_amd: AMDVerifier | None) -> None:
        self._database = database
        self._file = identify_file(database)
        memory, warnings = FactMemory(), RowWarnings()
        self._items = DatabaseItems(database, roots, memory, warnings)
        self._platforms = DatabasePlatforms(database, PCKVerifier(roots, memory), warnings)
        self._registrations = DatabaseRegistrations(database, warnings)
        self._policies = DatabasePolicies(database)
        self._amd = DatabaseAMD(database, verify_amd, warnings)
        self._leases = DatabaseLeases(database)
        self._attempts = DatabaseAttempts(database)

    @property
    def items(self) -> DatabaseItems:
        """Collateral."""
        return self._items

    @property
    def platforms(self) -> DatabasePlatforms:
        """Platforms and PCK certificates."""
        return self._platforms

    @property
    def registrations(self) -> DatabaseRegistrations:
        """Who waits to be cached."""
        return self._registrations

    @property
    def policies(self) -> DatabasePolicies:
        """Appraisal policies."""
        return self._policies

    @property
    def amd(self) -> DatabaseAMD:
        """AMD's certificates."""
        return self._amd

    @property
    def leases(self) -> DatabaseLeases:
        """Who does what."""
        return self._leases

    @property
    def attempts(self) -> DatabaseAttempts:
        """What came of asking upstream."""
        return self._attempts

    def ping(self) -> None:
        """See `Storage.ping`. What is written to a file that was taken away or replaced meanwhile would be lost."""
        if identify_file(self._database) != self._file:
            raise StorageError(
                f"{self._database.address} is another file than the one that was opened",
                remedy="start again to use the new one",
            )
        check_presence(self._database)

    def close(self) -> None:
        """See `Storage.close`."""
        self._database.close()


def open_storage(
    url: str, roots: TrustRoots, *, migrate: bool = True, verify_amd: AMDVerifier | None = None
) -> DatabaseStorage:
    """Open a database, and make it or bring it up to date where that is needed.

    Args:
        url: ``sqlite:////DIRECTORY/pccs.db``, ``postgresql://USER:PASSWORD@HOST/DATABASE``; never shown.
        roots: under which everything is verified when it is read.
        migrate: whether the database may be made or changed in form.
        verify_amd: raises a `VerdictdError` where an item of AMD's does not hold. Without it none is read.
    Raises:
        ConfigError: not such a URL, or its driver is not installed.
        StorageError: the database cannot be reached or used, or is of a newer version of this program.
    """
    database = Database(parse_database_url(url))
    try:
        prepare_schema(database, migrate=migrate)
    except BaseException:
        database.close()
        raise
    return DatabaseStorage(database, roots, verify_amd)
