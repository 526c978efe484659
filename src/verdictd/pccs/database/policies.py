"""Appraisal policies in the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from verdictd.core.errors import MalformedError
from verdictd.core.limits import MAX_POLICY_BYTES
from verdictd.pccs.database.connections import Database
from verdictd.pccs.database.sizes import check_text
from verdictd.pccs.database.tables import POLICIES
from verdictd.pccs.database.upserts import insert_into
from verdictd.pccs.model import AppraisalPolicy

_POLICY_ID_DIGITS = 96


class DatabasePolicies:
    """Implements `PolicyStorage`. Policies are signed by their owners; nothing of them is verified."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, policy: AppraisalPolicy) -> None:
        """See `PolicyStorage.keep`. One that is there already keeps its place.

        Raises:
            LimitExceededError, MalformedError: what cannot be stored.
            StorageError: the database failed.
        """
        if len(policy.fmspc) != 6:
            raise MalformedError(f"the FMSPC of a policy is {len(policy.fmspc)} bytes long, expected 6")
        values = {
            "policy_id": check_text(policy.policy_id, _POLICY_ID_DIGITS, "the id of a policy"),
            "fmspc": policy.fmspc.hex().upper(),
            "is_default": policy.is_default,
            "text": check_text(policy.text, MAX_POLICY_BYTES, "the policy"),
        }

        def work(connection: Connection) -> None:
            statement = insert_into(connection, POLICIES).values(values)
            key = [POLICIES.c.fmspc, POLICIES.c.policy_id]
            connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))

        self._database.write("store a policy", work)

    def defaults(self, fmspc: bytes) -> Sequence[AppraisalPolicy]:
        """See `PolicyStorage.defaults`."""
        query = (
            select(POLICIES)
            .where(POLICIES.c.fmspc == fmspc.hex().upper(), POLICIES.c.is_default.is_(True))
            .order_by(POLICIES.c.id)
        )
        rows = self._database.read("read the policies", lambda connection: connection.execute(query).all())
        return [AppraisalPolicy(policy_id=row.policy_id, fmspc=fmspc, is_default=True, text=row.text) for row in rows]
