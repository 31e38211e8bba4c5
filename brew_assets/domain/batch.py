"""What a Lambda is asked to do: a batch of a plan, by reference, or a list of bottles by value.

Everything here comes from an event that anybody who may invoke the function can write: it is decoded
against a type and checked before it names a key or an address.
"""

import itertools
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
from brew_assets.domain.downloads import CopyJob, group_fetches
from brew_assets.domain.object_keys import is_date
from brew_assets.domain.plan import Plan, PlannedBottle
from brew_assets.domain.platforms import is_serving_tag
from brew_assets.domain.proof import MAX_REBUILD, Proof, is_size, is_sync_id, shown, wrong
from brew_assets.domain.report import REPORT_PREFIX, Report
from brew_assets.domain.seal import SealedKind
from brew_assets.errors import UNREADABLE, EventInvalid

# 1: without a seal.
BATCH_VERSION = 2
BATCH_PREFIX = "state/batches/"
# A sync id and a number: nothing that could lead out of the folder.
_BATCH_KEY = re.compile(r"state/batches/(?P<sync>[0-9A-Za-z-]{1,79})/(?P<name>[0-9a-z-]{1,79})\.json")
_TIME_IN_NAME = "%Y%m%d-%H%M%S"
_TIMED_NAME = re.compile(r"(\d{8}-\d{6})-[0-9a-z]+")
# The answer to an invocation may have 6 MB; the report in the store has every failure.
MAX_FAILURES_ANSWERED = 100
# More than a worker can store in the quarter of an hour that it has.
MAX_GIVEN = 10_000
_KIND = SealedKind(
    name="batch",
    version=BATCH_VERSION,
    remedy="Nothing was copied: the run that gave the batch out copies its bottles itself. The run and the "
    "Lambda have to be of the same version.",
)


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

    def job(self) -> CopyJob:
        """What the worker is to copy: the objects by digest."""
        return CopyJob(
            sync_id=self.sync_id,
            sync_date=self.sync_date,
            fetches=group_fetches(self.objects),
            force=self.force,
            look_first=self.look_first,
        )

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
    """The name of a batch that is given out at that time; a listing then shows how old it is."""
    return f"{given_out.astimezone(UTC):{_TIME_IN_NAME}}-{token}"


def given_out_at(key: str) -> datetime | None:
    """When the batch at `key` was given out, None when its name does not say."""
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
    """The batch as the document that stands in the store, sealed."""
    return _KIND.encode(batch)


def decode_batch(data: bytes, *, key: str = "", sealed: bool = True) -> Batch:
    """The batch in the document that stands under `key`, as it was sealed and with every field checked.

    `sealed=False` accepts one of the version that had no seal, for whoever copies nothing of it.

    Raises:
        PlanInvalid: not a batch, a changed one, one of another version or another sync, or one with a field
            that cannot be.
    """
    where = key or "the batch"
    batch = _KIND.decode(data, _batch_decoder, where=where, sealed=sealed)
    if why := _why_not(batch, key):
        raise _KIND.invalid(where, why)
    return batch


def _why_not(batch: Batch, key: str) -> str | None:
    """What is wrong with the first field that cannot be, None when nothing is."""
    if not is_sync_id(batch.sync_id):
        return wrong("sync_id", "letters, digits and hyphens", batch.sync_id)
    named = _BATCH_KEY.fullmatch(key)
    if named and named["sync"] != batch.sync_id:
        return wrong("sync_id", f"{named['sync']!r}, that of its key", batch.sync_id)
    if not is_date(batch.sync_date):
        return wrong("sync_date", "YYYY-MM-DD", batch.sync_date)
    return Proof().why_none(batch.objects)


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
    names = ", ".join(shown(name).strip("'")[:40] for name in itertools.islice(event, 8)) or "nothing"
    raise EventInvalid(f"event: expected batch_key, or formulas and sync_date; found {names}")


def _reference(event: Mapping[str, Any]) -> BatchReference:
    key = event["batch_key"]
    if not isinstance(key, str) or not _BATCH_KEY.fullmatch(key):
        raise EventInvalid(wrong("batch_key", f"{BATCH_PREFIX}<sync id>/<name>.json", key))
    return BatchReference(batch_key=key)


def _direct(event: Mapping[str, Any]) -> DirectRequest:
    given = event["formulas"]
    if isinstance(given, list) and len(given) > MAX_GIVEN:
        raise EventInvalid(f"formulas: expected {MAX_GIVEN:,} at most, found {len(given):,}")
    fields = {name: event[name] for name in _GivenRequest.__struct_fields__ if name in event}
    try:
        request = msgspec.convert(fields, _GivenRequest)
    except (*UNREADABLE, ValueError, OverflowError) as exc:
        raise EventInvalid(f"event: {ascii(str(exc)[:200])[1:-1]}") from exc
    if not is_date(request.sync_date):
        raise EventInvalid(wrong("sync_date", "YYYY-MM-DD", request.sync_date))
    count = sum(len(formula.bottles) for formula in request.formulas)
    if not 0 < count <= MAX_GIVEN:
        least = "at least one bottle, found none" if not count else f"{MAX_GIVEN:,} bottles at most"
        raise EventInvalid(f"formulas: expected {least}" + (f", found {count:,}" if count else ""))
    objects = tuple(
        _planned(f"formulas[{number}]", formula, tag, bottle)
        for number, formula in enumerate(request.formulas)
        for tag, bottle in formula.bottles.items()
    )
    if len({planned.bottle.entry_key for planned in objects}) < len(objects):
        raise EventInvalid("formulas: expected every bottle once, found one twice")
    if why := Proof().why_none(objects):
        raise EventInvalid(why)
    return DirectRequest(sync_date=request.sync_date, objects=objects)


def _quoted(found: object) -> str:
    return shown(found) if isinstance(found, str) else f"'{shown(found)}'"


def _planned(where: str, formula: _GivenFormula, tag: str, given: _GivenBottle) -> PlannedBottle:
    """The bottle, its fields checked under the names that the event has for them."""
    for valid, field, expected, found in (
        (is_formula_name(formula.name), "name", "a formula's name", formula.name),
        (is_pkg_version(formula.version), "version", "a version", formula.version),
        (is_serving_tag(tag), "bottles", "a bottle tag", tag),
        (is_digest(given.sha256), f"bottles.{tag}.sha256", "64 lower-case hex digits", given.sha256),
        (given.size is None or is_size(given.size), f"bottles.{tag}.size", "a number of bytes", given.size),
        (0 <= given.rebuild <= MAX_REBUILD, f"bottles.{tag}.rebuild", "a rebuild", given.rebuild),
    ):
        if not valid:
            raise EventInvalid(f"{where}.{field}: expected {expected}, found {_quoted(found)}")
    # Not any repository whose path ends so: everybody can have one at the registry.
    url = blob_url(formula.name, given.sha256)
    if given.url != url:
        raise EventInvalid(wrong(f"{where}.bottles.{tag}.url", url, given.url))
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
