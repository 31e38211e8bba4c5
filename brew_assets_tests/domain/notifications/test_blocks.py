"""The messages: the six samples of the specification as whole documents, and what hostile text becomes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.notifications.blocks import (
    Link,
    Message,
    TopFormula,
    absence_message,
    bar,
    failure_message,
    large_download_message,
    progress_message,
    shown_failure,
    start_message,
    success_message,
    warning_message,
)
from brew_assets.domain.quantities import human_bytes, human_duration, rough_duration
from brew_assets.domain.report import Failure
from brew_assets_tests.slack_rules import problems_of

SAMPLES = Path(__file__).parent / "slack_samples"
MB, GB = 10**6, 10**9
ENVIRONMENT: dict[str, Any] = {"environment": "prod", "date": "2025-07-21"}


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def document(message: Message) -> Any:
    return json.loads(msgspec.json.encode(message))


def a_failure(reason: str, message: str = "") -> Failure:
    return Failure(name="x", digest="0" * 64, reason=reason, message=message)


def sample_messages() -> dict[str, Message]:
    """The samples' numbers through the builders."""
    failed = [
        shown_failure(a_failure("digest mismatch"), name="opencv", version="4.8.0", tag="arm64_sonoma"),
        shown_failure(a_failure("not found"), name="tensorflow", version="2.13.0", tag="monterey"),
        shown_failure(
            a_failure("timed out", "read timed out"), name="llvm", version="16.0.6", tag="arm64_ventura"
        ),
    ]
    console = "https://console.aws.amazon.com"
    return {
        "start": start_message(
            **ENVIRONMENT,
            bottles=1247,
            size=int(15.3 * GB),
            route="lambda",
            trigger="Scheduled",
            started_at="2025-07-21 03:00:15",
        ),
        "large_download": large_download_message(
            **ENVIRONMENT,
            size=int(47.8 * GB),
            threshold_gb=20.0,
            bottles=2156,
            cluster="homebrew-sync",
            expected_minutes=(45, 60),
        ),
        "progress": progress_message(
            bottles_done=456,
            bottles_total=2156,
            bytes_done=int(8.3 * GB),
            bytes_total=int(47.8 * GB),
            elapsed_s=12 * 60,
            eta_s=35 * 60,
            bytes_per_second=11.2 * MB,
            current="node@20.5.1",
        ),
        "success": success_message(
            **ENVIRONMENT,
            new=143,
            existing=2013,
            downloaded=int(3.2 * GB),
            duration_s=514,
            location="s3://homebrew-bottles-prod/2025-07-21/",
            top=[
                TopFormula(
                    name="node", version="20.5.1", platforms=("arm64_sonoma", "arm64_ventura", "monterey")
                ),
                TopFormula(name="python@3.11", version="3.11.4", platforms=("arm64_sonoma", "arm64_ventura")),
                TopFormula(name="curl", version="8.2.1", platforms=("arm64_sonoma",)),
                TopFormula(name="wget", version="1.21.4", platforms=("monterey",)),
                TopFormula(name="git", version="2.41.0", platforms=("arm64_ventura",)),
            ],
            next_sync="2025-07-28 03:00",
        ),
        "failure": failure_message(
            **ENVIRONMENT,
            error_type="Network Timeout",
            duration_s=14 * 60 + 23,
            done=89,
            planned=1247,
            size=int(1.8 * GB),
            details=(
                "Timeout downloading curl-8.2.1.arm64_sonoma.bottle.tar.gz",
                "Connection timeout after 300 seconds",
                "Retried 3 times, all attempts failed",
            ),
            log_group="/aws/lambda/homebrew-sync-orchestrator",
            links=(
                Link(
                    title="View Logs",
                    url=f"{console}/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
                    "$252Faws$252Flambda$252Fhomebrew-sync-orchestrator",
                ),
                Link(
                    title="Retry Sync",
                    url=f"{console}/lambda/home?region=us-east-1#/functions/homebrew-sync-orchestrator",
                ),
            ),
        ),
        "warning": warning_message(
            **ENVIRONMENT,
            done=1198,
            planned=1247,
            failed=[*failed, *(f"formula-{number}" for number in range(46))],
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


def test_a_sync_without_a_next_one_says_so() -> None:
    message = success_message(
        **ENVIRONMENT,
        new=0,
        existing=5,
        downloaded=0,
        duration_s=0.4,
        location="mirror/2025-07-21/",
        top=(),
        next_sync="",
    )
    assert "No next sync is scheduled" in message.plain()
    assert "Top Downloaded" not in message.plain()
    assert "Duration: 0 seconds" in message.plain()


def test_a_failure_without_a_plan_or_a_log_group_says_where_to_look() -> None:
    text = failure_message(
        **ENVIRONMENT,
        error_type="Catalogue unavailable",
        duration_s=3,
        done=0,
        planned=None,
        size=0,
        details=["x"],
        log_group="",
    ).plain()
    assert "Bottles Downloaded: 0 (no plan was made)" in text
    assert "Check the run's log in Dagster" in text


TEXTS = st.text(max_size=5000)


@given(text=TEXTS, lines=st.lists(TEXTS, max_size=30), number=st.integers(0, 10**15))
def test_no_text_from_outside_breaks_slacks_rules(text: str, lines: list[str], number: int) -> None:
    links = (Link(title="Run", url="https://dagster.example/runs/1"), Link(title="No", url=""))
    top = [TopFormula(name=line, version=text, platforms=(text, line)) for line in lines]
    messages = [
        start_message(
            environment=text,
            date=text,
            bottles=number,
            size=number,
            route=text,
            trigger=text,
            started_at=text,
            notes=lines,
            links=links,
        ),
        progress_message(
            bottles_done=number,
            bottles_total=number,
            bytes_done=number,
            bytes_total=0,
            elapsed_s=float(number),
            eta_s=None,
            bytes_per_second=0.0,
            current=text,
        ),
        success_message(
            environment=text,
            date=text,
            new=number,
            existing=number,
            downloaded=number,
            duration_s=float(number),
            location=text,
            top=top,
            next_sync=text,
            notes=[text],
        ),
        failure_message(
            environment=text,
            date=text,
            error_type=text,
            duration_s=1,
            done=number,
            planned=number,
            size=number,
            details=lines,
            log_group=text,
            notes=lines,
            links=links,
        ),
        warning_message(
            environment=text,
            date=text,
            done=0,
            planned=number,
            failed=lines or [text],
            duration_s=0,
            notes=lines,
        ),
        absence_message(environment=text, scheduled_for=text, finding=text, links=links),
    ]
    for message in messages:
        assert problems_of(document(message)) == []


def noted(*notes: str) -> tuple[list[str], Message]:
    """The blocks that these notes add to a message, and the message."""
    asked: dict[str, Any] = {"bottles": 1, "size": 1, "route": "local", "trigger": "Manual", "started_at": ""}
    without = start_message(**ENVIRONMENT, **asked)
    message = start_message(**ENVIRONMENT, **asked, notes=notes)
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
    message = failure_message(
        **ENVIRONMENT,
        error_type="<!channel>",
        duration_s=1,
        done=0,
        planned=1,
        size=0,
        details=["``` <https://evil.example|click> & <!here>"],
        log_group="",
    )
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
        (999_949, "999.9 KB"),
        (999_950, "1.0 MB"),
        (15.3e9, "15.3 GB"),
        (2.5e12, "2.5 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert human_bytes(size) == text
