"""The status of a sync: its plan, its runs and their reports, and how it ended.

Pure: defs/notifications/ looks at Dagster and the store, and hands over what it found.
"""

from collections.abc import Collection
from typing import Literal, Self

import msgspec

from brew_assets.domain.left_out import LeftOut, forgotten_note
from brew_assets.domain.links import Links
from brew_assets.domain.report import Failure, Report, is_security

RunState = Literal["waiting", "going", "succeeded", "failed", "cancelled"]
Ending = Literal["success", "warning", "failure"]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What every message of this deployment says. `store_url` ends without a slash."""

    environment: str
    threshold_gb: float
    cluster: str
    store_url: str
    links: Links


class PlatformRun(msgspec.Struct, frozen=True, kw_only=True):
    """The newest try of a sync for one platform; of a planning that failed, with no platform.

    `reason` and `error` say why it failed.
    """

    platform: str
    run_id: str
    state: RunState
    reason: str = ""
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("succeeded", "failed", "cancelled")


class StoreFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A check in one of the runs that found stored data to be other than recorded."""

    run_id: str
    check: str
    message: str


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A sync as it is known now. `planning`: its planning run goes on, or a backfill's last run does, and may
    still find something.

    `planned` counts names, `size` the bytes to download (unknown sizes estimated by the known ones),
    `platforms` those that get a run; `notes` say what the plan leaves out; `run_id` is the planning run's,
    `manifest_run_id` that of a backfill's last run, which looks at the manifest for all of them; `reports`
    stand oldest first; `stored` counts the names that the sync put into the store itself, as the
    store says, None when it did not say; times are seconds since 1970.
    """

    sync_id: str
    date: str
    created_at: float
    route: str
    trigger: str
    planned: int
    held: int
    size: int
    unknown_sizes: int = 0
    run_id: str
    manifest_run_id: str = ""
    platforms: tuple[str, ...]
    runs: tuple[PlatformRun, ...] = ()
    reports: tuple[Report, ...] = ()
    stored: int | None = None
    store_findings: tuple[StoreFinding, ...] = ()
    planning: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def without_plan(cls, run_id: str, *, date: str, created_at: float, reason: str, error: str) -> Self:
        """Of a sync that got no plan, since its planning run failed: it has no id and nothing planned."""
        failed = PlatformRun(platform="", run_id=run_id, state="failed", reason=reason, error=error)
        return cls(
            sync_id="",
            date=date,
            created_at=created_at,
            route="none",
            trigger="",
            planned=0,
            held=0,
            size=0,
            run_id=run_id,
            platforms=(),
            runs=(failed,),
        )

    @property
    def has_plan(self) -> bool:
        """Whether a plan could be made."""
        return bool(self.sync_id)

    @property
    def forgotten(self) -> tuple[str, ...]:
        """The names that the runs have taken off the manifest, each once."""
        return tuple(dict.fromkeys(name for report in self.reports for name in report.forgotten))

    @property
    def end_notes(self) -> tuple[str, ...]:
        """What the runs have taken off the manifest, and the notes."""
        return (*forgotten_note(self.forgotten), *self.notes)

    @property
    def known_size(self) -> int | None:
        """The bytes to download, None when upstream said no size at all."""
        return None if self.unknown_sizes and not self.size else self.size

    @property
    def ended(self) -> bool:
        """Whether the planning run and every platform's run have ended."""
        ended = {run.platform for run in self.runs if run.ended}
        return not self.planning and ended >= set(self.platforms)

    @property
    def newest_reports(self) -> dict[str, Report]:
        """Platform -> the report of its last try."""
        return {platform: report for report in self.reports for platform in report.platforms}

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The bottles that failed in the last tries, each once."""
        found = {f.name: f for report in self.newest_reports.values() for f in report.failed}
        return tuple(found.values())

    @property
    def index_failures(self) -> tuple[Failure, ...]:
        """The indexes that are missing or do not fit after the last tries, each once."""
        found = {f.name: f for report in self.newest_reports.values() for f in report.indexes_failed}
        return tuple(found.values())

    @property
    def api_refusals(self) -> tuple[tuple[str, str], ...]:
        """Reason and message of each refusal of the signed API for which the runs' plan had to do without."""
        found = ((r.left_out.no_api_reason, r.left_out.no_api) for r in self.reports)
        return tuple(dict.fromkeys((reason, why) for reason, why in found if is_security(reason)))

    def found_by(self, run_ids: Collection[str]) -> Self:
        """What these runs have found themselves; the plan, and with it what it leaves out, is of before."""
        return msgspec.structs.replace(
            self,
            runs=tuple(run for run in self.runs if run.run_id in run_ids),
            reports=tuple(
                msgspec.structs.replace(report, left_out=LeftOut())
                for report in self.reports
                if report.run_id in run_ids
            ),
            store_findings=tuple(one for one in self.store_findings if one.run_id in run_ids),
        )

    @property
    def broken(self) -> tuple[PlatformRun, ...]:
        """The runs that ended without saying what became of every bottle."""
        # A run that failed because bottles failed has said all: its newest report names them, gave up nothing
        # and left nothing, and the sync is a warning. Of every other failed run something is not known.
        # Without a report the process died; one that was given up, or left bottles, says only how far it
        # came; and one that has no failed bottle at all failed after its transfer, in the fold for example.
        # So it is asked what the newest report lacks, and not whether there is one. Indexes are as bottles.
        reports = self.newest_reports
        return tuple(
            run
            for run in self.runs
            if run.state in ("failed", "cancelled")
            and (
                (report := reports.get(run.platform)) is None
                or report.aborted
                or report.left
                or report.indexes_left
                or not (report.failed or report.indexes_failed)
            )
        )

    @property
    def failed_run_id(self) -> str:
        """The run that shows what went wrong: one that broke, else one with failures, else the planning."""
        reports = self.newest_reports
        broken = [run.run_id for run in self.broken]
        failed = [
            run.run_id
            for run in self.runs
            if (r := reports.get(run.platform)) and (r.failed or r.indexes_failed)
        ]
        return next((run_id for run_id in (*broken, *failed) if run_id), self.run_id)

    @property
    def done(self) -> int:
        """How many of the planned names are in the store."""
        # Where every run has said what failed, all else that was planned is there: counting what is missing
        # cannot count twice. What tries stored can: a second one finds what the first has stored. But of a
        # run that broke off nobody knows what is missing, so there the tries' counts are added up, and never
        # beyond what has not failed.
        if self.ending == "success":
            return max(0, self.planned - len(self.forgotten))
        if not self.broken:
            return max(0, self.planned - len(self.failures) - len(self.forgotten))
        counted = sum(report.stored + report.recorded for report in self.reports)
        return max(0, min(self.planned - len(self.failures), counted))

    @property
    def new(self) -> int | None:
        """How many bottles the sync put into the store itself; None when neither store nor reports say it.

        Of syncs that overlap, each bottle is new in one.
        """
        if self.stored is not None or not self.planned:
            return self.stored or 0
        return min(self.planned, sum(report.new for report in self.reports)) if self.reports else None

    @property
    def existing(self) -> int | None:
        """How many of the wanted bottles others had stored, before the plan or after it."""
        there = self.held + self.planned - len(self.forgotten)
        return None if self.new is None else max(0, there - self.new)

    @property
    def downloaded(self) -> int:
        """Bytes that the tries have downloaded."""
        return sum(report.bytes_downloaded for report in self.reports)

    @property
    def ending(self) -> Ending:
        """How the sync ended; a warning when only some bottles or indexes failed, each named by its run."""
        if self.broken:
            return "failure"
        if self.failures:
            return "warning" if len(self.failures) < self.planned else "failure"
        return "warning" if self.index_failures else "success"


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """How the mirror is, for the metrics that are published again and again. Times are seconds since 1970.

    `pending` is what a sync that was created at `pending_of` has left.
    """

    last_good_at: float | None = None
    pending: int | None = None
    pending_of: float = 0.0

    def after(self, *, created_at: float, pending: int, good_at: float | None) -> "SyncState":
        """The state once a sync of everything has come so far; an older sync takes nothing back."""
        known = [at for at in (self.last_good_at, good_at) if at is not None]
        newest = created_at >= self.pending_of
        return SyncState(
            last_good_at=max(known, default=None),
            pending=pending if newest else self.pending,
            pending_of=max(created_at, self.pending_of),
        )
