"""The status of a sync, from Dagster's events and the store's reports."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import dagster as dg
import msgspec

from brew_assets.defs.assets import bottles, pending_bottles
from brew_assets.defs.backfills import HASH_MANIFEST, PUBLICATION, Backfill, backfill_of, is_of_manifest
from brew_assets.defs.notifications.failure_causes import why_it_failed
from brew_assets.defs.pages.metadata import (
    BOTTLES_DONE,
    BYTES_DONE,
    BYTES_PER_SECOND,
    CURRENT,
    FOUND,
    STORED,
    SYNC_ID,
    recorded_notes,
    recorded_plan,
)
from brew_assets.defs.resources import LOADED_SETTINGS, platforms
from brew_assets.defs.tags import (
    CHANNEL_TAG,
    PARENT_RUN_TAG,
    PARTITION_TAG,
    SYNC_ID_TAG,
    TRIGGER_TAG,
    WILL_RETRY_TAG,
    inherited_tags,
)
from brew_assets.domain.bottle import shown_entry
from brew_assets.domain.left_out import LeftOut
from brew_assets.domain.notifications.messages import Progress
from brew_assets.domain.plan_summary import PlanSummary
from brew_assets.domain.sync_status import PlatformRun, RunState, SyncStatus

_STATES: Mapping[dg.DagsterRunStatus, RunState] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
    dg.DagsterRunStatus.QUEUED: "waiting",
    dg.DagsterRunStatus.NOT_STARTED: "waiting",
}
# Dagster stores a failure first, and in a later step whether another run follows. A process that dies between
# the two leaves that to the daemon, which looks every few seconds.
RETRY_KNOWN_WITHIN_S = 120.0
# The checks that follow a plan take seconds; a store that hangs takes some minutes.
CHECKED_WITHIN_S = 600.0
# Of one platform since the plan.
_MOST_MATERIALIZATIONS = 100
_UNSERVED = "not among TARGET_PLATFORMS; no run is started for it"
_NOT_BEGUN = "its backfill ended before this platform was begun"


class OpenSync(msgspec.Struct, frozen=True, kw_only=True):
    """A sync of which messages are left to send; what its plan said. Times are seconds since 1970.

    `notes` say what the plan leaves out; in `plan` that does not stand, nor do names of formulae.

    `whole` says that it is of all formulae for all of TARGET_PLATFORMS: only such a sync shows how the mirror
    stands. `unserved` are platforms of the plan that are none of TARGET_PLATFORMS: nobody starts a run for
    them. `backfill` is the id of the one whose runs copy for it, empty when the sensor starts them.

    `reported_at` is when its end was reported as a failure or with a warning, 0 when it was not; `seen` are
    its runs that had ended at the last look.
    """

    plan: PlanSummary
    run_id: str
    created_at: float
    trigger: str
    channel: str
    notes: tuple[str, ...] = ()
    whole: bool = False
    platforms: tuple[str, ...]
    unserved: tuple[str, ...] = ()
    backfill: str = ""
    # Under the names that cursors have from before.
    progress_notified_of: int = msgspec.field(default=0, name="told_progress_of")
    progress_notified_at: float = msgspec.field(default=0.0, name="told_progress_at")
    reported_at: float = 0.0
    seen: tuple[str, ...] = ()

    @property
    def is_incomplete(self) -> bool:
        """Whether channels know that it was no success; a later run may complete it."""
        return self.reported_at > 0.0

    @property
    def sync_id(self) -> str:
        """The id of its plan."""
        return self.plan.sync_id


def planned_sync(instance: dg.DagsterInstance, run_id: str) -> OpenSync | None:
    """The sync that the run has planned, None when it has recorded no plan."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.asset_materialization or record.asset_observation
        if event is None or event.asset_key != pending_bottles.key:
            continue
        sync = opened_sync(instance, event.metadata, run_id=run_id, at=record.timestamp)
        if sync is not None:
            return sync
    return None


