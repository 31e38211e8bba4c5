"""The concurrency pool of those who write the manifest."""

import contextlib

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

MANIFEST_POOL = "manifest_writer"


def make_pool_known(instance: dg.DagsterInstance) -> None:
    """The pool has its row in Dagster's database, before a step asks for a place in it.

    Dagster makes the row at the first use, and where several runs do that at the same time on
    PostgreSQL all but one fail: the second statement of
    SqlEventLogStorage.initialize_concurrency_limit_to_default runs in the transaction that the first
    one's UniqueViolation has ended. Here that only means that the row is there.
    """
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        with contextlib.suppress(SQLAlchemyError):
            storage.initialize_concurrency_limit_to_default(MANIFEST_POOL)
