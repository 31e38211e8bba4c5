"""The way back to Dagster that an event names: its own, or none."""

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from dagster_pipes import encode_param

from brew_assets.errors import EventInvalid
from brew_assets.runtimes.lambda_handler import handler, open_pipes
from brew_assets_tests.runtimes.test_lambda_lines import from_dagster

KEY = "state/batches/20260822T030000Z-0badcafe/0.json"
CONTEXT, MESSAGES = "DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"


class Alive:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def test_dagsters_own_way_back_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    with open_pipes(from_dagster(KEY)) as pipes:
        assert pipes is not None
        assert pipes.run_id == "run"
    others: tuple[object, ...] = (None, "text", [], {"batch_key": KEY})
    for event in others:
        with open_pipes(event) as pipes:
            assert pipes is None
    assert capsys.readouterr().out == ""


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {CONTEXT: "…"},
        {CONTEXT: "\ud800"},
        {CONTEXT: 7},
        {CONTEXT: ""},
        {CONTEXT: packed(b"[" * 100_000)},
        {CONTEXT: packed(b"[]")},
        {CONTEXT: packed(b"\xff")},
        {CONTEXT: encode_param({})},
        {CONTEXT: encode_param({"path": "/etc/passwd"})},
        {MESSAGES: None},
        {MESSAGES: packed(b"{}")},
        {MESSAGES: encode_param({"stdio": "elsewhere"})},
        {MESSAGES: encode_param({"path": "written"})},
        {MESSAGES: encode_param({"path": "written", "stdio": "stderr"})},
    ],
    ids=range(14),
)
def test_another_way_back_is_refused_and_nothing_written(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EventInvalid, match="DAGSTER_PIPES"), open_pipes({**from_dagster(KEY), **changes}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_unpacks_to_256_mib_is_not_unpacked() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    packing = zlib.compressobj(level=1)
    bomb = b"".join(packing.compress(b" " * 2**20) for _ in range(256)) + packing.flush()
    event = {**from_dagster(KEY), CONTEXT: base64.b64encode(bomb).decode()}
    with pytest.raises(EventInvalid, match="at most"), open_pipes(event):
        pass
    kib = 1024 if sys.platform == "darwin" else 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / kib < 64 * 1024


@pytest.mark.parametrize("event", [None, [], "x", {"formulas": {}}, json.loads('{"batch_key": "\\ud800"}')])
def test_the_handler_answers_a_hostile_event_with_our_error(
    event: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_URL", str(tmp_path / "mirror"))
    with pytest.raises(EventInvalid):
        handler(event, Alive())
    assert list(tmp_path.iterdir()) == []