def opened_sync(
    instance: dg.DagsterInstance,
    metadata: Mapping[str, dg.MetadataValue[Any]],
    *,
    run_id: str,
    at: float,
) -> OpenSync | None:
    """The sync of a plan that was recorded, None when the record names none."""
    plan = recorded_plan(metadata)
    if plan is None:
        return None
    run = instance.get_run_by_id(run_id)
    tags = inherited_tags(run.tags) if run else {}
    backfill = backfill_of(instance, run)
    known = platforms.get_partition_keys()
    pending = [name for name, totals in plan.platforms.items() if totals.bottles]
    return OpenSync(
        # The cursor keeps it for weeks.
        plan=msgspec.structs.replace(plan, left_out=LeftOut(), formulae=(), meant=(), needed=()),
        run_id=run_id,
        created_at=at,
        trigger=tags.get(TRIGGER_TAG, "Manual"),
        channel=tags.get(CHANNEL_TAG, ""),
        notes=recorded_notes(metadata, plan),
        whole=_is_of_all_meant(plan) and set(known) <= set(plan.platforms),
        platforms=tuple(name for name in known if name in pending),
        unserved=tuple(name for name in pending if name not in known),
        backfill=backfill.id if backfill else "",
    )


def _is_of_all_meant(plan: PlanSummary) -> bool:
    """Whether it is for all that the mirror is meant to hold, with what is needed if settings say so."""
    as_set = not plan.meant or plan.closed == LOADED_SETTINGS.include_dependencies
    return not plan.formulae and as_set


def status_of(
    instance: dg.DagsterInstance, sync: OpenSync, records: Sequence[dg.RunRecord], *, now: float
) -> tuple[SyncStatus, float | None]:
    """The status of a sync with these runs, without their reports, and when the last of them ended.

    `now`, like that end, is in seconds since 1970.
    """
    backfill = Backfill(instance, sync.backfill) if sync.backfill else None
    newest = _speaking(instance, sync, records)
    runs = tuple(_platform_run(instance, name, record, now) for name, record in newest.items())
    unserved = tuple(
        PlatformRun(platform=name, run_id="", state="failed", error=_UNSERVED) for name in sync.unserved
    )
    if backfill is not None and backfill.is_over:
        not_begun = [name for name in sync.platforms if name in backfill.stores and name not in newest]
        unserved += tuple(
            PlatformRun(platform=name, run_id="", state="cancelled", error=_NOT_BEGUN) for name in not_begun
        )
    planning = instance.get_run_by_id(sync.run_id)
    ends = [record.end_time for record in newest.values() if record.end_time]
    since = max(ends, default=sync.created_at)
    manifest = _manifest_run(instance, records, now)
    is_due = _is_manifest_due(backfill, manifest, waited_s=now - since)
    is_due = is_due and all(run.state == "succeeded" for run in runs)
    if manifest is not None and manifest.state in ("failed", "cancelled"):
        runs += (manifest,)
    status = SyncStatus(
        sync_id=sync.sync_id,
        date=sync.plan.sync_date,
        created_at=sync.created_at,
        route=sync.plan.route,
        trigger=sync.trigger,
        planned=sync.plan.objects,
        held=sync.plan.held,
        size=sync.plan.estimated_bytes,
        unknown_sizes=sync.plan.unknown_sizes,
        run_id=sync.run_id,
        platforms=(*sync.platforms, *sync.unserved),
        notes=sync.notes,
        runs=(*runs, *unserved),
        manifest_run_id=manifest.run_id if manifest else "",
        planning=_goes_on(planning, waited_s=now - since) or is_due,
    )
    return status, max(ends, default=None)


def runs_of(instance: dg.DagsterInstance, sync: OpenSync) -> list[dg.RunRecord]:
    """Every run of the sync, oldest first: each copies for one of its platforms, or looks at the manifest.

    The latter are a backfill's last run and its executions again. Those of the sync's backfill are among them
    before they know their plan.
    """
    of_sync = dg.RunsFilter(tags={SYNC_ID_TAG: sync.sync_id})
    found = {r.storage_id: r for r in instance.get_run_records(of_sync, ascending=True, order_by="id")}
    for record in Backfill(instance, sync.backfill).records() if sync.backfill else ():
        if record.dagster_run.tags.get(SYNC_ID_TAG, sync.sync_id) == sync.sync_id:
            found[record.storage_id] = record
    return [
        record
        for _, record in sorted(found.items())
        if record.dagster_run.tags.get(PARTITION_TAG) in sync.platforms or is_of_manifest(record.dagster_run)
    ]


