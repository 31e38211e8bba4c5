"""Events that start a sync: decoded from what lies in the queue, or refused with a reason.

Anybody who may put an event on the bus can write one, and a typo must not make a selective sync a full one:
a detail that is not understood to the last field is refused.
"""

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from brew_assets.domain.bottle import is_formula_name
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.plan import check_platforms
from brew_assets.errors import UNREADABLE, PlanInvalid, TriggerInvalid

SOURCE = "homebrew.sync"
MANUAL, SELECTIVE = "Manual Sync", "Selective Sync"
KINDS = (MANUAL, "Manual Sync Trigger", SELECTIVE)
FULL_SYNC, SELECTIVE_SYNC = "full", "selective"
# As Dagster has them: runs with a higher one leave its queue first.
PRIORITIES = {"low": -10, "normal": 0, "high": 10}

MAX_BODY_BYTES = 64 * 1024
MAX_FORMULAE = 1_000
MAX_PRIORITY = 100
MAX_REQUESTED_BY = 200
MAX_REASON_CHARACTERS = 300
_QUOTED_CHARACTERS = 80

# EventBridge's ids and SQS's message ids are UUIDs.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,127}")
_CHANNEL = re.compile(r"#[\w.-]{1,79}|[CDG][A-Z0-9]{6,79}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9 ._:/-]{0,79}")


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that somebody asked for. No formulae and no platforms mean all that are configured.

    `include_dependencies` None leaves it to INCLUDE_DEPENDENCIES whether formulae bring what they need.
    `id` is the event's own, the same in every copy of it; `priority` is from -100 to 100.
    """

    id: str
    kind: str
    formula_names: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    include_dependencies: bool | None = None
    force_download: bool = False
    rebuild_manifest: bool = False
    requested_by: str = ""
    priority: int = 0
    notification_channel: str = ""
    source: str = SOURCE

    @property
    def is_selective(self) -> bool:
        """Whether less than everything is asked for."""
        return bool(self.formula_names or self.platforms)


class _Detail(msgspec.Struct, frozen=True):
    formula_names: list[str] = []
    platforms: list[str] = []
    include_dependencies: bool | msgspec.UnsetType = msgspec.UNSET
    force_download: bool = False
    requested_by: str = ""
    priority: int | str = 0
    trigger_type: str = ""
    source: str = ""
    sync_type: str = ""
    force_rebuild_hash: bool = False
    notification_channel: str = ""


# Makes the table of the type, which `convert` shares, before there are threads.
_detail_decoder = msgspec.json.Decoder(_Detail)
FIELDS = _Detail.__struct_fields__


def decode_trigger(body: bytes | str, *, message_id: str, configured: Sequence[str]) -> Trigger:
    """What the body of a message asks for: an EventBridge event, or the detail of one without its envelope.

    A detail alone goes by the message's id, and has to name its `source`: an empty `{}` starts nothing.
    `configured` are the platforms for which runs can be started.

    Raises:
        TriggerInvalid: names the field, what was expected and what was found. The text has 300 characters
            at most, and what it quotes is escaped. Nothing else: whatever is wrong with an event is its
            sender's error, and other events are taken after it.
    """
    try:
        return _decode(body, message_id, configured)
    # Halves of surrogate pairs, nesting, numbers without end: whichever step stumbles over them.
    except (*UNREADABLE, ValueError, ArithmeticError) as exc:
        raise _invalid(f"event: expected what can be read, found: {_shown(str(exc))}") from exc


def _decode(body: bytes | str, message_id: str, configured: Sequence[str]) -> Trigger:
    event = _object(body)
    if "detail" in event or "detail-type" in event:
        kind, event_id, given = _opened(event)
        detail = _detail(given, "detail")
    else:
        kind, event_id = MANUAL, message_id
        detail = _detail(event, "event")
        if not detail.source:
            raise TriggerInvalid("event: expected an envelope, or a detail that names its source")
    if not is_event_id(event_id):
        _refuse("id", "8 to 128 letters, digits and hyphens", event_id)
    included = detail.include_dependencies
    trigger = Trigger(
        id=event_id,
        kind=kind,
        formula_names=_formula_names(detail.formula_names),
        platforms=_platforms(detail.platforms, configured),
        include_dependencies=included if isinstance(included, bool) else None,
        force_download=detail.force_download,
        rebuild_manifest=detail.force_rebuild_hash,
        requested_by=detail.requested_by.strip(),
        priority=_priority(detail.priority),
        notification_channel=detail.notification_channel,
        source=detail.source or SOURCE,
    )
    _check_texts(detail)
    _check_scope(trigger, detail)
    return trigger


def is_event_id(text: str) -> bool:
    """Whether an event can have this id."""
    return _ID.fullmatch(text) is not None


def _opened(event: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Kind, id and detail of an event in EventBridge's envelope, whose other fields do not matter."""
    source, kind, event_id, detail = (event.get(n) for n in ("source", "detail-type", "id", "detail"))
    if source != SOURCE:
        _refuse("source", SOURCE, source)
    if not isinstance(kind, str) or kind not in KINDS:
        _refuse("detail-type", f"one of {', '.join(KINDS)}", kind)
    if not isinstance(event_id, str):
        _refuse("id", "text", event_id)
    if not isinstance(detail, dict):
        _refuse("detail", "an object", detail)
    return kind, event_id, detail


