"""The messages: the six samples of the specification as whole documents, and what hostile text becomes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle, Digest, PkgVersion
from brew_assets.domain.links import Links
from brew_assets.domain.notifications.blocks import Message, bar
from brew_assets.domain.notifications.messages import (
    Progress,
    absence_message,
    end_message,
    large_download_message,
    progress_message,
    start_message,
)
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.quantities import human_bytes, human_duration, rough_duration
from brew_assets.domain.report import Failure, Report
from brew_assets.domain.sync_status import Deployment, PlatformRun, SyncStatus
from brew_assets_tests.slack_rules import problems_of

SAMPLES = Path(__file__).parent / "slack_samples"
MB, GB = 10**6, 10**9
STARTED = datetime(2025, 7, 21, 3, 0, 15, tzinfo=UTC).timestamp()
DEPLOYMENT = Deployment(
    environment="prod",
    threshold_gb=20.0,
    cluster="homebrew-sync",
    store_url="s3://homebrew-bottles-prod",
    links=Links(),
)


class SampleLinks(Links, frozen=True, kw_only=True):
    """The specification's sync is run by a Lambda, whose page has the button to retry it."""

    def run_url(self, run_id: str) -> str:
        return f"https://console.aws.amazon.com/lambda/home?region=us-east-1#/functions/{run_id}"


class SampleProgress(Progress, frozen=True, kw_only=True):
    """The specification's ETA does not follow from its speed."""

    def left_s(self, size: int) -> float | None:
        return 35 * 60


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def document(message: Message) -> Any:
    return json.loads(msgspec.json.encode(message))


def sync(**known: Any) -> SyncStatus:
    """A sync of which nothing is known but what is named."""
    given: dict[str, Any] = {
        "sync_id": "s",
        "date": "2025-07-21",
        "created_at": STARTED,
        "route": "ecs",
        "trigger": "Scheduled",
        "planned": 0,
        "held": 0,
        "size": 0,
        "run_id": "planning",
        "platforms": ("arm64_sonoma",),
    }
    return SyncStatus(**(given | known))


def report(**known: Any) -> Report:
    given: dict[str, Any] = {
        "sync_id": "s",
        "sync_date": "2025-07-21",
        "platforms": ("arm64_sonoma",),
        "route": "ecs",
        "started_at": "2025-07-21T03:00:15Z",
        "ended_at": "2025-07-21T03:10:15Z",
        "duration_s": 600.0,
        "planned": 0,
    }
    return Report(**(given | known))


def failure(name: str, reason: str, message: str = "") -> Failure:
    return Failure(name=name, digest="0" * 64, reason=reason, message=message)


def planned(formula: str, version: str, *platforms: str, size: int = 1) -> PlannedBottle:
    bottle = Bottle(
        formula=formula, pkg_version=PkgVersion(version), tag=platforms[0], digest=Digest("0" * 64), url=""
    )
    return PlannedBottle(bottle=bottle, platforms=platforms, size=size)


def failed_sync(run_error: str, *, reason: str = "Network Timeout", **known: Any) -> SyncStatus:
    """A sync whose one run broke off."""
    broken = PlatformRun(
        platform="", run_id="homebrew-sync-orchestrator", state="failed", reason=reason, error=run_error
    )
    return sync(**({"planned": 1, "runs": (broken,)} | known))


