"""Scheduled syncs that are missing: no run of the schedule has ended so long after its time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg
import msgspec

from brew_assets.defs.notifications.run_history import fate_of, planned_sync, runs_of, status_of
from brew_assets.defs.schedules import SCHEDULE, schedule_is_running, scheduled_times
from brew_assets.defs.tags import SCHEDULE_TAG
from brew_assets.domain.quantities import rough_duration
from brew_assets.settings import Settings

# Dagster's scheduler ticks within seconds; after so long it does not tick at all.
START_WITHIN = timedelta(hours=1)
_BY_HAND = "a sync can be started by hand with the job selective_sync."
_NOT_STARTED = (
    f"No run of {SCHEDULE} was started for it. Check that Dagster's daemon runs and that the schedule is on; "
    f"{_BY_HAND}"
)
_CANCELLED = f"Its run of {SCHEDULE} was cancelled before it had a plan; {_BY_HAND}"


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that is missing, of which some channel has had no message yet; `at` is its time, since 1970.

    `given` has what became of the message on each channel.
    """

    at: float
    finding: str
    given: dict[str, str] = {}


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which time (seconds since 1970) of which SCHEDULE_EXPRESSION every scheduled sync is settled.

    `unsent` are those that were found missing and are still to be reported.
    """

    settled: float
    expression: str = ""
    unsent: tuple[Missing, ...] = ()


def look_for_missing(
    instance: dg.DagsterInstance, settings: Settings, watch: Watch, now: datetime
) -> tuple[Watch, str]:
    """The watch after the scheduled times since the last settled one were looked at, and what was found.

    Several that are found missing at once make one message. By a new expression nothing was scheduled before
    now, and while the schedule is stopped nothing is missed.
    """
    expression, unsent, settled = settings.schedule_expression, watch.unsent, watch.settled
    is_running = schedule_is_running(instance, settings)
    if not is_running or watch.expression not in ("", expression):
        settled = now.timestamp()
    window = timedelta(hours=settings.sync_window_hours)
    missing: list[Missing] = []
    for at, following in pairwise(
        scheduled_times(settings, after=datetime.fromtimestamp(settled + 1, tz=UTC))
    ):
        finding = finding_of(instance, at, following, now, window) if at <= now else None
        if finding is None:
            # Neither well nor overdue: it and later ones are looked at again.
            break
        if finding:
            missing.append(Missing(at=at.timestamp(), finding=finding))
        settled = at.timestamp()
    if missing:
        newest, first = missing[-1], f"{datetime.fromtimestamp(missing[0].at, tz=UTC):%Y-%m-%d %H:%M}"
        more = f" {len(missing) - 1} scheduled before it are missing too, since {first}."
        finding = newest.finding + (more if len(missing) > 1 else "")
        unsent = (*unsent, Missing(at=newest.at, finding=finding))
    well = "Every scheduled sync is well or under way." if is_running else "The schedule is stopped."
    found = unsent[-1].finding if unsent and is_running else well
    return Watch(settled=settled, expression=expression, unsent=unsent), found


def finding_of(
    instance: dg.DagsterInstance, at: datetime, following: datetime, now: datetime, window: timedelta
) -> str | None:
    """What is missing of the sync scheduled for that time; empty when nothing is, None while it is open."""
    records = instance.get_run_records(
        dg.RunsFilter(tags={SCHEDULE_TAG: SCHEDULE}, created_after=at - timedelta(seconds=1)),
        ascending=True,
        order_by="id",
    )
    mine = [record for record in records if record.create_timestamp.replace(tzinfo=UTC) < following]
    if all(was_cancelled_unplanned(instance, record) for record in mine):
        if now - at < min(START_WITHIN, window):
            return None
        return _CANCELLED if mine else _NOT_STARTED
    if any(has_ended(instance, record, now=now.timestamp()) for record in mine):
        return ""
    if now - at < window:
        return None
    return (
        f"It did not end within {rough_duration(window.total_seconds())} (SYNC_WINDOW_HOURS). It may still "
        "be going on: look at its runs."
    )


def was_cancelled_unplanned(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether the planning run was cancelled before it had a plan."""
    run = record.dagster_run
    return run.status == dg.DagsterRunStatus.CANCELED and planned_sync(instance, run.run_id) is None


def has_ended(instance: dg.DagsterInstance, record: dg.RunRecord, *, now: float) -> bool:
    """Whether the planning run failed for good, or all runs of its plan have ended."""
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.FAILURE:
        return fate_of(instance, record, now=now) == "final"
    if not run.is_finished:
        return False
    sync = planned_sync(instance, run.run_id)
    return sync is None or status_of(instance, sync, runs_of(instance, sync), now=now)[0].ended