def ended_ids(runs: Iterable[dg.RunRecord], *, until: float = float("inf")) -> tuple[str, ...]:
    """The ids of those that had ended by that time (seconds since 1970), in their order."""
    return tuple(
        record.dagster_run.run_id
        for record in runs
        if record.dagster_run.is_finished and (record.end_time or 0.0) <= until
    )


def _speaking(
    instance: dg.DagsterInstance, sync: OpenSync, records: Iterable[dg.RunRecord]
) -> dict[str, dg.RunRecord]:
    """Platform -> the run that says how it stands: one that succeeded, else the newest.

    What a run has stored stays, whatever becomes of a later one. A run of chosen steps succeeds without a
    bottle where `bottles` is none of them: it counts where they were stored before.
    """
    found: dict[str, dg.RunRecord] = {}
    for record in records:
        run = record.dagster_run
        if is_of_manifest(run):
            continue
        platform, before = run.tags[PARTITION_TAG], found.get(run.tags[PARTITION_TAG])
        if before is not None and _has_stored(instance, before.dagster_run):
            continue
        if _has_stored(instance, run) and not _copies(run) and not _were_stored(instance, sync, platform):
            continue
        found[platform] = record
    return found


def _has_stored(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run has done all that a sync asks of it: one that failed to publish alone has."""
    # What keeps a publication back waits for more than this sync may bring.
    if run.status != dg.DagsterRunStatus.FAILURE:
        return run.status == dg.DagsterRunStatus.SUCCESS
    found = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in found]
    return {event.step_key for event in events if event is not None} == {PUBLICATION.to_user_string()}


def _copies(run: dg.DagsterRun) -> bool:
    """Whether the run's steps are such that it copies bottles."""
    if run.step_keys_to_execute is not None:
        return bottles.key.to_user_string() in run.step_keys_to_execute
    return run.asset_selection is None or bottles.key in run.asset_selection


def _were_stored(instance: dg.DagsterInstance, sync: OpenSync, platform: str) -> bool:
    """Whether a run of the sync has materialized the platform's bottles."""
    made = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=bottles.key, asset_partitions=[platform], after_timestamp=sync.created_at
        ),
        limit=_MOST_MATERIALIZATIONS,
    ).records
    found = (record.asset_materialization for record in made)
    return any(one is not None and _is_of(one.metadata, sync.sync_id) for one in found)


def _is_of(metadata: Mapping[str, dg.MetadataValue[Any]], sync_id: str) -> bool:
    return SYNC_ID in metadata and metadata[SYNC_ID].value == sync_id


def _manifest_run(
    instance: dg.DagsterInstance, records: Sequence[dg.RunRecord], now: float
) -> PlatformRun | None:
    """The run that looks at the manifest after a backfill's others: one that succeeded, else the newest.

    It stands beside those of the platforms, under the name of what it materializes.
    """
    last = [record for record in records if is_of_manifest(record.dagster_run)]
    well = [record for record in last if _has_stored(instance, record.dagster_run)]
    found = next(reversed(well or last), None)
    return _platform_run(instance, HASH_MANIFEST.to_user_string(), found, now) if found is not None else None


def _is_manifest_due(backfill: Backfill | None, run: PlatformRun | None, *, waited_s: float) -> bool:
    """Whether the backfill's run that looks at the manifest is to be awaited."""
    if backfill is None or not backfill.ends_with_manifest:
        return False
    return not (run.ended if run is not None else backfill.is_over) and waited_s < CHECKED_WITHIN_S


def _goes_on(planning: dg.DagsterRun | None, *, waited_s: float) -> bool:
    """Whether a planning run may still find something.

    One that died without a word stays STARTED for ever where nobody monitors runs: so long after the plan was
    made, and after its runs have ended, nobody waits for it.
    """
    return planning is not None and not planning.is_finished and waited_s < CHECKED_WITHIN_S