def sample_messages() -> dict[str, Message]:
    """The samples' numbers through the builders."""
    top = [
        planned("node", "20.5.1", "arm64_sonoma", "arm64_ventura", "monterey", size=5),
        planned("python@3.11", "3.11.4", "arm64_sonoma", "arm64_ventura", size=4),
        planned("curl", "8.2.1", "arm64_sonoma", size=3),
        planned("wget", "1.21.4", "monterey", size=2),
        planned("git", "2.41.0", "arm64_ventura", size=1),
    ]
    unstored = [
        planned("opencv", "4.8.0", "arm64_sonoma"),
        planned("tensorflow", "2.13.0", "monterey"),
        planned("llvm", "16.0.6", "arm64_ventura"),
    ]
    reasons = ("digest mismatch", "not found", "timed out")
    failures = [
        *(failure(item.bottle.filename, reason) for item, reason in zip(unstored, reasons, strict=True)),
        *(failure(f"formula-{number}", "not found") for number in range(46)),
    ]
    failed = failed_sync(
        "Timeout downloading curl-8.2.1.arm64_sonoma.bottle.tar.gz\n"
        "Connection timeout after 300 seconds\n"
        "Retried 3 times, all attempts failed",
        planned=1247,
        reports=(report(stored=89, bytes_downloaded=int(1.8 * GB)),),
    )
    at_lambda = msgspec.structs.replace(
        DEPLOYMENT, links=SampleLinks(log_group="/aws/lambda/homebrew-sync-orchestrator")
    )
    moving = SampleProgress(
        bottles_done=456, bytes_done=int(8.3 * GB), bytes_per_second=11.2 * MB, current="node@20.5.1"
    )
    large = sync(planned=2156, size=int(47.8 * GB))
    return {
        "start": start_message(sync(planned=1247, size=int(15.3 * GB), route="lambda"), DEPLOYMENT),
        "large_download": large_download_message(large, DEPLOYMENT),
        "progress": progress_message(large, moving, now=STARTED + 12 * 60),
        "success": end_message(
            sync(planned=143, held=2013, stored=143, reports=(report(bytes_downloaded=int(3.2 * GB)),)),
            DEPLOYMENT,
            objects=top,
            duration_s=514,
            next_sync="2025-07-28 03:00",
        ),
        "failure": end_message(failed, at_lambda, duration_s=14 * 60 + 23),
        "warning": end_message(
            sync(planned=1247, reports=(report(failed=tuple(failures)),)),
            DEPLOYMENT,
            objects=unstored,
            duration_s=11 * 60 + 45,
        ),
    }


@pytest.mark.parametrize("name", [path.stem for path in sorted(SAMPLES.glob("*.json"))])
def test_a_message_with_the_samples_numbers_is_the_sample(name: str) -> None:
    message = sample_messages()[name]
    assert document(message) == sample(name)
    assert problems_of(document(message)) == []


def test_there_is_a_sample_of_each_of_the_six_messages() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(sample_messages())


def test_the_same_text_goes_into_an_email() -> None:
    texts = {name: message.plain() for name, message in sample_messages().items()}
    assert texts["start"] == (
        "🚀 Homebrew Bottles Sync Started\n\nEnvironment: prod\nDate: 2025-07-21\nEstimated Bottles: 1,247\n"
        "Estimated Size: 15.3 GB\nSync Method: Lambda\nTrigger: Scheduled\n\n"
        "Started at 2025-07-21 03:00:15 UTC"
    )
    assert "Error Details:\nTimeout downloading curl-8.2.1" in texts["failure"]
    assert "View Logs: https://console.aws.amazon.com/cloudwatch" in texts["failure"]
    assert not any("*" in text or "`" in text for text in texts.values())


def test_bottles_that_timed_out_are_what_the_sample_says() -> None:
    """As bottles' own failures end a sync, not as a run's error: see integration/test_faults.py."""
    name = "curl-8.2.1.arm64_sonoma.bottle.tar.gz"
    timed_out = msgspec.structs.replace(
        failure(name, "timed out", f"{name}: connection timeout after 300 seconds"), retries=3
    )
    message = end_message(sync(planned=1, reports=(report(failed=(timed_out,)),)), DEPLOYMENT, duration_s=1)
    assert "Error Type: Network Timeout\n" in message.plain()
    shown = [block for block in document(message)["blocks"] if "Error Details" in str(block)]
    of_sample = [block for block in sample("failure")["blocks"] if "Error Details" in str(block)]
    assert shown == of_sample


def test_a_sync_without_a_next_one_says_so() -> None:
    message = end_message(sync(held=5), DEPLOYMENT, duration_s=0.4)
    assert "No next sync is scheduled" in message.plain()
    assert "Top Downloaded" not in message.plain()
    assert "Duration: 0 seconds" in message.plain()


def test_a_failure_without_a_plan_or_a_log_group_says_where_to_look() -> None:
    status = SyncStatus.without_plan(
        "r", date="2025-07-21", created_at=STARTED, reason="catalogue unavailable", error="x"
    )
    text = end_message(status, DEPLOYMENT, duration_s=3).plain()
    assert "Error Type: Catalogue unavailable" in text
    assert "Error Details:\nx\n" in text
    assert "Bottles Downloaded: 0 (no plan was made)" in text
    assert "Check the run's log in Dagster" in text


TEXTS = st.text(max_size=5000)


