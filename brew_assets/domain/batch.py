"""What a Lambda is asked to do: a batch of a plan, by reference, or a list of bottles by value.

Everything here comes from an event that anybody who may invoke the function can write: it is decoded
against a type and checked before it names a key or an address.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from brew_assets.domain.bottle import (
    Bottle,
    Digest,
    PkgVersion,
    blob_url,
    is_digest,
    is_formula_name,
    is_pkg_version,
)
from brew_assets.domain.downloads import Fetch, group_fetches
from brew_assets.domain.plan import Plan, PlannedBottle
from brew_assets.domain.platforms import is_serving_tag
from brew_assets.domain.report import REPORT_PREFIX, Report
from brew_assets.errors import UNREADABLE, EventInvalid, PlanInvalid

BATCH_VERSION = 1
BATCH_PREFIX = "state/batches/"
# A sync id and a number: nothing that could lead out of the folder.
_BATCH_KEY = re.compile(r"state/batches/(?P<sync>[0-9A-Za-z-]{1,79})/(?P<name>[0-9a-z-]{1,79})\.json")
_TIME_IN_NAME = "%Y%m%d-%H%M%S"
_TIMED_NAME = re.compile(r"(\d{8}-\d{6})-[0-9a-z]+")
# The answer to an invocation may have 6 MB; the report in the store has every failure.
MAX_FAILURES_ANSWERED = 100
_MAX_REBUILD = 100_000


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of a plan that one worker copies; an immutable object in the store.

    `look_first`: another worker may have stored some of it already.
    """

    batch_version: int = BATCH_VERSION
    sync_id: str
    sync_date: str
    force: bool = False
    look_first: bool = False
    objects: tuple[PlannedBottle, ...]

    def fetches(self) -> list[Fetch]:
        """The objects by digest."""
        return group_fetches(self.objects)

    def platforms(self) -> tuple[str, ...]:
        """The platforms that the objects serve."""
        return tuple(sorted({name for planned in self.objects for name in planned.platforms}))


_batch_decoder = msgspec.json.Decoder(Batch)


class BatchReference(msgspec.Struct, frozen=True, kw_only=True):
    """The event of an invocation that a run makes: where the batch lies."""

    batch_key: str


class DirectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The event of an invocation by hand: bottles by value, and the date of the folder they go to."""

    sync_date: str
    objects: tuple[PlannedBottle, ...]

    def check_date(self, today: date) -> None:
        """The folder is none of the future: it would be among the newest for years.

        Raises:
            EventInvalid: it is later than tomorrow, which somewhere has begun.
        """
        latest = (today + timedelta(days=1)).isoformat()
        if self.sync_date > latest:
            raise EventInvalid(f"sync_date: expected at most {latest}, found {self.sync_date}")

    def plan(self, *, sync_id: str, created_at: str) -> Plan:
        """A plan of exactly these bottles."""
        tags = tuple(dict.fromkeys(planned.bottle.tag for planned in self.objects))
        return Plan(
            sync_id=sync_id,
            sync_date=self.sync_date,
            created_at=created_at,
            catalogue_sha256="",
            platforms=tags,
            formulae=tuple(sorted({planned.bottle.formula for planned in self.objects})),
            route="lambda",
            route_reason="invoked directly",
            objects=self.objects,
        )


class _GivenBottle(msgspec.Struct, frozen=True):
    url: str
    sha256: str
    size: int | None = None
    rebuild: int = 0


class _GivenFormula(msgspec.Struct, frozen=True):
    name: str
    version: str
    bottles: dict[str, _GivenBottle]


class _GivenRequest(msgspec.Struct, frozen=True):
    formulas: list[_GivenFormula]
    sync_date: str


# Makes the tables of these types, which `convert` shares, before there are threads.
_request_decoder = msgspec.json.Decoder(_GivenRequest)


def batch_key(sync_id: str, name: str) -> str:
    """Where a batch of a sync lies."""
    return f"{BATCH_PREFIX}{sync_id}/{name}.json"


def batch_name(given_out: datetime, token: str) -> str:
    """The name of a batch that is given out at that time; a listing then tells how old it is."""
    return f"{given_out.astimezone(UTC):{_TIME_IN_NAME}}-{token}"


def given_out_at(key: str) -> datetime | None:
    """When the batch at `key` was given out, None when its name does not tell."""
    found = _BATCH_KEY.fullmatch(key)
    timed = found and _TIMED_NAME.fullmatch(found["name"])
    try:
        return datetime.strptime(timed[1], _TIME_IN_NAME).replace(tzinfo=UTC) if timed else None
    except ValueError:  # 99 hours
        return None


def batch_report_key(key: str) -> str:
    """Where the report on the batch at `key` will lie."""
    return key.replace(BATCH_PREFIX, REPORT_PREFIX, 1).removesuffix(".json") + ".batch.json"


def encode_batch(batch: Batch) -> bytes:
    """The batch as the document that stands in the store."""
    return msgspec.json.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """The batch in a document from the store.

    Raises:
        PlanInvalid: not a batch, or one of another version.
    """
    try:
        batch = _batch_decoder.decode(data)
    except UNREADABLE as exc:
        raise PlanInvalid(f"expected a batch, found: {exc}") from exc
    if batch.batch_version != BATCH_VERSION:
        raise PlanInvalid(f"expected batch_version {BATCH_VERSION}, found {batch.batch_version}")
    return batch


def decode_event(event: object) -> BatchReference | DirectRequest:
    """The work that an event names: `{"batch_key": …}`, or `{"formulas": […], "sync_date": …}`.

    Raises:
        EventInvalid: names the field, what was expected and what was found.
    """
    if not isinstance(event, Mapping):
        raise EventInvalid(f"event: expected an object, found {type(event).__name__}")
    if "batch_key" in event:
        return _reference(event)
    if "formulas" in event:
        return _direct(event)
    names = ", ".join(sorted(str(name)[:40] for name in event)[:8]) or "nothing"
    raise EventInvalid(f"event: expected batch_key, or formulas and sync_date; found {names}")


def _reference(event: Mapping[str, Any]) -> BatchReference:
    key = event["batch_key"]
    if not isinstance(key, str) or not _BATCH_KEY.fullmatch(key):
        raise EventInvalid(f"batch_key: expected {BATCH_PREFIX}<sync id>/<name>.json, found {key!r:.120}")
    return BatchReference(batch_key=key)


def _direct(event: Mapping[str, Any]) -> DirectRequest:
    try:
        given = msgspec.convert(dict(event), _GivenRequest)
    except (*UNREADABLE, ValueError, OverflowError) as exc:
        raise EventInvalid(f"event: {ascii(str(exc)[:200])[1:-1]}") from exc
    objects = tuple(
        _planned(f"formulas[{number}]", formula, tag, bottle)
        for number, formula in enumerate(given.formulas)
        for tag, bottle in formula.bottles.items()
    )
    if not objects:
        raise EventInvalid("formulas: expected at least one bottle, found none")
    if len({planned.bottle.entry_key for planned in objects}) < len(objects):
        raise EventInvalid("formulas: expected every bottle once, found one twice")
    return DirectRequest(sync_date=_checked_date(given.sync_date), objects=objects)


def _checked_date(text: str) -> str:
    try:
        valid = date.fromisoformat(text).isoformat() == text
    except ValueError:
        valid = False
    if not valid:
        raise EventInvalid(f"sync_date: expected YYYY-MM-DD, found {text[:40]!r}")
    return text


def _planned(where: str, formula: _GivenFormula, tag: str, given: _GivenBottle) -> PlannedBottle:
    """The bottle, checked as an entry of the catalogue is."""
    path = f"{where}.bottles.{tag[:40]}"
    # Not any repository whose path ends so: everybody can have one at the registry.
    url = blob_url(formula.name, given.sha256)
    for valid, field, expected, found in (
        (is_formula_name(formula.name), f"{where}.name", "a formula's name", formula.name),
        (is_pkg_version(formula.version), f"{where}.version", "a version", formula.version),
        (is_serving_tag(tag), path, "a bottle tag", tag),
        (is_digest(given.sha256), f"{path}.sha256", "64 lower-case hex digits", given.sha256),
        (given.url == url, f"{path}.url", url, given.url),
        (given.size is None or given.size > 0, f"{path}.size", "a number of bytes", given.size),
        (0 <= given.rebuild < _MAX_REBUILD, f"{path}.rebuild", "a rebuild", given.rebuild),
    ):
        if not valid:
            raise EventInvalid(f"{field}: expected {expected}, found {str(found)[:120]!r}")
    bottle = Bottle(
        formula=formula.name,
        pkg_version=PkgVersion(formula.version),
        tag=tag,
        rebuild=given.rebuild,
        digest=Digest(given.sha256),
        url=given.url,
    )
    return PlannedBottle(bottle=bottle, platforms=(tag,), size=given.size, owner=tag)


def answer(report: Report) -> dict[str, Any]:
    """The report as the answer to an invocation, with its outcome and the first failures."""
    short = msgspec.structs.replace(report, failed=report.failed[:MAX_FAILURES_ANSWERED], undone=())
    counts = {"outcome": report.outcome, "failures": len(report.failed)}
    answered: dict[str, Any] = msgspec.to_builtins(short)
    return answered | counts