def _object(body: bytes | str) -> dict[str, Any]:
    """The JSON object in the body."""
    size = len(body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
    if size > MAX_BODY_BYTES:
        raise TriggerInvalid(f"event: expected {MAX_BODY_BYTES} bytes at most, found {size}")
    try:
        text = body.decode() if isinstance(body, bytes) else body
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as exc:
        raise _invalid(
            f"event: expected JSON, found none: {printable(str(exc), _QUOTED_CHARACTERS)}"
        ) from exc
    if not isinstance(found, dict):
        _refuse("event", "an object", found)
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict. Which of two values was meant, nobody knows."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse("event", "every field once", name)
            seen.add(name)
    return found


def _detail(given: dict[str, Any], where: str) -> _Detail:
    """The fields, each of its type, and no other."""
    for name in given:
        if name not in FIELDS:
            close = difflib.get_close_matches(name[:_QUOTED_CHARACTERS], FIELDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(FIELDS)}"
            raise _invalid(f"{where}: {_shown(name)} is not a known field{hint}")
    try:
        return msgspec.convert(given, _Detail)
    except msgspec.ValidationError as exc:
        # Names types and known fields only: nothing of the event's own text is in it.
        raise _invalid(f"{where}: {exc}") from exc
    except UnicodeError as exc:
        raise _invalid(
            f"{where}: expected text, found half of a surrogate pair (a \\ud800 to \\udfff)"
        ) from exc


def _formula_names(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > MAX_FORMULAE:
        _refuse("formula_names", f"{MAX_FORMULAE} at most", len(names))
    for name in names:
        if not is_formula_name(name):
            _refuse("formula_names", "names of Homebrew's formulae", name)
    return tuple(dict.fromkeys(names))


def _platforms(names: Sequence[str], configured: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    try:
        platforms = check_platforms(names)
    except PlanInvalid as exc:
        raise _invalid(f"platforms: {exc}") from exc
    for platform in platforms:
        if platform not in configured:
            _refuse("platforms", f"some of TARGET_PLATFORMS ({', '.join(configured)})", platform)
    return platforms


def _priority(given: int | str) -> int:
    if isinstance(given, str) and given in PRIORITIES:
        return PRIORITIES[given]
    if isinstance(given, str) or abs(given) > MAX_PRIORITY:
        expected = f"one of {', '.join(PRIORITIES)}, or an integer from -{MAX_PRIORITY} to {MAX_PRIORITY}"
        _refuse("priority", expected, given)
    return given


def _check_texts(detail: _Detail) -> None:
    """Returns when everything that people and other systems will read is what it should be."""
    who, channel = detail.requested_by, detail.notification_channel
    if len(who) > MAX_REQUESTED_BY or not who.isprintable():
        _refuse("requested_by", f"{MAX_REQUESTED_BY} printable characters at most", who)
    if channel and not (channel.isprintable() and _CHANNEL.fullmatch(channel)):
        _refuse("notification_channel", "#name or the id of a Slack channel", channel)
    for name in ("source", "trigger_type"):
        text = getattr(detail, name)
        if text and not _WORDS.fullmatch(text):
            _refuse(name, "a few letters and digits", text)


def _check_scope(trigger: Trigger, detail: _Detail) -> None:
    """Returns when the event does not ask for everything and for a part at once."""
    if detail.sync_type not in ("", FULL_SYNC, SELECTIVE_SYNC):
        _refuse("sync_type", f"{FULL_SYNC} or {SELECTIVE_SYNC}", detail.sync_type)
    if detail.sync_type == FULL_SYNC and trigger.is_selective:
        _refuse("sync_type", f"{SELECTIVE_SYNC}, since formulae or platforms are named", FULL_SYNC)
    selective = SELECTIVE_SYNC in (detail.sync_type, detail.trigger_type) or trigger.kind == SELECTIVE
    if selective and not trigger.is_selective:
        raise TriggerInvalid("a selective sync: expected formula_names or platforms, found neither")


def _refuse(where: str, expected: str, found: object) -> NoReturn:
    raise _invalid(f"{where}: expected {expected}, found {_shown(found)}")


def _invalid(text: str) -> TriggerInvalid:
    return TriggerInvalid(text if len(text) <= MAX_REASON_CHARACTERS else f"{text[:299]}…")


def _shown(found: object) -> str:
    """The value, escaped and short; of what may be large or deep only its type."""
    if isinstance(found, str):
        return repr(found[:_QUOTED_CHARACTERS])[: 2 * _QUOTED_CHARACTERS]
    if found is None:
        return "nothing"
    if isinstance(found, int) and abs(found) < 10**12:
        return json.dumps(found)
    return "an object" if isinstance(found, dict) else "an array" if isinstance(found, list) else "a number"