@given(text=TEXTS, lines=st.lists(TEXTS, max_size=30), number=st.integers(0, 10**15))
def test_no_text_from_outside_breaks_slacks_rules(text: str, lines: list[str], number: int) -> None:
    links = Links(dagster_url="https://dagster.example", log_group=text)
    deployment = Deployment(environment=text, threshold_gb=20.0, cluster=text, store_url=text, links=links)
    status = sync(
        sync_id="s",
        date=text,
        route=text,
        trigger=text,
        planned=number,
        held=number,
        size=number,
        stored=number,
        notes=tuple(lines),
        reports=(report(bytes_downloaded=number),),
    )
    broken = PlatformRun(platform=text, run_id=text, state="failed", reason=text, error=text)
    failures = tuple(failure(line, text, line) for line in lines or [text])
    failed = msgspec.structs.replace(status, reports=(report(failed=failures),))
    progress = Progress(bottles_done=number, bytes_done=number, bytes_per_second=0.0, current=text)
    objects = [planned(line, text, text, line) for line in lines]
    ended: dict[str, Any] = {"objects": objects, "duration_s": float(number), "next_sync": text}
    messages = [
        start_message(status, deployment),
        large_download_message(status, deployment),
        progress_message(status, progress, now=STARTED + number),
        end_message(status, deployment, **ended),
        end_message(failed, deployment, **ended),
        end_message(msgspec.structs.replace(failed, runs=(broken,)), deployment, **ended),
        absence_message(deployment, schedule=text, scheduled_for=text, finding=text),
    ]
    for message in messages:
        assert problems_of(document(message)) == []


def noted(*notes: str) -> tuple[list[str], Message]:
    """The blocks that these notes add to a message, and the message."""
    without = start_message(sync(), DEPLOYMENT)
    message = start_message(sync(notes=notes), DEPLOYMENT)
    assert problems_of(document(message)) == []
    return [block["text"]["text"] for block in message.blocks if block not in without.blocks], message


def test_each_note_is_a_block_in_which_foreign_names_are_neither_link_nor_mention() -> None:
    assert noted()[0] == []
    (first, second), message = noted("<!channel> & <https://e.example|x>", "n" * 9000)
    assert first == "*Notes:*\n• &lt;!channel&gt; &amp; &lt;https://e.example|x&gt;"
    assert second.startswith("• nnn")
    assert "Notes:\n• <!channel> & <https://e.example|x>" in message.plain()


def test_no_note_pushes_another_one_out() -> None:
    texts, _ = noted(*("<&>" * 3000 for _ in range(7)), "the bottle that was lost")
    assert len(texts) == 8
    assert texts[-1] == "• the bottle that was lost"
    texts, _ = noted(*(f"note {number}" for number in range(30)))
    assert [text.rpartition("• ")[2] for text in texts] == [
        *(f"note {n}" for n in range(7)),
        "... and 23 others",
    ]


@given(st.text("&<>x", max_size=1200))
def test_a_note_is_cut_after_it_was_escaped_and_never_inside_an_entity(note: str) -> None:
    for text in noted(note)[0]:
        assert len(text) < 800
        shown = text.removeprefix("*Notes:*\n• ").removesuffix("…")
        plain = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert note.startswith(plain)
        assert plain == note or len(shown) > 690


def test_what_upstream_names_is_neither_link_nor_mention_nor_the_end_of_a_code_block() -> None:
    status = failed_sync("``` <https://evil.example|click> & <!here>", reason="<!channel>")
    message = end_message(status, DEPLOYMENT, duration_s=1)
    shown = json.dumps(document(message))
    assert "<!" not in shown
    assert "<https" not in shown
    assert shown.count("```") == 2


@pytest.mark.parametrize(
    ("share", "full"), [(-1, 0), (0, 0), (0.001, 1), (0.5, 14), (0.999, 27), (1, 28), (7, 28)]
)
def test_the_bar_is_full_only_at_the_end(share: float, full: int) -> None:
    assert bar(share) == "█" * full + "░" * (28 - full)


@pytest.mark.parametrize(
    ("seconds", "text", "rough"),
    [
        (0, "0 seconds", "0 seconds"),
        (1, "1 second", "1 second"),
        (89.4, "1 minute 29 seconds", "1 minute 29 seconds"),
        (514, "8 minutes 34 seconds", "9 minutes"),
        (3600, "1 hour", "1 hour"),
        (7325, "2 hours 2 minutes 5 seconds", "2 hours 2 minutes"),
    ],
)
def test_durations(seconds: float, text: str, rough: str) -> None:
    assert human_duration(seconds) == text
    assert rough_duration(seconds) == rough


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (99_949, "99.9 KB"),
        (99_950, "100 KB"),
        (999_499, "999 KB"),
        (999_500, "1.0 MB"),
        (512e6, "512 MB"),
        (15.3e9, "15.3 GB"),
        (2.5e12, "2.5 TB"),
        (2.5e15, "2500 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert human_bytes(size) == text
