"""What people and other systems ask for: events, Lambda payloads, settings and what stands in them."""

import contextlib
import json
from random import Random
from typing import Any

import msgspec

from brew_assets.defs.schedules import cron_from_expression
from brew_assets.domain.batch import BatchReference, batch_report_key, decode_event, given_out_at
from brew_assets.domain.bottle import blob_url, is_formula_name
from brew_assets.domain.object_keys import is_object_key
from brew_assets.domain.plan import decode_plan, encode_plan
from brew_assets.domain.routing import decode_task_sizes, task_size
from brew_assets.domain.sync_event import decode_trigger, is_event_id
from brew_assets.errors import EventInvalid, SettingsInvalid, TriggerInvalid
from brew_assets.settings import Settings, read_settings
from brew_assets_tests.event_account import envelope
from brew_assets_tests.fuzz.fuzzing import HIDDEN, assert_sound, decoded, fuzzed
from brew_assets_tests.fuzz.mutations import changed_text, spoiled
from brew_assets_tests.worlds import CREATED_AT, SYNC_ID, digest_of

CONFIGURED = ("arm64_tahoe", "arm64_sonoma")
MESSAGE_ID = "0c1d2e3f-aaaa-bbbb-cccc-0123456789ab"
DETAIL = {
    "formula_names": ["curl", "python@3.13"],
    "platforms": ["arm64_sonoma"],
    "force_download": True,
    "requested_by": "Ada <ada@company.com>",
    "priority": "high",
    "trigger_type": "manual",
    "source": "manual",
    "sync_type": "selective",
    "force_rebuild_hash": False,
    "notification_channel": "#homebrew-sync",
}
EVENTS = (envelope(DETAIL).encode(), json.dumps(DETAIL).encode(), envelope({}).encode())


@fuzzed
def test_events(random: Random) -> None:
    data = spoiled(random.choice(EVENTS), random)
    body = (
        data if random.random() < 0.5 else data.decode("utf-8", random.choice(("surrogateescape", "replace")))
    )

    trigger = decoded(
        lambda: decode_trigger(body, message_id=MESSAGE_ID, configured=CONFIGURED), TriggerInvalid, body
    )
    if trigger is None:
        return
    assert is_event_id(trigger.id)
    assert set(trigger.platforms) <= set(CONFIGURED)
    assert all(is_formula_name(name) for name in trigger.formula_names)
    assert -100 <= trigger.priority <= 100
    for text in (trigger.kind, trigger.requested_by, trigger.notification_channel, trigger.source):
        assert text.isprintable()
        assert len(text) <= 200
    msgspec.json.encode(trigger)


def _payload(formula: str, tag: str) -> dict[str, object]:
    digest = digest_of(formula)
    file = {"url": blob_url(formula, digest), "sha256": digest, "size": 4711, "rebuild": 1}
    return {"name": formula, "version": "8.2.1_1", "bottles": {tag: file}}


PAYLOADS = (
    json.dumps(
        {
            "formulas": [_payload("curl", "arm64_sonoma"), _payload("python@3.13", "all")],
            "sync_date": "2025-07-21",
        }
    ).encode(),
    json.dumps({"batch_key": f"state/batches/{SYNC_ID}/20260822-030000-1a2b.json", "more": [1]}).encode(),
)


def _json_payload(random: Random) -> tuple[bytes, Any]:
    """A spoiled payload that is JSON still: Lambda itself refuses others before a function is called."""
    while True:
        data = spoiled(random.choice(PAYLOADS), random)
        with contextlib.suppress(ValueError, RecursionError):
            return data, json.loads(data)


@fuzzed
def test_lambda_payloads(random: Random) -> None:
    data, event = _json_payload(random)
    request = decoded(lambda: decode_event(event), EventInvalid, data)
    if request is None:
        return
    if isinstance(request, BatchReference):
        assert is_object_key(request.batch_key)
        assert is_object_key(batch_report_key(request.batch_key))
        given_out_at(request.batch_key)
        return
    for planned in request.objects:
        assert_sound(planned.bottle, request.sync_date)
        assert planned.size is None or planned.size > 0
    plan = request.plan(sync_id=SYNC_ID, created_at=CREATED_AT)
    assert decode_plan(bytes(encode_plan(plan))) == plan


FIELDS = msgspec.structs.fields(Settings)
DEFAULTS = {field.encode_name: field.default for field in FIELDS}
SENSIBLE = {
    "MIRROR_URL": "s3://bottles/prefix",
    "ECS_SUBNETS": "subnet-1, subnet-2",
    "DAGSTER_URL": "https://dagster.example:3000",
    "AWS_ENDPOINT_URL_S3": "http://[::1]:9000",
    "SLACK_WEBHOOK_URL": f"https://hooks.slack.example/services/{HIDDEN}",
}


def _sensible(name: str) -> str:
    value = SENSIBLE.get(name, DEFAULTS[name])
    return ",".join(value) if isinstance(value, tuple) else str(value)


@fuzzed
def test_settings(random: Random) -> None:
    names = random.sample(sorted(DEFAULTS), random.randint(1, 4))
    environment = {name: changed_text(_sensible(name), random) for name in names}
    settings = decoded(lambda: read_settings(environment), SettingsInvalid, environment)
    if settings is None:
        return
    for field in FIELDS:
        value = getattr(settings, field.name)
        for text in value if isinstance(value, tuple) else (value,):
            str(text).encode()
            assert not isinstance(text, float) or 0 <= text < float("inf")


TABLE = Settings().ecs_task_sizes


@fuzzed
def test_tables_of_task_sizes(random: Random) -> None:
    text = changed_text(TABLE, random)
    sizes = decoded(lambda: decode_task_sizes(text), ValueError, text)
    if sizes is not None:
        assert all(task_size(sizes, pending).cpu >= 256 for pending in (0, 10**9, 10**15))


EXPRESSIONS = ("0 3 * * 0", "*/15 1-5,7 1 JAN-MAR SUN", "cron(0 3 ? * SUN *)", "cron(5/10 3 1,15 * ? *)")


@fuzzed
def test_schedule_expressions(random: Random) -> None:
    text = changed_text(random.choice(EXPRESSIONS), random)
    cron = decoded(lambda: cron_from_expression(text), SettingsInvalid, text)
    if cron is not None:
        assert len(cron.split()) == 5
        assert cron_from_expression(cron) == cron