def _platform_run(
    instance: dg.DagsterInstance, platform: str, record: dg.RunRecord, now: float
) -> PlatformRun:
    run = record.dagster_run
    state = "succeeded" if _has_stored(instance, run) else _STATES.get(run.status, "going")
    if state == "failed" and fate_of(instance, record, now=now) != "final":
        state = "waiting"
    reason, error = why_it_failed(instance, run.run_id) if state == "failed" else ("", "")
    return PlatformRun(platform=platform, run_id=run.run_id, state=state, reason=reason, error=error)


Fate = Literal["retried", "open", "final"]


def fate_of(instance: dg.DagsterInstance, record: dg.RunRecord, *, now: float) -> Fate:
    """Whether another run takes the place of this failed one; open as long as Dagster may still decide it."""
    run = record.dagster_run
    tag = run.tags.get(WILL_RETRY_TAG)
    if tag is None and instance.run_retries_enabled:
        # The run's body loses the tag when another part of it is written meanwhile; the table keeps it.
        if not instance.get_runs(dg.RunsFilter(run_ids=[run.run_id], tags={WILL_RETRY_TAG: "true"}), limit=1):
            ended_s = now - (record.end_time or 0.0)
            return "open" if ended_s < RETRY_KNOWN_WITHIN_S else "final"
        tag = "true"
    if (tag or "").lower() != "true":
        return "final"
    # After its backfill's end a run gets no child any more, whatever the tag says, which stays.
    backfill = backfill_of(instance, run)
    is_given_up = backfill is not None and not backfill.goes_on and not _has_child(instance, run)
    return "final" if is_given_up else "retried"


def _has_child(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run was executed again, asked of the children: the run's own body may lose the tag."""
    return bool(instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_TAG: run.run_id}), limit=1))


def progress_of_runs(instance: dg.DagsterInstance, sync: OpenSync) -> tuple[Progress, int] | None:
    """How far the runs are together, and the storage id of the newest observation; None before the first."""
    newest = 0
    bottles_done = bytes_done = 0
    rate, current = 0.0, ""
    for platform in sync.platforms:
        record = _newest_of_platform(instance, sync, platform)
        if record is None:
            continue
        storage_id, found, going = record
        ended_with = _number(found.get(STORED)) + _number(found.get(FOUND))
        bottles_done += _number(found.get(BOTTLES_DONE, ended_with))
        bytes_done += _number(found.get(BYTES_DONE, found.get("bytes_downloaded")))
        if going:
            rate += float(found.get(BYTES_PER_SECOND) or 0.0)
            if storage_id > newest:
                newest, current = storage_id, _text(found.get(CURRENT))
    if not newest:
        return None
    progress = Progress(
        bottles_done=bottles_done,
        bytes_done=bytes_done,
        bytes_per_second=rate,
        current=shown_entry(current),
    )
    return progress, newest


def _newest_of_platform(
    instance: dg.DagsterInstance, sync: OpenSync, platform: str
) -> tuple[int, dict[str, Any], bool] | None:
    """Storage id, metadata, and whether the run goes on: its last event about the platform's bottles."""
    wanted = dg.AssetRecordsFilter(
        asset_key=bottles.key, asset_partitions=[platform], after_timestamp=sync.created_at
    )
    stored = instance.fetch_materializations(wanted, limit=1).records
    if stored and (made := stored[0].asset_materialization):
        found = {name: value.value for name, value in made.metadata.items()}
        if found.get(SYNC_ID) == sync.sync_id:
            return stored[0].storage_id, found, False
    observed = instance.fetch_observations(wanted, limit=1).records
    if observed and (seen := observed[0].asset_observation):
        run = instance.get_run_by_id(observed[0].run_id)
        if run is not None and run.tags.get(SYNC_ID_TAG) == sync.sync_id:
            found = {name: value.value for name, value in seen.metadata.items()}
            return observed[0].storage_id, found, BOTTLES_DONE in found
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
