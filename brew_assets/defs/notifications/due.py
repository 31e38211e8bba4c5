"""Which notifications of each sync are due; they are handed to the channels."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from logging import Logger

import dagster as dg
import msgspec

from brew_assets.configured import deployment_of
from brew_assets.defs.notifications.deliveries import CursorDeliveries, RunDeliveries
from brew_assets.defs.notifications.ended_sync import EndedSync, later_runs, look_at_end
from brew_assets.defs.notifications.missing_syncs import Missing
from brew_assets.defs.notifications.planning_runs import FailedPlanning
from brew_assets.defs.notifications.run_history import (
    OpenSync,
    ended_ids,
    progress_of_runs,
    runs_of,
    status_of,
)
from brew_assets.defs.schedules import SCHEDULE, next_scheduled_sync
from brew_assets.domain.metrics import Metric, gauges, metrics_of
from brew_assets.domain.notifications.blocks import Message
from brew_assets.domain.notifications.messages import (
    absence_message,
    completed_note,
    end_message,
    is_large,
    large_download_message,
    progress_message,
    start_message,
)
from brew_assets.domain.notifications.security import security_text
from brew_assets.domain.sync_status import SyncState, SyncStatus
from brew_assets.engine.notifier import Channel, DeliveryRecord, Notification, Notifier, Wait
from brew_assets.engine.ports import Clock
from brew_assets.settings import Settings

START, LARGE, END, COMPLETION, ABSENCE = "start", "large-download", "end", "completion", "absence"
# A tick has a minute; what is left waits for the next one.
_TICK_S = 40.0
_TOO_OLD_S = 7 * 86_400.0
# A month and a bit: whoever executes a sync again after that time looks at the run.
FOLLOWED_FOR_S = 35 * 86_400.0


class DueNotifications:
    """Notifies the channels of syncs, for one tick. `state` is how the mirror stands after what was seen."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        settings: Settings,
        channels: Sequence[Channel],
        clock: Clock,
        *,
        waits: dict[str, Wait],
        state: SyncState,
        log: Logger,
    ) -> None:
        self.state = state
        self._instance = instance
        self._settings = settings
        self._deployment = deployment_of(settings)
        self._clock = clock
        self._notifier = Notifier(channels, waits, self._clock, log=log)
        self._log = log
        self._deadline = self._clock.monotonic() + _TICK_S

    def _now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    def notify(self, sync: OpenSync) -> OpenSync | None:
        """The sync while something is left to send or to look for; None when nothing is, or it is too old.

        One whose end was no success is followed for a month: it is reported again when a later run completes
        it. What another try leaves undone is no news, but for what it found that is a security event.
        """
        now = self._now()
        if sync.is_incomplete and now - sync.reported_at > FOLLOWED_FOR_S:
            return None
        if not sync.is_incomplete and now - sync.created_at > _TOO_OLD_S:
            self._log.warning(
                f"sync {sync.sync_id}: not all of its messages went out within a week; given up"
            )
            return None
        if self._clock.monotonic() > self._deadline:
            return sync
        try:
            if not self._instance.has_run(sync.run_id):
                self._log.warning(f"sync {sync.sync_id}: its planning run was deleted; nothing more is sent")
                return None
            return self._follow(sync) if sync.is_incomplete else self._notify_of_sync(sync)
        except Exception:  # a mistake of ours about one sync must not silence the others
            self._log.exception(f"sync {sync.sync_id}: its messages cannot be sent now")
            return sync

    def _notify_of_sync(self, sync: OpenSync) -> OpenSync | None:
        runs = runs_of(self._instance, sync)
        status, ended_at = status_of(self._instance, sync, runs, now=self._now())
        due = [self._start(status, sync)]
        if is_large(status, self._deployment):
            message = large_download_message(status, self._deployment)
            due.append(self._notification(LARGE, message, channel=sync.channel))
        if not status.ended:
            self._remember(sync, pending=status.planned)
            self._notify(self._record_of(sync), due)
            return self._notify_of_progress(status, sync, after=[notification.name for notification in due])
        found = self._look_at_end(status, ended_at)
        if found is None:
            self._notify(self._record_of(sync), due)
            return sync
        due += [self._end(sync, found), *self._completion(sync, found, runs)]
        if not self._notify(self._record_of(sync), due):
            return sync
        if found.status.ending == "success":
            return None
        return msgspec.structs.replace(sync, reported_at=self._now(), seen=ended_ids(runs))

    def recall(self, sync: OpenSync, *, is_newest: bool) -> OpenSync | None:
        """The sync as a sensor goes on with it that has lost its cursor; None when nothing is left of it.

        Something is when its start was given and no end, when its end was no success and it was not completed
        since, and when it is the newest and goes on.
        """
        record = self._record_of(sync)
        ends, runs = self._notifier.given(record, END), runs_of(self._instance, sync)
        if not ends:
            begun = self._notifier.given(record, START)
            goes_on = is_newest and not status_of(self._instance, sync, runs, now=self._now())[0].ended
            return sync if begun or goes_on else None
        bad = [end for end in ends if end.outcome not in ("", "success")]
        if not bad or self._notifier.given(record, COMPLETION):
            return None
        at = max(end.at for end in bad)
        return msgspec.structs.replace(sync, reported_at=at, seen=ended_ids(runs, until=at))

    def _follow(self, sync: OpenSync) -> OpenSync | None:
        runs = runs_of(self._instance, sync)
        seen = ended_ids(runs)
        fresh = set(seen) - set(sync.seen)
        if not fresh:
            return sync
        status, ended_at = status_of(self._instance, sync, runs, now=self._now())
        found = self._look_at_end(status, ended_at) if status.ended else None
        if found is None:
            return sync
        completed = found.status.ending == "success"
        newest = sync.created_at >= self.state.pending_of
        # The mirror is as good as what was planned: an older sync does not vouch for today.
        good_at = (found.ended if newest else sync.created_at) if completed else None
        self._remember(sync, pending=found.left, good_at=good_at)
        due = [*self._new_findings(found.status, fresh, name=seen[-1]), *self._completion(sync, found, runs)]
        if not self._notify(self._record_of(sync), due):
            return sync
        return None if completed else msgspec.structs.replace(sync, seen=seen)

    def notify_of_missing(self, missing: Missing) -> bool:
        """True when every channel knows that the scheduled sync is missing, or was given up."""
        at = datetime.fromtimestamp(missing.at, tz=UTC)
        message = absence_message(
            self._deployment,
            schedule=SCHEDULE,
            scheduled_for=f"{at:%Y-%m-%d %H:%M}",
            finding=missing.finding,
        )
        record = CursorDeliveries(missing.given, subject=f"scheduled-{at:%Y%m%dT%H%M}")
        return self._notify(record, [self._notification(ABSENCE, message)])

    def notify_of_failed_planning(self, planning: FailedPlanning) -> bool:
        """True when a message has said that there is no plan, or when it is too old for one."""
        if self._now() - planning.ended_at > _TOO_OLD_S:
            self._log.warning(
                f"planning run {planning.run_id}: its message did not go out within a week; given up"
            )
            return True
        status = SyncStatus.without_plan(
            planning.run_id,
            date=f"{datetime.fromtimestamp(planning.ended_at, tz=UTC):%Y-%m-%d}",
            created_at=planning.started_at,
            reason=planning.reason,
            error=planning.error,
        )
        duration_s = planning.ended_at - planning.started_at
        end = self._notification(
            END,
            end_message(status, self._deployment, duration_s=duration_s),
            channel=planning.channel,
            security=security_text(status, self._deployment),
            metrics=self._metrics(status, duration_s),
        )
        subject = planning.subject or f"run-{planning.run_id}"
        record = RunDeliveries(self._instance, planning.recorded_by or planning.run_id, subject=subject)
        return self._notify(record, [end])

    def _record_of(self, sync: OpenSync) -> RunDeliveries:
        return RunDeliveries(self._instance, sync.run_id, subject=sync.sync_id)

    def _notify(self, record: DeliveryRecord, due: Sequence[Notification]) -> bool:
        left_s = self._deadline - self._clock.monotonic()
        return left_s > 0 and self._notifier.notify(record, due, within_s=left_s)

    def _start(self, status: SyncStatus, sync: OpenSync) -> Notification:
        message = start_message(status, self._deployment)
        metrics = self._gauges(sync, pending=status.planned)
        return self._notification(START, message, channel=sync.channel, metrics=metrics)

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
        message = progress_message(status, progress, now=now)
        notification = self._notification("progress", message, channel=sync.channel)
        self._notifier.send_best_effort(self._record_of(sync), notification, after=after)
        return msgspec.structs.replace(sync, progress_notified_of=newest, progress_notified_at=now)

    def _look_at_end(self, status: SyncStatus, ended_at: float | None) -> EndedSync | None:
        return look_at_end(self._instance, self._settings, status, ended_at, clock=self._clock, log=self._log)

    def _end(self, sync: OpenSync, found: EndedSync) -> Notification:
        status, duration_s = found.status, max(0.0, found.ended - found.status.created_at)
        self._remember(sync, pending=found.left, good_at=found.ended if status.ending == "success" else None)
        return self._notification(
            END,
            self._end_message(found, duration_s),
            channel=sync.channel,
            security=security_text(status, self._deployment),
            metrics=[*self._metrics(status, duration_s), *self._gauges(sync, pending=found.left)],
            outcome=status.ending,
        )

    def _completion(
        self, sync: OpenSync, found: EndedSync, runs: Sequence[dg.RunRecord]
    ) -> list[Notification]:
        """That the sync is complete, for the channels that were given another end of it; else nothing."""
        if found.status.ending != "success":
            return []
        ends = self._notifier.given(self._record_of(sync), END)
        given = [end for end in ends if end.outcome not in ("", "success")]
        if not given:
            return []
        reported = max(given, key=lambda delivery: delivery.at)
        reported_at = sync.reported_at or reported.at
        later = later_runs(sync, runs, since=reported_at)
        # What was counted at the reported end is not counted again.
        counted = self._metrics(later.added_to(found.status), later.later_s)
        note = completed_note(reported.outcome, at=datetime.fromtimestamp(reported_at, tz=UTC))
        noted = msgspec.structs.replace(found.status, notes=(note, *found.status.notes))
        message = self._end_message(
            msgspec.structs.replace(found, status=noted), later.first_s + later.later_s
        )
        return [
            self._notification(
                COMPLETION,
                message,
                channel=sync.channel,
                metrics=[*counted, *self._gauges(sync, pending=found.left)],
                outcome="success",
                corrects=END,
            )
        ]

    def _new_findings(self, status: SyncStatus, fresh: Collection[str], *, name: str) -> list[Notification]:
        """The security event of what these runs of the sync found; nothing when they found nothing."""
        text = security_text(status.found_by(fresh), self._deployment)
        if not text:
            return []
        subject = self._subject("Homebrew bottles sync, executed again")
        return [Notification(name=f"security-{name[:8]}", subject=subject, security=text)]

    def _end_message(self, found: EndedSync, duration_s: float) -> Message:
        return end_message(
            found.status,
            self._deployment,
            objects=found.plan.objects if found.plan else (),
            stored=found.names,
            duration_s=duration_s,
            next_sync=next_scheduled_sync(self._instance, self._settings, after=self._clock.now()),
        )

    def _remember(self, sync: OpenSync, *, pending: int, good_at: float | None = None) -> None:
        """The state that is published between syncs; a sync of a part says nothing about it."""
        if sync.whole:
            self.state = self.state.after(created_at=sync.created_at, pending=pending, good_at=good_at)

    def _gauges(self, sync: OpenSync, *, pending: int) -> list[Metric]:
        """What is pending, if the sync knows: it is the newest of everything."""
        if not sync.whole or sync.created_at < self.state.pending_of:
            return []
        return gauges(environment=self._deployment.environment, pending=pending, last_good_age_s=None)

    def _metrics(self, status: SyncStatus, duration_s: float) -> list[Metric]:
        return metrics_of(status, environment=self._deployment.environment, duration_s=duration_s)

    def _notification(
        self,
        name: str,
        message: Message,
        *,
        channel: str = "",
        security: str = "",
        metrics: Sequence[Metric] = (),
        outcome: str = "",
        corrects: str = "",
    ) -> Notification:
        return Notification(
            name=name,
            subject=self._subject(message.text),
            message=message,
            channel=channel,
            security=security,
            metrics=tuple(metrics),
            outcome=outcome,
            corrects=corrects,
        )

    def _subject(self, text: str) -> str:
        return f"[{self._deployment.environment}] {text}"
