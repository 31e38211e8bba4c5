"""Which notifications of each sync are due; they are handed to the channels."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from logging import Logger

import dagster as dg
import msgspec

from brew_assets.compose import build_store
from brew_assets.configured import deployment_of
from brew_assets.defs.notifications.deliveries import InstanceDeliveries
from brew_assets.defs.notifications.incomplete_syncs import (
    FOLLOWED_FOR_S,
    IncompleteSync,
    LaterRuns,
    ended_runs,
    later_runs,
)
from brew_assets.defs.notifications.planning_runs import FailedPlanning
from brew_assets.defs.notifications.run_history import OpenSync, progress_of_runs, status_of
from brew_assets.defs.pages.store_findings import store_findings
from brew_assets.defs.schedules import next_scheduled_sync
from brew_assets.domain.metrics import Metric, gauges, sync_metrics
from brew_assets.domain.notifications.blocks import Message
from brew_assets.domain.notifications.messages import (
    completed_note,
    end_of,
    end_without_plan,
    is_large,
    large_download_of,
    progress_of,
    security_event,
    security_text,
    start_of,
)
from brew_assets.domain.plan import Plan
from brew_assets.domain.report import Outcome
from brew_assets.domain.sync_status import Ending, SyncStatus
from brew_assets.engine.kept_plans import kept_plan
from brew_assets.engine.kept_reports import kept_reports
from brew_assets.engine.notifier import Channel, Notification, Notifier
from brew_assets.engine.ports import Clock
from brew_assets.engine.record.stored_names import stored_names
from brew_assets.errors import MirrorError, is_security
from brew_assets.settings import Settings

START, LARGE, END, COMPLETION = "start", "large-download", "end", "completion"
# A tick has a minute; what is left waits for the next one.
_TICK_S = 40.0
# So long the end waits for a store that cannot be read; then it is sent without the reports.
_PATIENCE_S = 600.0
_TOO_OLD_S = 7 * 86_400.0
# Platforms times tries; more would be a run that is begun again and again.
_MOST_REPORTS = 1000
_OUTCOMES: dict[Ending, Outcome] = {"success": "success", "warning": "partial", "failure": "failed"}


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that has ended, with what the store says of it; `ended` in seconds since 1970.

    `names` are the entry keys of what it stored itself, None like the plan when the store did not say.
    """

    status: SyncStatus
    ended: float
    plan: Plan | None
    names: frozenset[str] | None

    @property
    def left(self) -> int:
        """How many of the planned bottles are not held."""
        status = self.status
        return max(0, status.planned - status.done - len(status.forgotten))


