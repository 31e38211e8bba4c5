"""Events that start a sync, from whoever may put one into the queue."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.sync_event import (
    FIELDS,
    KINDS,
    MAX_BODY_BYTES,
    MAX_FORMULAE,
    MAX_REASON_CHARACTERS,
    Trigger,
    decode_trigger,
)
from brew_assets.errors import TriggerInvalid
from brew_assets_tests.event_account import envelope

ROOT = Path(__file__).parents[2]
CONFIGURED = ("arm64_tahoe", "arm64_sonoma")
EVENT_ID = "5f5f6a3e-1c2b-4a58-9d0e-7f6b1c2d3e4f"
MESSAGE_ID = "0c1d2e3f-aaaa-bbbb-cccc-0123456789ab"


def decode(body: bytes | str) -> Trigger:
    return decode_trigger(body, message_id=MESSAGE_ID, configured=CONFIGURED)


def of(kind: str = "Manual Sync", **detail: object) -> Trigger:
    """What an event with this detail asks for."""
    return decode(envelope(detail, kind=kind))


def refusal(body: bytes | str) -> str:
    """Why the body is refused, in words that are safe to show."""
    with pytest.raises(TriggerInvalid) as caught:
        decode(body)
    reason = str(caught.value)
    assert 0 < len(reason) <= MAX_REASON_CHARACTERS
    assert reason.isprintable()
    return reason


@pytest.mark.parametrize("kind", ["Manual Sync", "Manual Sync Trigger"])
def test_an_empty_detail_asks_for_everything(kind: str) -> None:
    assert of(kind) == Trigger(id=EVENT_ID, kind=kind)
    assert not of(kind).is_selective


def test_the_specified_manual_trigger() -> None:
    trigger = of(
        "Manual Sync Trigger", trigger_type="manual", requested_by="admin@company.com", priority="high"
    )
    assert trigger == Trigger(
        id=EVENT_ID, kind="Manual Sync Trigger", requested_by="admin@company.com", priority=10
    )


def test_the_specified_selective_sync() -> None:
    asked = {"formula_names": ["curl", "node", "python@3.11"], "platforms": ["arm64_sonoma"]}
    trigger = of("Selective Sync", **asked, force_download=True)
    assert trigger == Trigger(
        id=EVENT_ID,
        kind="Selective Sync",
        formula_names=("curl", "node", "python@3.11"),
        platforms=("arm64_sonoma",),
        force_download=True,
    )
    assert trigger.is_selective


@pytest.mark.parametrize("included", [True, False])
def test_an_event_may_say_whether_formulae_bring_what_they_need(included: bool) -> None:
    assert of(formula_names=["curl"], include_dependencies=included).include_dependencies is included
    assert of(formula_names=["curl"]).include_dependencies is None


@pytest.mark.parametrize("value", [None, 0, "false", [], {}])
def test_an_event_that_says_it_in_another_form_is_refused(value: object) -> None:
    with pytest.raises(TriggerInvalid, match="detail: Expected `bool`"):
        of(formula_names=["curl"], include_dependencies=value)


ORCHESTRATOR = {
    "source": "manual",
    "sync_type": "full",
    "force_rebuild_hash": True,
    "notification_channel": "#homebrew-sync-manual",
}


def test_the_specified_payload_of_the_orchestrator_comes_as_a_detail_or_alone() -> None:
    expected = Trigger(
        id=EVENT_ID,
        kind="Manual Sync",
        rebuild_manifest=True,
        notification_channel="#homebrew-sync-manual",
        source="manual",
    )
    assert of("Manual Sync", **ORCHESTRATOR) == expected
    alone = decode(json.dumps(ORCHESTRATOR).encode())
    assert alone == msgspec.structs.replace(expected, id=MESSAGE_ID)
    assert decode('{"source": "manual"}').id == MESSAGE_ID


def test_fields_of_the_envelope_that_nobody_knows_do_not_matter() -> None:
    assert decode(envelope({}, {"replay-name": "again", "resources": [[{}]]})).id == EVENT_ID


def test_what_is_named_twice_counts_once() -> None:
    trigger = of(formula_names=["curl", "jq", "curl"], platforms=["arm64_sonoma", "arm64_sonoma"])
    assert (trigger.formula_names, trigger.platforms) == (("curl", "jq"), ("arm64_sonoma",))


@pytest.mark.parametrize(
    ("given_priority", "priority"),
    [("low", -10), ("normal", 0), ("high", 10), (0, 0), (-100, -100), (100, 100), (7, 7)],
)
def test_priorities_become_integers(given_priority: object, priority: int) -> None:
    assert of(priority=given_priority).priority == priority


@pytest.mark.parametrize("channel", ["#homebrew-sync", "#команда", "C024BE91L", "G1234567890", ""])
def test_channels_of_slack(channel: str) -> None:
    assert of(notification_channel=channel).notification_channel == channel


@pytest.mark.parametrize("name", ["curl", "python@3.11", "gtk+3", "x264", "libsigc++@2", "n" * 128])
def test_names_of_formulae(name: str) -> None:
    assert of(formula_names=[name]).formula_names == (name,)


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "event: expected JSON"),
        (b"start", "event: expected JSON"),
        (b"\xff\xfe{}", "event: expected JSON"),
        (b"\xef\xbb\xbf{}", "event: expected JSON"),
        (b'{"source": "manual"', "event: expected JSON"),
        (b'{"source": "man\x00ual"}', "event: expected JSON"),
        (b"[" * 60_000, "event: expected JSON"),
        (b'{"a":' * 10_000, "event: expected JSON"),
        (b"1" * 5_000, "event: expected JSON"),
        (b"[]", "event: expected an object, found an array"),
        (b"null", "event: expected an object, found nothing"),
        (b"NaN", "event: expected an object, found a number"),
        (b'"x"', "event: expected an object, found 'x'"),
        (b"{}", "event: expected an envelope, or a detail that names its source"),
        (b'{"sync_type": "full"}', "event: expected an envelope, or a detail that names its source"),
        (b'{"source": ""}', "event: expected an envelope, or a detail that names its source"),
        (b'{"source": "a", "source": "b"}', "event: expected every field once, found 'source'"),
        (b'{"Source": "homebrew.sync", "Detail": "{}"}', "event: 'Source' is not a known field"),
        (b" " * MAX_BODY_BYTES + b"{}", f"event: expected {MAX_BODY_BYTES} bytes at most"),
        ("ü" * (MAX_BODY_BYTES // 2 + 1), f"event: expected {MAX_BODY_BYTES} bytes at most"),
        ("\ud800", "event: expected JSON"),
        (b'{"source": "manual", "force_download": "\\ud800"}', "event: expected text, found half of a surr"),
        (b'{"source": "manual", "formula_names": "\\ud800"}', "event: expected text, found half of a surr"),
        (b'{"source": "manual", "formula_names": ["\\ud800"]}', "formula_names: expected names"),
        (b'{"source": "manual", "\\ud800": 1}', "event: '\\ud800' is not a known field"),
        (b'{"source": "\\ud800"}', "source: expected a few letters"),
        (b'{"source": "manual", "priority": 1e999}', "event: Expected `int | str`, got `float`"),
        (b'{"source": "manual", "priority": %s}' % (b"9" * 4_000), "priority: expected one of low"),
        (b'{"source": "manual", "priority": %s}' % (b"9" * 60_000), "event: expected JSON"),
        (b'{"source": "manual", "formula_names": %s}' % (b"[" * 900 + b"]" * 900), "event: Expected `str`"),
        (b'{"x\\n": 1, "x\\n": 2}', "event: expected every field once, found 'x\\n'"),
    ],
)
def test_what_is_no_event_is_refused(body: bytes | str, reason: str) -> None:
    assert refusal(body).startswith(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "aws.s3"}, "source: expected homebrew.sync, found 'aws.s3'"),
        ({"source": ...}, "source: expected homebrew.sync, found nothing"),
        ({"source": ["homebrew.sync"]}, "source: expected homebrew.sync, found an array"),
        (
            {"detail-type": "Purge"},
            "detail-type: expected one of Manual Sync, Manual Sync Trigger, Selective",
        ),
        ({"detail-type": ...}, "detail-type: expected one of"),
        ({"detail-type": {}}, "detail-type: expected one of"),
        ({"detail": "{}"}, "detail: expected an object, found '{}'"),
        ({"detail": ...}, "detail: expected an object, found nothing"),
        ({"id": ...}, "id: expected text, found nothing"),
        ({"id": 7}, "id: expected text, found 7"),
        ({"id": "\ud800" * 8}, "id: expected 8 to 128"),
        ({"detail-type": "\ud800"}, "detail-type: expected one of"),
        ({"source": "\ud800"}, "source: expected homebrew.sync"),
        ({"detail": "\ud800"}, "detail: expected an object"),
        ({"id": "short"}, "id: expected 8 to 128"),
        ({"id": "x" * 129}, "id: expected 8 to 128"),
        ({"id": "5f5f6a3e\n1c2b-4a58"}, "id: expected 8 to 128"),
        ({"id": "../../../etc"}, "id: expected 8 to 128"),
    ],
)
def test_an_envelope_that_is_not_ours_is_refused(changes: dict[str, object], reason: str) -> None:
    assert refusal(envelope({}, changes)).startswith(reason)


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ({"formula_names": "curl"}, "detail: Expected `array`, got `str` - at `$.formula_names`"),
        ({"formula_names": [1]}, "detail: Expected `str`, got `int` - at `$.formula_names[0]`"),
        ({"formula_names": None}, "detail: Expected `array`, got `null`"),
        ({"formula_names": {"curl": 1}}, "detail: Expected `array`"),
        ({"force_download": "yes"}, "detail: Expected `bool`, got `str`"),
        ({"force_download": 1}, "detail: Expected `bool`, got `int`"),
        ({"priority": True}, "detail: Expected `int | str`, got `bool`"),
        ({"priority": 1.5}, "detail: Expected `int | str`, got `float`"),
        ({"requested_by": ["x"]}, "detail: Expected `str`"),
        (
            {"formula_name": ["curl"]},
            "detail: 'formula_name' is not a known field; did you mean formula_names?",
        ),
        ({"formulas": ["curl"]}, "detail: 'formulas' is not a known field; did you mean formula_names?"),
        ({"force": True}, "detail: 'force' is not a known field"),
        ({"xyz": 1}, "detail: 'xyz' is not a known field; known are formula_names, platforms"),
        ({"\n\x1b[31m" * 99: 1}, "detail: '\\n\\x1b[31m"),
        ({"formula_names": [""]}, "formula_names: expected names of Homebrew's formulae, found ''"),
        ({"formula_names": ["../curl"]}, "formula_names: expected names"),
        ({"formula_names": ["a/b"]}, "formula_names: expected names"),
        ({"formula_names": ["curl", ".."]}, "formula_names: expected names"),
        ({"formula_names": ["a..b"]}, "formula_names: expected names"),
        ({"formula_names": ["curl\n"]}, "formula_names: expected names"),
        ({"formula_names": ["n" * 129]}, "formula_names: expected names"),
        ({"formula_names": ["--force"]}, "formula_names: expected names"),
        (
            {"formula_names": ["curl"] * (MAX_FORMULAE + 1)},
            "formula_names: expected 1000 at most, found 1001",
        ),
        ({"platforms": ["arm64_sanoma"]}, "platforms: platform 'arm64_sanoma' is not known"),
        ({"platforms": ["all"]}, "platforms: platform 'all' is not known"),
        ({"platforms": ["\x1b" * 9_000]}, "platforms: platform '\\x1b"),
        (
            {"platforms": ["arm64_sonoma", "x86_64_linux"]},
            "platforms: expected some of TARGET_PLATFORMS (arm64_tahoe, arm64_sonoma), found 'x86_64_linux'",
        ),
        (
            {"priority": "urgent"},
            "priority: expected one of low, normal, high, or an integer from -100 to 100",
        ),
        ({"priority": 101}, "priority: expected one of"),
        ({"priority": "5"}, "priority: expected one of"),
        ({"requested_by": "x" * 201}, "requested_by: expected 200 printable characters"),
        ({"requested_by": "a\nb"}, "requested_by: expected 200 printable characters at most, found 'a\\nb'"),
        ({"requested_by": "\u202egro"}, "requested_by: expected 200 printable characters"),
        ({"requested_by": "\ud800"}, "requested_by: expected 200 printable characters"),
        ({"notification_channel": "homebrew"}, "notification_channel: expected #name"),
        ({"notification_channel": "#two words"}, "notification_channel: expected #name"),
        ({"notification_channel": "#a\n"}, "notification_channel: expected #name"),
        ({"notification_channel": "<!channel>"}, "notification_channel: expected #name"),
        ({"notification_channel": "#" + "a" * 80}, "notification_channel: expected #name"),
        ({"source": "<script>"}, "source: expected a few letters"),
        ({"trigger_type": "\x00"}, "trigger_type: expected a few letters"),
        ({"sync_type": "partial"}, "sync_type: expected full or selective, found 'partial'"),
        ({"sync_type": "full", "platforms": ["arm64_sonoma"]}, "sync_type: expected selective, since"),
        ({"sync_type": "selective"}, "a selective sync: expected formula_names or platforms, found neither"),
        ({"trigger_type": "selective"}, "a selective sync: expected formula_names or platforms"),
    ],
)
def test_a_detail_that_is_not_understood_is_refused(detail: dict[str, Any], reason: str) -> None:
    assert refusal(envelope(detail)).startswith(reason)
    assert refusal(json.dumps({"source": "manual", **detail}))


@pytest.mark.parametrize("detail", [{}, {"formula_names": [], "platforms": []}, {"force_download": True}])
def test_a_selective_sync_of_nothing_is_not_one_of_everything(detail: dict[str, Any]) -> None:
    assert "found neither" in refusal(envelope(detail, kind="Selective Sync"))


def test_a_message_without_an_id_of_its_own_is_refused() -> None:
    with pytest.raises(TriggerInvalid, match="id: expected"):
        decode_trigger('{"source": "manual"}', message_id="", configured=CONFIGURED)


# -- anything at all --------------------------------------------------------------------------------------


def is_decoded_or_refused(body: bytes | str) -> None:
    """Returns when the body is a trigger that may be carried out, or refused in safe words."""
    trigger, reason = None, ""
    try:
        trigger = decode(body)
    except TriggerInvalid as error:
        reason = str(error)
    if trigger is None:
        assert 0 < len(reason) <= MAX_REASON_CHARACTERS
        assert reason.isprintable()
        return
    assert trigger.kind in KINDS
    assert set(trigger.platforms) <= set(CONFIGURED)
    assert -100 <= trigger.priority <= 100
    assert all(re.fullmatch(r"[\w@+.-]{1,128}", name) and ".." not in name for name in trigger.formula_names)


@given(st.binary(max_size=300) | st.text(st.characters(), max_size=300))
def test_any_bytes_are_decoded_or_refused(body: bytes | str) -> None:
    is_decoded_or_refused(body)


# The fields that are no text convert what they are given, and no half of a pair can be converted.
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value", ["\ud800", ["\udfff"], [["\ud800"]], {"\ud800": "\udc00"}, "a\udcff"], ids=ascii
)
def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(name: str, value: object) -> None:
    detail = {"source": "manual", name: value}
    for body in (json.dumps(detail), json.dumps(detail, ensure_ascii=False), envelope({name: value})):
        assert refusal(body)


# What a field may hold: anything, and what is almost right.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["curl", "arm64_sonoma", "full", "selective", "high", "#sync", "../curl", "manual"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DETAILS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=12), VALUES, max_size=4)


@given(DETAILS, st.sampled_from(KINDS) | st.text(max_size=20))
def test_any_detail_is_decoded_or_refused(detail: dict[str, object], kind: str) -> None:
    is_decoded_or_refused(envelope(detail, kind=kind))
    is_decoded_or_refused(json.dumps({"source": "manual", **detail}))


@given(st.dictionaries(st.sampled_from(["id", "source", "detail-type", "detail"]), VALUES, max_size=4))
def test_any_envelope_is_decoded_or_refused(changes: dict[str, object]) -> None:
    is_decoded_or_refused(envelope({}, changes))


# -- what people copy -------------------------------------------------------------------------------------

_FENCE = re.compile(r"^```(json[ \w]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRIGGERS = (ROOT / "docs" / "triggers.md").read_text(encoding="utf-8")


def test_every_example_of_the_document_does_what_it_says() -> None:
    examples = _FENCE.findall(TRIGGERS)
    assert sorted(kind for kind, _ in examples) == [*["json"] * 2, "json pattern", *["json refused"] * 2]
    for kind, text in examples:
        if kind == "json":
            assert decode(text)
        elif kind == "json refused":
            assert refusal(text)
        else:
            assert json.loads(text)["source"] == [json.loads(envelope())["source"]]
    (sent,) = re.findall(r"--message-body '(.*)'", TRIGGERS)
    assert decode(sent)


def test_the_document_has_every_field_and_kind() -> None:
    for name in (*FIELDS, *KINDS):
        assert f"`{name}`" in TRIGGERS
