"""The job that mends the store from the UI: what `brew-mirror verify --repair` does."""

import dagster as dg
from pydantic import Field

from brew_assets.defs.backfills import HASH_MANIFEST
from brew_assets.defs.pages.markdown import MAX_ROWS
from brew_assets.defs.pages.metadata import Metadata, failure_table, table
from brew_assets.defs.progress import log_count
from brew_assets.defs.resources import MirrorResource, end_step
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.existence import require_mirror
from brew_assets.engine.ports import Progress
from brew_assets.engine.record.rebuild import rebuild_manifest
from brew_assets.engine.record.verify import Certificate, certify, entries_of_tags
from brew_assets.engine.repair import MENDED, RepairCounts, count, repair, repair_indexes
from brew_assets.engine.sync import Mirror

_NAMED = 3


class RepairRequest(dg.Config):
    """What is looked at."""

    deep: bool = Field(default=True, description="Read every byte back, not only what the store vouches for.")
    platforms: list[str] = Field(default=[], description="Only bottles of these tags; none means all.")


@dg.op(description="Looks at every recorded bottle, and fetches again what is missing or wrong.")
def mend_store(context: dg.OpExecutionContext, config: RepairRequest, mirror: MirrorResource) -> None:
    with mirror.engine(context) as engine:
        certificates = _look(context, engine, config)
        done = None
        if any(certificate.verdict in MENDED for certificate in certificates):
            done = _mend(context, engine, certificates)
        log = log_count(context, engine.ports.clock, "Indexes: {done:,} of {total:,}")
        indexes = repair_indexes(engine, certificates, progress=log)
        counts = count(certificates, done, indexes=indexes)
    metadata = _metadata(counts, certificates, done)
    metadata["index_failures"] = failure_table(indexes.failed, what="index")
    context.add_output_metadata(metadata)
    context.log_event(dg.AssetObservation(HASH_MANIFEST, metadata=metadata))
    context.log.info(_described(counts))
    wrong = counts.checked - counts.current
    if counts.repaired < wrong or counts.indexes_failed or counts.indexes_left:
        failed = [*(done.failed if done else ()), *indexes.failed]
        named = [failure.message for failure in failed[:_NAMED]] + [
            f"{c.entry.s3_key} is {c.verdict} {c.finding}" for c in certificates if c.verdict == "UNREADABLE"
        ][:_NAMED]
        passing = any(failure.may_pass for failure in failed)
        end_step(
            context,
            dg.Failure(
                printable(f"{_described(counts)} First: {'; '.join(named)}") if named else _described(counts),
                metadata=metadata,
                allow_retries=passing,
            ),
        )


def _look(context: dg.OpExecutionContext, engine: Mirror, config: RepairRequest) -> list[Certificate]:
    require_mirror(engine.store, place=engine.store.url)
    entries = entries_of_tags(engine.fold().manifest, config.platforms)
    log = log_count(context, engine.ports.clock, "Verified: {done:,} of {total:,} bottles")
    return certify(
        engine.store,
        entries,
        deep=config.deep,
        workers=engine.options.workers,
        progress=lambda done: log(done, len(entries)),
    )


def _mend(context: dg.OpExecutionContext, engine: Mirror, certificates: list[Certificate]) -> TransferResult:
    log = log_count(context, engine.ports.clock, "Repaired: {done:,} of {total:,} bottles")

    def listen(progress: Progress) -> None:
        log(progress.bottles_done, progress.bottles_total)

    return repair(engine, certificates, progress=listen)


def _described(counts: RepairCounts) -> str:
    return (
        f"Checked {counts.checked:,} bottles: {counts.current:,} current, {counts.missing:,} missing, "
        f"{counts.mismatch:,} wrong, {counts.unreadable:,} unreadable; repaired {counts.repaired:,}. "
        f"{counts.servable:,} are servable; indexes fetched {counts.indexes_fetched:,}, failed "
        f"{counts.indexes_failed:,}, not asked for {counts.indexes_left:,}."
    )


def _metadata(
    counts: RepairCounts,
    certificates: list[Certificate],
    done: TransferResult | None,
) -> Metadata:
    rows = ((c.entry.s3_key, c.verdict, c.finding) for c in certificates if c.verdict != "CURRENT")
    return {
        "checked": counts.checked,
        "current": counts.current,
        "missing": counts.missing,
        "mismatch": counts.mismatch,
        "unreadable": counts.unreadable,
        "repaired": counts.repaired,
        "findings": table(("object", "verdict", "finding"), rows),
        "failures": failure_table(done.failed if done else []),
        "servable": counts.servable,
        "indexes_fetched": counts.indexes_fetched,
    }


def make_manifest_anew(context: dg.AssetExecutionContext, engine: Mirror) -> None:
    """The manifest names the bottles that stand in the store, as after `brew-mirror manifest rebuild`."""
    context.log.info(f"{MANIFEST_KEY} is made anew from the stored bottles.")
    made, unidentified, backup = rebuild_manifest(
        engine.store, engine.ports.clock, workers=engine.options.workers
    )
    for item in unidentified[:MAX_ROWS]:
        what = "Damaged:" if item.kept else "Left out"
        context.log.warning(printable(f"{what} {item.key}: {item.why}"))
    context.log.info(
        f"{MANIFEST_KEY} has {len(made):,} entries; {len(unidentified):,} objects are damaged or were left "
        f"out. Backup: {backup or 'none was needed'}."
    )