class DueNotifications:
    """Notifies the channels of syncs, for one tick."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        settings: Settings,
        channels: Sequence[Channel],
        clock: Clock,
        *,
        log: Logger,
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._deployment = deployment_of(settings)
        self._clock = clock
        self._record = InstanceDeliveries(instance)
        self._notifier = Notifier(channels, self._record, self._clock, log=log)
        self._log = log
        self._deadline = self._clock.monotonic() + _TICK_S

    def _now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    def notify(self, sync: OpenSync) -> OpenSync | IncompleteSync | None:
        """The sync while notifications of it are left to send; None when all were sent, or it is too old.

        One whose end was no success is reported again when a later run completes it: `follow` looks for that.
        """
        if self._now() - sync.created_at > _TOO_OLD_S:
            self._log.warning(
                f"sync {sync.sync_id}: not all of its messages could be sent within a week; given up"
            )
            return None
        try:
            return self._notify_of_sync(sync)
        except Exception:  # a mistake of ours about one sync must not silence the others
            self._log.exception(f"sync {sync.sync_id}: its messages cannot be sent now")
            return sync

    def _notify_of_sync(self, sync: OpenSync) -> OpenSync | IncompleteSync | None:
        # Before the look at the runs: one that ends meanwhile is looked at again.
        seen = ended_runs(self._instance, sync)
        status, ended_at = status_of(self._instance, sync, now=self._now())
        due = [self._start(status, sync)]
        if is_large(status, self._deployment):
            due.append(self._notification(LARGE, sync, message=large_download_of(status, self._deployment)))
        if not status.ended:
            self._remember(sync, pending=status.planned)
            self._notify(sync.sync_id, due)
            return self._notify_of_progress(status, sync, after=[notification.name for notification in due])
        found = self._look_at_end(status, sync, ended_at)
        if found is None:
            self._notify(sync.sync_id, due)
            return sync
        due += [self._end(sync, found), *self._completion(sync, found)]
        if not self._notify(sync.sync_id, due):
            return sync
        if found.status.ending == "success":
            return None
        return IncompleteSync(sync=sync, reported_at=self._now(), seen=seen)

    def recall(self, sync: OpenSync) -> IncompleteSync | None:
        """The sync as it is to be followed by a sensor that has lost its cursor.

        None when no channel was given an end that was no success, or one was given the completion.
        """
        given = [one for one in self._notifier.given(sync.sync_id, END) if one.state != "waiting"]
        bad = [one for one in given if one.outcome not in ("", "success")]
        if not bad or self._notifier.given(sync.sync_id, COMPLETION):
            return None
        reported_at = max(one.at for one in bad)
        seen = ended_runs(self._instance, sync, until=reported_at)
        return IncompleteSync(sync=sync, reported_at=reported_at, seen=seen)

    def follow(self, known: IncompleteSync) -> IncompleteSync | None:
        """The sync as it is followed further; None when it is complete and that was sent, or after a month.

        What another try leaves undone is no news, but for what it found that is a security event.
        """
        sync = known.sync
        if self._now() - known.reported_at > FOLLOWED_FOR_S:
            return None
        if self._clock.monotonic() > self._deadline:
            return known
        try:
            return self._follow(known)
        except Exception:  # a mistake of ours about one sync must not silence the others
            self._log.exception(f"sync {sync.sync_id}: its later runs cannot be looked at now")
            return known

    def _follow(self, known: IncompleteSync) -> IncompleteSync | None:
        sync, seen = known.sync, ended_runs(self._instance, known.sync)
        fresh = set(seen) - set(known.seen)
        if not fresh:
            return known
        status, ended_at = status_of(self._instance, sync, now=self._now())
        found = self._look_at_end(status, sync, ended_at) if status.ended else None
        if found is None:
            return known
        completed = found.status.ending == "success"
        newest = sync.created_at >= self._record.state().pending_of
        # The mirror is as good as what was planned: an older sync does not vouch for today.
        good_at = (found.ended if newest else sync.created_at) if completed else None
        self._remember(sync, pending=found.left, good_at=good_at)
        due = [*self._new_findings(sync, found.status, fresh, name=seen[-1]), *self._completion(sync, found)]
        if not self._notify(sync.sync_id, due):
            return known
        return None if completed else msgspec.structs.replace(known, seen=seen)

    def notify_of_failed_planning(self, planning: FailedPlanning) -> bool:
        """True when a message has said that there is no plan, or when it is too old for one."""
        if self._now() - planning.ended_at > _TOO_OLD_S:
            self._log.warning(
                f"planning run {planning.run_id}: its message could not be sent within a week; given up"
            )
            return True
        deployment, at = self._deployment, datetime.fromtimestamp(planning.ended_at, tz=UTC)
        found = [("planning", planning.reason, planning.error)] if is_security(planning.reason) else []
        duration_s = planning.ended_at - planning.started_at
        message = end_without_plan(
            deployment,
            date=f"{at:%Y-%m-%d}",
            run_id=planning.run_id,
            reason=planning.reason,
            error=planning.error,
            duration_s=duration_s,
        )
        metrics = sync_metrics(
            environment=deployment.environment,
            sync_date=f"{at:%Y-%m-%d}",
            route="none",
            downloaded=0,
            bytes_downloaded=0,
            duration_s=duration_s,
            failed=0,
            outcome="failed",
        )
        end = Notification(
            name=END,
            subject=self._subject(message.text),
            message=message,
            channel=planning.channel,
            security=security_event(
                found, deployment, subject=f"the planning run {planning.run_id}", run_id=planning.run_id
            ),
            metrics=tuple(metrics),
        )
        return self._notify(planning.subject or f"run-{planning.run_id}", [end])

    def _notify(self, sync: str, due: Sequence[Notification]) -> bool:
        left_s = self._deadline - self._clock.monotonic()
        return left_s > 0 and self._notifier.notify(sync, due, within_s=left_s)

    def _start(self, status: SyncStatus, sync: OpenSync) -> Notification:
        at = datetime.fromtimestamp(status.created_at, tz=UTC)
        message = start_of(status, self._deployment, started_at=f"{at:%Y-%m-%d %H:%M:%S}")
        metrics = self._gauges(sync, pending=status.planned)
        return self._notification(START, sync, message=message, metrics=metrics)

    def _notify_of_progress(self, status: SyncStatus, sync: OpenSync, *, after: Sequence[str]) -> OpenSync:
        """The sync, with the progress that was notified: at most once in an interval, and only of news."""
        now = self._now()
        begun = max(sync.created_at, sync.progress_notified_at)
        if status.route != "ecs" or now - begun < self._settings.progress_update_interval:
            return sync
        found = progress_of_runs(self._instance, sync)
        if found is None or found[1] <= sync.progress_notified_of:
            return sync
        progress, newest = found
        message = progress_of(status, progress, now=now)
        # Named by what it says: a tick that is repeated after a kill sends it no second time.
        notification = self._notification(f"progress-{newest}", sync, message=message)
        self._notifier.send_best_effort(sync.sync_id, notification, after=after)
        return msgspec.structs.replace(sync, progress_notified_of=newest, progress_notified_at=now)

    def _look_at_end(self, status: SyncStatus, sync: OpenSync, ended_at: float | None) -> _Ended | None:
        """The ended sync as the store knows it; None while the store cannot be read and may be soon."""
        now = self._now()
        ended = ended_at or now
        try:
            store = build_store(self._settings)
            reports = tuple(kept_reports(store, status.sync_id, most=_MOST_REPORTS).values())
            names = stored_names(store, status.sync_id)
            plan = kept_plan(store, status.sync_id)
        except MirrorError as error:
            self._log.warning(f"sync {status.sync_id}: its reports cannot be read: {error}")
            if now - ended < _PATIENCE_S:
                return None
            reports, names, plan = (), None, None
        run_ids = dict.fromkeys((*(run.run_id for run in status.runs), status.run_id, status.manifest_run_id))
        findings = store_findings(self._instance, [run_id for run_id in run_ids if run_id])
        stored = None if names is None else len(names)
        status = msgspec.structs.replace(status, reports=reports, stored=stored, store_findings=findings)
        return _Ended(status=status, ended=ended, plan=plan, names=names)

    def _end(self, sync: OpenSync, found: _Ended) -> Notification:
        status, duration_s = found.status, max(0.0, found.ended - found.status.created_at)
        self._remember(sync, pending=found.left, good_at=found.ended if status.ending == "success" else None)
        return self._notification(
            END,
            sync,
            message=self._end_message(found, duration_s),
            security=security_text(status, self._deployment),
            metrics=[*self._metrics(status, duration_s), *self._gauges(sync, pending=found.left)],
            outcome=status.ending,
        )

    def _completion(self, sync: OpenSync, found: _Ended) -> list[Notification]:
        """That the sync is complete, for the channels that were given another end of it; else nothing."""
        given = [one for one in self._notifier.given(sync.sync_id, END) if one.outcome not in ("", "success")]
        if found.status.ending != "success" or not given:
            return []
        reported = max(given, key=lambda delivery: delivery.at)
        later = later_runs(self._instance, sync, since=reported.at)
        note = completed_note(reported.outcome, at=datetime.fromtimestamp(reported.at, tz=UTC))
        noted = msgspec.structs.replace(found.status, notes=(note, *found.status.notes))
        message = self._end_message(
            msgspec.structs.replace(found, status=noted), later.first_s + later.later_s
        )
        return [
            self._notification(
                COMPLETION,
                sync,
                message=message,
                metrics=[*self._later_metrics(found, later), *self._gauges(sync, pending=found.left)],
                outcome="success",
                corrects=END,
            )
        ]

    def _new_findings(
        self, sync: OpenSync, status: SyncStatus, fresh: Collection[str], *, name: str
    ) -> list[Notification]:
        """The security event of what these runs of the sync found; nothing when they found nothing."""
        runs = tuple(run for run in status.runs if run.run_id in fresh)
        text = security_text(
            msgspec.structs.replace(
                status,
                runs=runs,
                reports=tuple(report for report in status.reports if report.run_id in fresh),
                store_findings=tuple(one for one in status.store_findings if one.run_id in fresh),
            ),
            self._deployment,
        )
        if not text:
            return []
        subject = self._subject("Homebrew bottles sync, executed again")
        return [Notification(name=f"security-{name}", subject=subject, security=text)]

    def _end_message(self, found: _Ended, duration_s: float) -> Message:
        return end_of(
            found.status,
            self._deployment,
            objects=found.plan.objects if found.plan else (),
            stored=found.names,
            duration_s=duration_s,
            next_sync=next_scheduled_sync(self._instance, self._settings, after=self._clock.now()),
        )

    def _remember(self, sync: OpenSync, *, pending: int, good_at: float | None = None) -> None:
        """The state that is published between syncs; a sync of a part says nothing about it."""
        before = self._record.state()
        after = before.after(created_at=sync.created_at, pending=pending, good_at=good_at)
        if sync.whole and after != before:
            self._record.set_state(after)

    def _gauges(self, sync: OpenSync, *, pending: int) -> list[Metric]:
        """What is pending, if the sync knows: it is the newest of everything."""
        if not sync.whole or sync.created_at < self._record.state().pending_of:
            return []
        return gauges(environment=self._deployment.environment, pending=pending, last_good_age_s=None)

    def _metrics(self, status: SyncStatus, duration_s: float) -> list[Metric]:
        return sync_metrics(
            environment=self._deployment.environment,
            sync_date=status.date,
            route=status.route or "local",
            downloaded=status.new,
            bytes_downloaded=status.downloaded,
            duration_s=duration_s,
            failed=len(status.failures),
            outcome=_OUTCOMES[status.ending],
        )

    def _later_metrics(self, found: _Ended, later: LaterRuns) -> list[Metric]:
        """What the later runs added to what was counted at the reported end."""
        reports = later.of(found.status.reports)
        return sync_metrics(
            environment=self._deployment.environment,
            sync_date=found.status.date,
            route=found.status.route or "local",
            downloaded=None if found.names is None else sum(report.new for report in reports),
            bytes_downloaded=sum(report.bytes_downloaded for report in reports),
            duration_s=later.later_s,
            failed=0,
            outcome="success",
        )

    def _notification(
        self,
        name: str,
        sync: OpenSync,
        *,
        message: Message,
        security: str = "",
        metrics: Sequence[Metric] = (),
        outcome: str = "",
        corrects: str = "",
    ) -> Notification:
        return Notification(
            name=name,
            subject=self._subject(message.text),
            message=message,
            channel=sync.channel,
            security=security,
            metrics=tuple(metrics),
            outcome=outcome,
            corrects=corrects,
        )

    def _subject(self, text: str) -> str:
        return f"[{self._deployment.environment}] {text}"
