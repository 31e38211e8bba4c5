"""The messages about a sync, from its status, with the numbers worked out."""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import first_names
from brew_assets.domain.notifications.blocks import (
    FAILURES_SHOWN,
    FORMULAE_SHOWN,
    Message,
    TopFormula,
    failure_message,
    large_download_message,
    progress_message,
    shown_failure,
    start_message,
    success_message,
    warning_message,
)
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure
from brew_assets.domain.routing import GB
from brew_assets.domain.sync_status import Deployment, SyncStatus
from brew_assets.errors import is_security, label_of

# Bytes per second at worst and at best, for the duration that people read: a guess, no promise.
_SLOW, _FAST = 13.3e6, 17.7e6
_ROUND_TO_MINUTES = 5
_SECURITY_ROWS = 50


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far all runs of a sync are together; sizes in bytes."""

    bottles_done: int
    bytes_done: int
    bytes_per_second: float
    current: str


def start_of(status: SyncStatus, deployment: Deployment, *, started_at: str) -> Message:
    """The message that the sync begins; `started_at` as "2025-07-21 03:00:15"."""
    return start_message(
        environment=deployment.environment,
        date=status.date,
        bottles=status.planned,
        size=status.size,
        route=status.route,
        trigger=status.trigger,
        started_at=started_at,
        notes=status.notes,
        links=deployment.links.of_sync(status.sync_id),
    )


def is_large(status: SyncStatus, deployment: Deployment) -> bool:
    """Whether the sync goes through ECS for its size: it exceeds what Lambda gets, or nobody knows."""
    size = status.known_size
    exceeds = size is None or size >= deployment.threshold_gb * GB
    return status.route == "ecs" and bool(status.platforms) and exceeds


def large_download_of(status: SyncStatus, deployment: Deployment) -> Message:
    """The message that the sync goes through ECS."""
    return large_download_message(
        environment=deployment.environment,
        date=status.date,
        size=status.known_size,
        threshold_gb=deployment.threshold_gb,
        bottles=status.planned,
        cluster=deployment.cluster,
        expected_minutes=None if status.known_size is None else expected_minutes(status.size),
    )


def expected_minutes(size: int) -> tuple[int, int]:
    """How long a download of so many bytes takes at best and at worst, in steps of five minutes."""
    low = math.floor(size / _FAST / 60 / _ROUND_TO_MINUTES) * _ROUND_TO_MINUTES
    high = math.ceil(size / _SLOW / 60 / _ROUND_TO_MINUTES) * _ROUND_TO_MINUTES
    return max(1, low), max(_ROUND_TO_MINUTES, high)


def progress_of(status: SyncStatus, progress: Progress, *, now: float) -> Message:
    """The message how far the sync is."""
    done, size = min(progress.bottles_done, status.planned), max(status.size, progress.bytes_done)
    rate = progress.bytes_per_second
    return progress_message(
        bottles_done=done,
        bottles_total=status.planned,
        bytes_done=progress.bytes_done,
        bytes_total=size,
        elapsed_s=max(0.0, now - status.created_at),
        eta_s=(size - progress.bytes_done) / rate if rate > 0 else None,
        bytes_per_second=rate,
        current=progress.current,
    )


def end_of(
    status: SyncStatus,
    deployment: Deployment,
    *,
    objects: Sequence[PlannedBottle],
    duration_s: float,
    next_sync: str,
    stored: Collection[str] | None = None,
) -> Message:
    """The message how the sync ended; `objects` are the plan's, `next_sync` as "2025-07-28 03:00".

    `stored` are the entry keys of what the sync put into the store itself; None: nobody knows.
    """
    links = deployment.links
    environment, date = deployment.environment, status.date
    if status.ending == "success":
        return success_message(
            environment=environment,
            date=date,
            new=status.new,
            existing=status.existing,
            downloaded=status.downloaded,
            duration_s=duration_s,
            location=f"{deployment.store_url}/{date}/",
            top=top_formulae(p for p in objects if stored is None or p.bottle.entry_key in stored),
            next_sync=next_sync,
            notes=status.end_notes,
            links=links.of_sync(status.sync_id),
        )
    if status.ending == "warning":
        return warning_message(
            environment=environment,
            date=date,
            done=status.done,
            planned=status.planned,
            failed=failed_lines(status.failures, objects),
            duration_s=duration_s,
            notes=status.end_notes,
            links=links.of_sync(status.sync_id),
        )
    return failure_message(
        environment=environment,
        date=date,
        error_type=error_type(status),
        duration_s=duration_s,
        done=status.done,
        planned=status.planned,
        size=status.downloaded,
        details=error_details(status),
        log_group=links.log_group,
        notes=status.end_notes,
        links=links.of_failure(status.failed_run_id),
    )


_REPORTED: dict[str, str] = {"failure": "as failed", "warning": "as completed with warnings"}


def completed_note(outcome: str, *, at: datetime) -> str:
    """What a message says first of a sync that was reported otherwise before; `at` in UTC."""
    reported = _REPORTED.get(outcome, "otherwise")
    return (
        f"This sync was reported {reported} on {at:%Y-%m-%d} at {at:%H:%M} UTC. "
        "After a re-execution it is now complete."
    )


def end_without_plan(
    deployment: Deployment, *, date: str, run_id: str, reason: str, error: str, duration_s: float
) -> Message:
    """The message that no plan could be made."""
    return failure_message(
        environment=deployment.environment,
        date=date,
        error_type=label_of(reason) if reason else "Planning failed",
        duration_s=duration_s,
        done=0,
        planned=None,
        size=0,
        details=[error],
        log_group=deployment.links.log_group,
        links=deployment.links.of_failure(run_id),
    )


def top_formulae(objects: Iterable[PlannedBottle]) -> list[TopFormula]:
    """The formulae with the most bytes that were stored, and the platforms that they serve."""
    sizes: dict[tuple[str, str], int] = {}
    platforms: dict[tuple[str, str], dict[str, None]] = {}
    for planned in objects:
        name = (planned.bottle.formula, str(planned.bottle.pkg_version))
        sizes[name] = sizes.get(name, 0) + (planned.size or 0)
        platforms.setdefault(name, {}).update(dict.fromkeys(planned.platforms))
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))[:FORMULAE_SHOWN]
    return [TopFormula(name=name[0], version=name[1], platforms=tuple(platforms[name])) for name in ordered]


def failed_lines(failures: Sequence[Failure], objects: Iterable[PlannedBottle]) -> list[str]:
    """One line per failure; the name is split where the plan knows how."""
    wanted = {failure.name for failure in failures}
    bottles = {p.bottle.filename: p.bottle for p in objects if p.bottle.filename in wanted}
    lines = []
    for failure in failures:
        bottle, parts = bottles.get(failure.name), parse_filename(failure.name)
        if bottle is not None:
            name, version, tag = bottle.formula, str(bottle.pkg_version), bottle.tag
        else:
            name, version, tag = (parts.stem, "", parts.tag) if parts else (failure.name, "", "?")
        lines.append(shown_failure(failure, name=name, version=version, tag=tag))
    return lines


def error_type(status: SyncStatus) -> str:
    """What ended the sync, in a few words: the most frequent cause."""
    if any(run.state == "cancelled" for run in status.broken):
        return "Cancelled"
    causes = [label_of(failure.reason) for failure in status.failures]
    causes += [label_of(run.reason) for run in status.broken if run.reason]
    return max(causes, key=lambda cause: (causes.count(cause), cause)) if causes else "Run failed"


def error_details(status: SyncStatus) -> list[str]:
    """What went wrong: the runs that broke, then the first failures and how many others."""
    reports = status.newest_reports
    lines = []
    for run in status.broken:
        report = reports.get(run.platform)
        finding = (report.aborted if report else "") or run.error or run.state
        names = f": {first_names(report.left_bottles, report.left)}" if report and report.left_bottles else ""
        left = f" ({report.left:,} bottles left{names})" if report and report.left else ""
        lines.append(f"{run.platform}: {finding}{left}")
    failures = status.failures
    lines += [failure.message for failure in failures[:FAILURES_SHOWN]]
    if len(failures) > FAILURES_SHOWN:
        lines.append(f"... and {len(failures) - FAILURES_SHOWN:,} others")
    return lines


def security_text(status: SyncStatus, deployment: Deployment) -> str:
    """What is not what it must be (a digest, size, host or manifest), for those who watch over that.

    A paragraph for what came from upstream, and one for what lies in the store.
    """
    found = [(f.name, f.reason, f.message) for f in status.failures if is_security(f.reason)]
    broken = [run for run in status.broken if is_security(run.reason)]
    found += [(run.platform, run.reason, run.error) for run in broken]
    finders = {
        platform
        for platform, report in status.newest_reports.items()
        if any(is_security(failure.reason) for failure in report.failed)
    } | {run.platform for run in broken}
    run_id = next(
        (run.run_id for run in status.runs if run.platform in finders and run.run_id), status.run_id
    )
    subject = f"sync {status.sync_id}"
    texts = [security_event(found, deployment, subject=subject, run_id=run_id)]
    if status.store_findings:
        stored = [(finding.check, "check failed", finding.message) for finding in status.store_findings]
        texts.append(
            security_event(
                stored,
                deployment,
                subject=f"the store after {subject}",
                run_id=status.store_findings[0].run_id,
                consequence="look with brew-mirror verify --deep, mend with --repair",
            )
        )
    return "\n\n".join(text for text in texts if text)


def security_event(
    found: Sequence[tuple[str, str, str]],
    deployment: Deployment,
    *,
    subject: str,
    run_id: str,
    consequence: str = "nothing of it was stored",
) -> str:
    """The text of a security event; empty when nothing was found. Rows: what, reason, message."""
    if not found:
        return ""
    shown = [
        f"- {printable(f'{name}: {reason}: {message}')}" for name, reason, message in found[:_SECURITY_ROWS]
    ]
    others = [f"... and {len(found) - _SECURITY_ROWS:,} others"] if len(found) > _SECURITY_ROWS else []
    where = [link.url for link in deployment.links.of_run(run_id)]
    count = f"{len(found):,} finding{'' if len(found) == 1 else 's'}"
    return "\n".join(
        (
            f"{count} in {subject} of {deployment.environment}; {consequence}:",
            *shown,
            *others,
            *where,
        )
    )
