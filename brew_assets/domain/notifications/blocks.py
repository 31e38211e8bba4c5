"""The messages about a sync, as Slack's blocks; the same text goes to SNS.

Pure functions of numbers and words. Slack's limits: https://docs.slack.dev/reference/block-kit/blocks.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from brew_assets.domain.notifications.mrkdwn import code, cut, foreign, preformatted, sentence, without_markup
from brew_assets.domain.quantities import human_bytes, human_duration, rough_duration
from brew_assets.domain.report import Failure
from brew_assets.errors import label_of

Block = dict[str, Any]

FAILURES_SHOWN = 3
FORMULAE_SHOWN = 5
NOTES_SHOWN = 8
_BAR_LENGTH = 28
_HEADER_CHARACTERS = 150
_FIELD_CHARACTERS = 2000
_TEXT_CHARACTERS = 3000
_URL_CHARACTERS = 3000
# Room for what stands around a detail of an error.
_DETAIL_CHARACTERS = 2500
_NOTE_CHARACTERS = 700

SYNC_METHODS = {"lambda": "Lambda", "ecs": "ECS", "local": "Local"}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What Slack gets: a text for notifications, and blocks."""

    text: str
    blocks: tuple[Block, ...]

    def plain(self) -> str:
        """The same as plain text, for e-mails; links stand in the place of buttons."""
        lines = [self.text, ""]
        for block in self.blocks[1:]:
            if "fields" in block:
                lines += [without_markup(field["text"]) for field in block["fields"]]
            elif block["type"] == "section":
                lines += ["", without_markup(block["text"]["text"])]
            elif block["type"] == "context":
                lines += ["", *(without_markup(element["text"]) for element in block["elements"])]
            else:
                lines += ["", *(f"{e['text']['text']}: {e['url']}" for e in block["elements"])]
        return "\n".join(lines)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A button under a message."""

    title: str
    url: str


class TopFormula(msgspec.Struct, frozen=True, kw_only=True):
    """A formula that was stored, and the platforms that it was stored for."""

    name: str
    version: str
    platforms: tuple[str, ...]


def start_message(
    *,
    environment: str,
    date: str,
    bottles: int,
    size: int,
    route: str,
    trigger: str,
    started_at: str,
    notes: Sequence[str] = (),
    links: Sequence[Link] = (),
) -> Message:
    """A sync begins. `size` in bytes, `started_at` as "2025-07-21 03:00:15".

    Here as at the end, `notes` say what upstream has and the sync does not cover.
    """
    return _message(
        "🚀 Homebrew Bottles Sync Started",
        _fields(
            ("Environment", environment),
            ("Date", date),
            ("Estimated Bottles", f"{bottles:,}"),
            ("Estimated Size", human_bytes(size)),
            ("Sync Method", SYNC_METHODS.get(route, route)),
            ("Trigger", trigger),
        ),
        *_left_out(notes),
        _context(f"Started at {foreign(started_at)} UTC"),
        *_buttons(links),
    )


def large_download_message(
    *,
    environment: str,
    date: str,
    size: int | None,
    threshold_gb: float,
    bottles: int,
    cluster: str,
    expected_minutes: tuple[int, int] | None,
) -> Message:
    """A sync goes through ECS. `size` in bytes; None, like `expected_minutes`, when nobody knows."""
    low, high = expected_minutes or (0, 0)
    expected = f" Expected duration: {low:,}-{high:,} minutes." if expected_minutes else ""
    return _message(
        "⚡ Large Download Detected - Routing to ECS",
        _fields(
            ("Environment", environment),
            ("Date", date),
            ("Total Size", "unknown" if size is None else human_bytes(size)),
            ("Threshold", f"{threshold_gb:g} GB"),
            ("Bottles Count", f"{bottles:,}"),
            ("ECS Cluster", cluster),
        ),
        _section(f"Starting ECS Fargate task for large-scale download.{expected}"),
        header="⚡ Large Download Detected",
    )


def progress_message(
    *,
    bottles_done: int,
    bottles_total: int,
    bytes_done: int,
    bytes_total: int,
    elapsed_s: float,
    eta_s: float | None,
    bytes_per_second: float,
    current: str,
) -> Message:
    """How far a transfer is; the bar shows the share of the time that it is expected to take."""
    percent = math.floor(100 * bottles_done / bottles_total) if bottles_total else 100
    share = elapsed_s / (elapsed_s + eta_s) if eta_s is not None and elapsed_s + eta_s > 0 else percent / 100
    return _message(
        "⏳ Homebrew Sync Progress Update",
        _fields(
            ("Downloaded", f"{bottles_done:,}/{bottles_total:,} bottles ({percent}%)"),
            ("Size Progress", f"{human_bytes(bytes_done)} / {human_bytes(bytes_total)}"),
            ("Duration", rough_duration(elapsed_s)),
            ("ETA", "unknown" if eta_s is None else rough_duration(eta_s)),
            ("Speed", f"{human_bytes(bytes_per_second)}/s"),
            ("Current", f"downloading {current}" if current else "looking at the store"),
        ),
        _section(f"Progress bar: {bar(share)} {percent}%"),
        header="⏳ Sync Progress Update",
    )


def success_message(
    *,
    environment: str,
    date: str,
    new: int | None,
    existing: int | None,
    downloaded: int,
    duration_s: float,
    location: str,
    top: Sequence[TopFormula],
    next_sync: str,
    notes: Sequence[str] = (),
    links: Sequence[Link] = (),
) -> Message:
    """All that was planned is in the store: `new` bottles by this sync, `existing` ones by others.

    None stands for what nobody knows; `downloaded` in bytes, `next_sync` as "2025-07-28 03:00".
    """
    lines = [
        _bullet(f"{shown_formula(formula.name, formula.version)} ({', '.join(formula.platforms)})")
        for formula in top[:FORMULAE_SHOWN]
    ]
    listed = [_section("*Top Downloaded Formulas:*\n" + "\n".join(lines))] if lines else []
    following = f"Next sync: {foreign(next_sync)} UTC" if next_sync else "No next sync is scheduled"
    return _message(
        "✅ Homebrew Bottles Sync Complete",
        _fields(
            ("Environment", environment),
            ("Date", date),
            ("New Bottles", _count(new)),
            ("Skipped (Existing)", _count(existing)),
            ("Total Downloaded", human_bytes(downloaded)),
            ("Duration", human_duration(duration_s)),
        ),
        _section(f"*S3 Location:* {code(location, _DETAIL_CHARACTERS)}"),
        *listed,
        *_left_out(notes),
        _context(f"Hash file updated successfully • {following}"),
        *_buttons(links),
    )


def failure_message(
    *,
    environment: str,
    date: str,
    error_type: str,
    duration_s: float,
    done: int,
    planned: int | None,
    size: int,
    details: Sequence[str],
    log_group: str,
    hints: Sequence[str] = (),
    notes: Sequence[str] = (),
    links: Sequence[Link] = (),
) -> Message:
    """A sync has failed. `size` in bytes is what was stored before; no `planned`: no plan was made."""
    text = "\n".join(map(preformatted, details))
    logs = "Check the run's log in Dagster"
    if log_group:
        logs = f"Check CloudWatch logs: {code(log_group, _NOTE_CHARACTERS)}"
    steps = [logs, *(hints or DEFAULT_HINTS)]
    return _message(
        "❌ Homebrew Bottles Sync Failed",
        _fields(
            ("Environment", environment),
            ("Date", date),
            ("Error Type", error_type),
            ("Duration", human_duration(duration_s)),
            (
                "Bottles Downloaded",
                f"{done:,}/{planned:,}" if planned is not None else "0 (no plan was made)",
            ),
            ("Partial Size", human_bytes(size)),
        ),
        _section(f"*Error Details:*\n```\n{cut(text, _DETAIL_CHARACTERS)}\n```"),
        _section("*Troubleshooting:*\n" + "\n".join(f"• {step}" for step in steps)),
        *_left_out(notes),
        *_buttons(links),
    )


DEFAULT_HINTS = (
    "Verify network connectivity and NAT Gateway status",
    "Consider manual retry or investigate Homebrew API status",
)


def warning_message(
    *,
    environment: str,
    date: str,
    done: int,
    planned: int,
    failed: Sequence[str],
    duration_s: float,
    notes: Sequence[str] = (),
    links: Sequence[Link] = (),
) -> Message:
    """A sync has stored a part; `failed` are lines such as "llvm@16.0.6 (arm64_ventura) - SHA mismatch"."""
    lines = [_bullet(line) for line in failed[:FAILURES_SHOWN]]
    if len(failed) > FAILURES_SHOWN:
        others = len(failed) - FAILURES_SHOWN
        lines.append(f"• ... and {others:,} other{'' if others == 1 else 's'}")
    rate = 100 * done / planned if planned else 100.0
    return _message(
        "⚠️ Homebrew Sync Completed with Warnings",
        _fields(
            ("Environment", environment),
            ("Date", date),
            ("Successful", f"{done:,}/{planned:,} bottles"),
            ("Failed", f"{len(failed):,} bottle{'' if len(failed) == 1 else 's'}"),
            ("Success Rate", f"{rate:.1f}%"),
            ("Duration", human_duration(duration_s)),
        ),
        _section("*Failed Downloads:*\n" + "\n".join(lines)),
        _section(
            "*Recommendation:* Review failed downloads and consider manual retry for critical packages."
        ),
        *_left_out(notes),
        *_buttons(links),
        header="⚠️ Sync Completed with Warnings",
    )


def absence_message(
    *, environment: str, scheduled_for: str, finding: str, links: Sequence[Link] = ()
) -> Message:
    """A scheduled sync did not happen, or did not end in its window; `finding` says which."""
    return _message(
        "⏰ Homebrew Bottles Sync Is Missing",
        _fields(("Environment", environment), ("Scheduled For", f"{scheduled_for} UTC")),
        _section(sentence(finding)),
        *_buttons(links),
    )


def shown_formula(name: str, version: str) -> str:
    """`node@20.5.1`; a formula whose name has its version already stays as it is: `python@3.11`."""
    return name if "@" in name or not version else f"{name}@{version}"


def shown_failure(failure: Failure, *, name: str, version: str, tag: str) -> str:
    """`llvm@16.0.6 (arm64_ventura) - Connection timeout`."""
    return f"{shown_formula(name, version)} ({tag}) - {label_of(failure.reason)}"


def bar(share: float) -> str:
    """28 blocks, as many of them full as the share (0 to 1) asks for; full only at the end."""
    share = min(1.0, max(0.0, share))
    full = _BAR_LENGTH if share == 1.0 else min(_BAR_LENGTH - 1, math.ceil(share * _BAR_LENGTH))
    return "█" * full + "░" * (_BAR_LENGTH - full)


def _message(title: str, *blocks: Block, header: str = "") -> Message:
    head = {
        "type": "header",
        "text": {"type": "plain_text", "text": cut(header or title, _HEADER_CHARACTERS)},
    }
    return Message(text=title, blocks=(head, *blocks))


def _fields(*named: tuple[str, str]) -> Block:
    return {
        "type": "section",
        "fields": [
            {"type": "mrkdwn", "text": cut(f"*{name}:* {foreign(value)}", _FIELD_CHARACTERS)}
            for name, value in named
        ],
    }


def _bullet(text: str) -> str:
    return f"• {cut(foreign(text), _NOTE_CHARACTERS)}"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text or "–", _TEXT_CHARACTERS)}}


def _left_out(notes: Sequence[str]) -> tuple[Block, ...]:
    """What people should know of the sync beside its figures, a block for each; no block without a note."""
    shown = notes if len(notes) <= NOTES_SHOWN else notes[: NOTES_SHOWN - 1]
    lines = [f"• {cut(sentence(note), _NOTE_CHARACTERS)}" for note in shown]
    if len(notes) > len(shown):
        lines.append(f"• ... and {len(notes) - len(shown):,} others")
    return tuple(_section(line if number else f"*Notes:*\n{line}") for number, line in enumerate(lines))


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(text, _TEXT_CHARACTERS)}]}


def _buttons(links: Sequence[Link]) -> tuple[Block, ...]:
    usable = [link for link in links if link.url and len(link.url) <= _URL_CHARACTERS]
    if not usable:
        return ()
    elements = [
        {"type": "button", "text": {"type": "plain_text", "text": link.title}, "url": link.url}
        for link in usable
    ]
    return ({"type": "actions", "elements": elements},)
