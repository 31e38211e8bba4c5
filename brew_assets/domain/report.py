"""Reports: what a transfer did, per bottle, and how a sync ended."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Protocol, get_args

import msgspec
from msgspec import Meta

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.left_out import LeftOut
from brew_assets.domain.object_keys import is_date
from brew_assets.domain.plan import Route
from brew_assets.domain.proof import shown, wrong
from brew_assets.errors import UNREADABLE, HostRefused, MirrorError

REPORT_PREFIX = "state/reports/"

Outcome = Literal["success", "partial", "failed", "stopped"]
# Times and sizes that no run can have had: larger figures are no figures.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


def kinds(base: type[MirrorError] = MirrorError) -> Iterator[type[MirrorError]]:
    """The class and all below it."""
    yield base
    for below in base.__subclasses__():
        yield from kinds(below)


def kinds_of(reason: str) -> list[type[MirrorError]]:
    """The classes with this reason: what a stored report says of a failure."""
    return [kind for kind in kinds() if kind.reason == reason]


def is_retryable(reason: str) -> bool:
    """Whether what failed with this reason may succeed at another time."""
    return any(kind.retryable for kind in kinds_of(reason))


def is_security(reason: str) -> bool:
    """Whether this reason says that something is not what it must be."""
    return any(kind.security for kind in kinds_of(reason))


def label_of(reason: str) -> str:
    """What messages call this reason; one that another version had, as it is."""
    return next((kind.label for kind in kinds_of(reason)), f"{reason[:1].upper()}{reason[1:]}")


def error_type_of(reason: str) -> str:
    """What messages call a sync that failed of this reason."""
    return next((kind.error_type for kind in kinds_of(reason) if kind.error_type), label_of(reason))


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One bottle that is not in the store, and why. `reason` groups, `message` has the facts.

    `retries` says how often it was tried again before it was given up.
    """

    name: str
    digest: str
    reason: str
    message: str
    retries: int = 0

    @property
    def may_pass(self) -> bool:
        """Whether it may succeed at another time."""
        return is_retryable(self.reason)


def cause_of(failure: Failure) -> str:
    """Why the bottle is not there, without its name: the same for all that one thing keeps out."""
    return failure.message.removeprefix(f"{failure.name}: ")


class Ended(Protocol):
    """A report, or the result of a transfer."""

    @property
    def aborted(self) -> str: ...
    @property
    def aborted_reason(self) -> str: ...


def is_said_by(failure: Failure, ended: Ended) -> bool:
    """Whether what aborted a run says also why this bottle is not there."""
    # Of several refused hosts the causes stand there joined, and no single one as it is.
    all_refused = failure.reason == HostRefused.reason == ended.aborted_reason
    return all_refused or cause_of(failure) in ended.aborted


class Counts(msgspec.Struct, kw_only=True):
    """The counts of a transfer, and of the report on it.

    `downloaded` counts digests, `stored` names; `duplicated` names were made inside the store, `found` ones
    stood there whole when the run came to store them: another sync or an earlier try had put them there.
    """

    stored: Count = 0
    downloaded: Count = 0
    duplicated: Count = 0
    found: Count = 0
    retries: Count = 0
    bytes_downloaded: Count = 0
    bytes_stored: Count = 0

    def counts(self) -> dict[str, int]:
        """These counts alone, by name."""
        return {name: getattr(self, name) for name in Counts.__struct_fields__}


