"""The messages about a sync, from its status."""

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.left_out import first_names
from brew_assets.domain.notifications.blocks import (
    DETAIL_CHARACTERS,
    NOTE_CHARACTERS,
    Block,
    Message,
    bar,
    bullet,
    buttons,
    code,
    context,
    cut,
    fields,
    foreign,
    message,
    notes,
    preformatted,
    section,
    sentence,
)
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.quantities import human_bytes, human_duration, rough_duration
from brew_assets.domain.report import Failure, cause_of, error_type_of, label_of
from brew_assets.domain.routing import GB
from brew_assets.domain.sync_status import Deployment, SyncStatus
from brew_assets.errors import UpstreamTimeout

FAILURES_SHOWN = 3
FORMULAE_SHOWN = 5
SYNC_METHODS = {"lambda": "Lambda", "ecs": "ECS", "local": "Local"}
# Bytes per second at worst and at best, for the duration that people read: a guess, no promise.
_SLOW, _FAST = 13.3e6, 17.7e6
_ROUND_TO_MINUTES = 5
_HINTS = (
    "Verify network connectivity and NAT Gateway status",
    "Consider manual retry or investigate Homebrew API status",
)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far all runs of a sync are together; sizes in bytes."""

    bottles_done: int
    bytes_done: int
    bytes_per_second: float
    current: str

    def left_s(self, size: int) -> float | None:
        """Seconds until so many bytes are there; None when nothing moves."""
        return (size - self.bytes_done) / self.bytes_per_second if self.bytes_per_second > 0 else None


def start_message(status: SyncStatus, deployment: Deployment) -> Message:
    """A sync begins. Here as at the end, the notes say what upstream has and the sync does not cover."""
    started = datetime.fromtimestamp(status.created_at, tz=UTC)
    return message(
        "🚀 Homebrew Bottles Sync Started",
        fields(
            ("Environment", deployment.environment),
            ("Date", status.date),
            ("Estimated Bottles", f"{status.planned:,}"),
            ("Estimated Size", human_bytes(status.size)),
            ("Sync Method", SYNC_METHODS.get(status.route, status.route)),
            ("Trigger", status.trigger),
        ),
        *notes(status.notes),
        context(f"Started at {started:%Y-%m-%d %H:%M:%S} UTC"),
        *buttons(deployment.links.of_sync(status.sync_id)),
    )


def is_large(status: SyncStatus, deployment: Deployment) -> bool:
    """Whether the sync goes through ECS for its size: it exceeds what Lambda gets, or nobody knows."""
    size = status.known_size
    exceeds = size is None or size >= deployment.threshold_gb * GB
    return status.route == "ecs" and bool(status.platforms) and exceeds


def large_download_message(status: SyncStatus, deployment: Deployment) -> Message:
    """A sync goes through ECS."""
    size, expected = status.known_size, ""
    if size is not None:
        low, high = expected_minutes(size)
        expected = f" Expected duration: {low:,}-{high:,} minutes."
    return message(
        "⚡ Large Download Detected - Routing to ECS",
        fields(
            ("Environment", deployment.environment),
            ("Date", status.date),
            ("Total Size", "unknown" if size is None else human_bytes(size)),
            ("Threshold", f"{deployment.threshold_gb:g} GB"),
            ("Bottles Count", f"{status.planned:,}"),
            ("ECS Cluster", deployment.cluster),
        ),
        section(f"Starting ECS Fargate task for large-scale download.{expected}"),
        header="⚡ Large Download Detected",
    )


def expected_minutes(size: int) -> tuple[int, int]:
    """How long a download of so many bytes takes at best and at worst, in steps of five minutes."""
    low = math.floor(size / _FAST / 60 / _ROUND_TO_MINUTES) * _ROUND_TO_MINUTES
    high = math.ceil(size / _SLOW / 60 / _ROUND_TO_MINUTES) * _ROUND_TO_MINUTES
    return max(1, low), max(_ROUND_TO_MINUTES, high)


def progress_message(status: SyncStatus, progress: Progress, *, now: float) -> Message:
    """How far the sync is; the bar shows the share of the time that it is expected to take."""
    done, size = min(progress.bottles_done, status.planned), max(status.size, progress.bytes_done)
    percent = math.floor(100 * done / status.planned) if status.planned else 100
    elapsed_s, left_s = max(0.0, now - status.created_at), progress.left_s(size)
    share = percent / 100
    if left_s is not None and elapsed_s + left_s > 0:
        share = elapsed_s / (elapsed_s + left_s)
    current = f"downloading {progress.current}" if progress.current else "looking at the store"
    return message(
        "⏳ Homebrew Sync Progress Update",
        fields(
            ("Downloaded", f"{done:,}/{status.planned:,} bottles ({percent}%)"),
            ("Size Progress", f"{human_bytes(progress.bytes_done)} / {human_bytes(size)}"),
            ("Duration", rough_duration(elapsed_s)),
            ("ETA", "unknown" if left_s is None else rough_duration(left_s)),
            ("Speed", f"{human_bytes(progress.bytes_per_second)}/s"),
            ("Current", current),
        ),
        section(f"Progress bar: {bar(share)} {percent}%"),
        header="⏳ Sync Progress Update",
    )


def end_message(
    status: SyncStatus,
    deployment: Deployment,
    *,
    objects: Sequence[PlannedBottle] = (),
    stored: Collection[str] | None = None,
    duration_s: float,
    next_sync: str = "",
) -> Message:
    """How the sync ended; `objects` are the plan's, `next_sync` as "2025-07-28 03:00".

    `stored` are the entry keys of what the sync put into the store itself; None: nobody knows.
    """
    if status.ending == "success":
        new = [planned for planned in objects if stored is None or planned.bottle.entry_key in stored]
        return _success(status, deployment, new, duration_s, next_sync)
    if status.ending == "warning":
        return _warning(status, deployment, objects, duration_s)
    return _failure(status, deployment, duration_s)


def _success(
    status: SyncStatus,
    deployment: Deployment,
    stored: Sequence[PlannedBottle],
    duration_s: float,
    next_sync: str,
) -> Message:
    """All that was planned is in the store, by this sync or by others."""
    top = [bullet(line) for line in top_formulae(stored)]
    following = f"Next sync: {foreign(next_sync)} UTC" if next_sync else "No next sync is scheduled"
    return message(
        "✅ Homebrew Bottles Sync Complete",
        fields(
            ("Environment", deployment.environment),
            ("Date", status.date),
            ("New Bottles", _count(status.new)),
            ("Skipped (Existing)", _count(status.existing)),
            ("Total Downloaded", human_bytes(status.downloaded)),
            ("Duration", human_duration(duration_s)),
        ),
        section(f"*S3 Location:* {code(f'{deployment.store_url}/{status.date}/', DETAIL_CHARACTERS)}"),
        *([section("\n".join(["*Top Downloaded Formulas:*", *top]))] if top else []),
        *notes(status.end_notes),
        context(f"Hash file updated successfully • {following}"),
        *buttons(deployment.links.of_sync(status.sync_id)),
    )


def _warning(
    status: SyncStatus, deployment: Deployment, objects: Sequence[PlannedBottle], duration_s: float
) -> Message:
    """The sync has stored a part, or cannot be served in part, and every run has named what lacks."""
    failed = len(status.failures)
    bottles = failed_lines(status.failures[:FAILURES_SHOWN], objects)
    indexes = [f"{one.name} - {label_of(one.reason)}" for one in status.index_failures[:FAILURES_SHOWN]]
    rate = 100 * status.done / status.planned if status.planned else 100.0
    return message(
        "⚠️ Homebrew Sync Completed with Warnings",
        fields(
            ("Environment", deployment.environment),
            ("Date", status.date),
            ("Successful", f"{status.done:,}/{status.planned:,} bottles"),
            ("Failed", _counted(failed, "bottle")),
            ("Success Rate", f"{rate:.1f}%"),
            ("Duration", human_duration(duration_s)),
        ),
        *_listed("*Failed Downloads:*", bottles, failed),
        *_listed("*Bottles Without an Index That Fits:*", indexes, len(status.index_failures)),
        section("*Recommendation:* Review failed downloads and consider manual retry for critical packages."),
        *notes(status.end_notes),
        *buttons(deployment.links.of_sync(status.sync_id)),
        header="⚠️ Sync Completed with Warnings",
    )


def _listed(title: str, lines: Sequence[str], count: int) -> list[Block]:
    """A section with the lines and how many more there are; none without any."""
    if not count:
        return []
    more = [f"• ... and {_counted(count - len(lines), 'other')}"] if count > len(lines) else []
    return [section("\n".join([title, *map(bullet, lines), *more]))]


def _failure(status: SyncStatus, deployment: Deployment, duration_s: float) -> Message:
    """The sync has failed, or no plan could be made."""
    links = deployment.links
    logs = "Check the run's log in Dagster"
    if links.log_group:
        logs = f"Check CloudWatch logs: {code(links.log_group, NOTE_CHARACTERS)}"
    details = "\n".join(map(preformatted, error_details(status)))
    done = f"{status.done:,}/{status.planned:,}" if status.has_plan else "0 (no plan was made)"
    return message(
        "❌ Homebrew Bottles Sync Failed",
        fields(
            ("Environment", deployment.environment),
            ("Date", status.date),
            ("Error Type", error_type(status)),
            ("Duration", human_duration(duration_s)),
            ("Bottles Downloaded", done),
            ("Partial Size", human_bytes(status.downloaded)),
        ),
        section(f"*Error Details:*\n```\n{cut(details, DETAIL_CHARACTERS)}\n```"),
        section("\n".join(["*Troubleshooting:*", *(f"• {step}" for step in (logs, *_HINTS))])),
        *notes(status.end_notes),
        *buttons(links.of_failure(status.failed_run_id)),
    )


def absence_message(deployment: Deployment, *, schedule: str, scheduled_for: str, finding: str) -> Message:
    """A sync of that schedule did not happen, or did not end in its window; `finding` says which."""
    return message(
        "⏰ Homebrew Bottles Sync Is Missing",
        fields(("Environment", deployment.environment), ("Scheduled For", f"{scheduled_for} UTC")),
        section(sentence(finding)),
        *buttons(deployment.links.of_schedule(schedule)),
    )


_REPORTED: dict[str, str] = {"failure": "as failed", "warning": "as completed with warnings"}


def completed_note(outcome: str, *, at: datetime) -> str:
    """What a message says first of a sync that was reported otherwise before; `at` in UTC."""
    reported = _REPORTED.get(outcome, "otherwise")
    return (
        f"This sync was reported {reported} on {at:%Y-%m-%d} at {at:%H:%M} UTC. "
        "After a re-execution it is now complete."
    )


def top_formulae(objects: Iterable[PlannedBottle]) -> list[str]:
    """`node@20.5.1 (arm64_sonoma, tahoe)`: the formulae with the most bytes, and the platforms they serve."""
    sizes: dict[tuple[str, str], int] = {}
    platforms: dict[tuple[str, str], dict[str, None]] = {}
    for planned in objects:
        name = (planned.bottle.formula, str(planned.bottle.pkg_version))
        sizes[name] = sizes.get(name, 0) + (planned.size or 0)
        platforms.setdefault(name, {}).update(dict.fromkeys(planned.platforms))
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))[:FORMULAE_SHOWN]
    return [f"{_shown_formula(*name)} ({', '.join(platforms[name])})" for name in ordered]


def failed_lines(failures: Sequence[Failure], objects: Iterable[PlannedBottle]) -> list[str]:
    """`llvm@16.0.6 (arm64_ventura) - Connection timeout`: one per failure.

    Name and version are split where the plan knows how.
    """
    wanted = {failure.name for failure in failures}
    bottles = {p.bottle.filename: p.bottle for p in objects if p.bottle.filename in wanted}
    lines = []
    for failure in failures:
        bottle, parts = bottles.get(failure.name), parse_filename(failure.name)
        if bottle is not None:
            name, tag = _shown_formula(bottle.formula, bottle.pkg_version), bottle.tag
        else:
            name, tag = (parts.stem, parts.tag) if parts else (failure.name, "?")
        lines.append(f"{name} ({tag}) - {label_of(failure.reason)}")
    return lines


def error_type(status: SyncStatus) -> str:
    """What ended the sync, in a few words: the most frequent cause."""
    if any(run.state == "cancelled" for run in status.broken):
        return "Cancelled"
    causes = [error_type_of(failure.reason) for failure in status.failures or status.index_failures]
    causes += [error_type_of(run.reason) for run in status.broken if run.reason]
    if causes:
        return max(causes, key=lambda cause: (causes.count(cause), cause))
    return "Run failed" if status.has_plan else "Planning failed"


def error_details(status: SyncStatus) -> list[str]:
    """What went wrong: the runs that broke, then the first failures and how many others."""
    reports = status.newest_reports
    lines = []
    for run in status.broken:
        report = reports.get(run.platform)
        finding = (report.aborted if report else "") or run.error or run.state
        names = f": {first_names(report.left_bottles, report.left)}" if report and report.left_bottles else ""
        left = f" ({report.left:,} bottles left{names})" if report and report.left else ""
        lines.append(f"{f'{run.platform}: ' if run.platform else ''}{finding}{left}")
    failures = status.failures
    for found in (failures, status.index_failures):
        for failure in found[:FAILURES_SHOWN]:
            lines += _failure_lines(failure)
        if len(found) > FAILURES_SHOWN:
            lines.append(f"... and {len(found) - FAILURES_SHOWN:,} others")
    return lines


def _failure_lines(failure: Failure) -> list[str]:
    """What happened to one bottle; of a time-out as the specification's sample has it, a line each."""
    if failure.reason == UpstreamTimeout.reason:
        cause = cause_of(failure)
        lines = [f"Timeout downloading {failure.name}", f"{cause[:1].upper()}{cause[1:]}"]
    else:
        lines = [failure.message]
    if failure.retries:
        lines.append(f"Retried {_counted(failure.retries, 'time')}, all attempts failed")
    return lines


def _shown_formula(name: str, version: str) -> str:
    """`node@20.5.1`; a formula whose name has its version already stays as it is: `python@3.11`."""
    return name if "@" in name or not version else f"{name}@{version}"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