# Other than a dataclass, a frozen Struct may have a base that is not.
class Report(Counts, frozen=True, kw_only=True):  # type: ignore[misc]
    """What one run did: the counts of its transfer, and more.

    `identified` counts the found ones and those that got a record before the run began to copy; `kept` were
    held before; `left` were not begun or not finished when a stop signal came (`left_bottles` names the
    first, a batch's report all in `undone`). Of the held bottles that the sync is about `servable` have an
    index with which brew installs them and `unservable` have none; `indexes_fetched` counts those that came,
    `indexes_failed` says for each that did not, by image and reference, why not, and `indexes_left` were not
    asked for. `skipped` and `left_out` are the plan's. `forgotten` are the
    names that left the manifest: the store has lost them, and neither catalogue nor registry has them any
    more. `aborted` is why the run was given up, and `aborted_reason` the reason of that error.
    `run_id` and `run_url` lead to the run in Dagster, empty where there is none. Times are ISO 8601 UTC,
    durations seconds, sizes bytes.
    """

    sync_id: str
    sync_date: str
    platforms: tuple[str, ...]
    route: str
    started_at: str
    ended_at: str
    duration_s: Seconds
    planned: Count
    kept: Count = 0
    identified: Count = msgspec.field(default=0, name="adopted")
    left: Count = 0
    left_bottles: tuple[str, ...] = ()
    skipped: Count = 0
    left_out: LeftOut = LeftOut()
    failed: tuple[Failure, ...] = ()
    servable: Count = 0
    unservable: Count = 0
    indexes_fetched: Count = 0
    indexes_failed: tuple[Failure, ...] = ()
    indexes_left: Count = 0
    undone: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    aborted: str = ""
    aborted_reason: str = ""
    run_id: str = ""
    run_url: str = ""

    @property
    def outcome(self) -> Outcome:
        """How the run ended: `failed` when nothing at all was achieved."""
        if self.aborted:
            return "failed"
        if self.failed:
            return "partial" if self.stored + self.kept else "failed"
        if self.indexes_failed:
            return "partial"
        return "stopped" if self.left or self.indexes_left else "success"

    @property
    def new(self) -> int:
        """How many names the run put into the store itself."""
        return max(0, self.stored - self.found)

    @property
    def recorded(self) -> int:
        """How many bottles stood in the store without a record and got one before the run began to copy."""
        return max(0, self.identified - self.found)

    @property
    def bytes_per_second(self) -> float:
        """Downloaded bytes over the whole duration."""
        return self.bytes_downloaded / self.duration_s if self.duration_s > 0 else 0.0


def failures_by_reason(failures: Iterable[Failure]) -> dict[str, int]:
    """Reason -> how many, most frequent first."""
    counts: dict[str, int] = {}
    for failure in failures:
        counts[failure.reason] = counts.get(failure.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def describe_report(report: Report) -> str:
    """What was done, in one line."""
    counts = (
        ("kept", report.kept),
        ("failed", len(report.failed)),
        ("left", report.left),
        ("without an index that fits", report.unservable),
    )
    parts = (
        f"{report.new:,} of {report.planned:,} bottles stored",
        *describe_found(report),
        *(f"{count:,} {what}" for what, count in counts if count),
    )
    return (
        f"{', '.join(parts)}, {report.bytes_downloaded / 1e6:,.1f} MB downloaded "
        f"in {report.duration_s:.1f} s ({report.outcome})"
    )


def describe_found(report: Report) -> list[str]:
    """What others had stored of what the run came to store; nothing when there was none."""
    return [f"found {report.found:,} that another sync or try had stored"] if report.found else []


def encode_report(report: Report) -> bytes:
    """The report as the document that stands in the store, with its outcome and what was new."""
    return msgspec.json.encode({**msgspec.to_builtins(report), "new": report.new, "outcome": report.outcome})


_decoder = msgspec.json.Decoder(Report)


def decode_report(data: bytes, *, sync_id: str = "") -> Report:
    """The report in a document from the store; with `sync_id`, one of that sync.

    Raises:
        ValueError: it is no report, or one with a field that cannot be.
    """
    try:
        report = _decoder.decode(data)
    except UNREADABLE as exc:
        # The decoder quotes a value that is none of a few, whatever its length.
        raise ValueError(f"expected a report, found: {printable(str(exc), 300)}") from exc
    if sync_id and report.sync_id != sync_id:
        raise ValueError(wrong("sync_id", shown(sync_id), report.sync_id))
    if report.route not in get_args(Route):
        raise ValueError(wrong("route", f"one of {', '.join(get_args(Route))}", report.route))
    if not is_date(report.sync_date):
        raise ValueError(wrong("sync_date", "YYYY-MM-DD", report.sync_date))
    return report
