"""How a sync ended, told from its runs and reports."""

from typing import Any

import msgspec
import pytest

from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, shown_entry
from brew_assets.domain.links import Links
from brew_assets.domain.notifications.messages import (
    Progress,
    end_message,
    error_details,
    error_type,
    expected_minutes,
    failed_lines,
    is_large,
    large_download_message,
    progress_message,
    start_message,
    top_formulae,
)
from brew_assets.domain.notifications.security import security_text
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Failure, Report
from brew_assets.domain.sync_status import Deployment, PlatformRun, SyncStatus

SONOMA, TAHOE = "arm64_sonoma", "arm64_tahoe"
DEPLOYMENT = Deployment(
    environment="prod",
    threshold_gb=20,
    cluster="homebrew-sync",
    store_url="s3://bottles",
    links=Links(dagster_url="https://dagster.example", log_group="/ecs/homebrew-sync"),
)


def failure(name: str, reason: str = "not found") -> Failure:
    return Failure(
        name=f"{name}-1.0.{SONOMA}.bottle.tar.gz", digest="0" * 64, reason=reason, message=f"no {name}"
    )


def report(platform: str, **changes: Any) -> Report:
    given: dict[str, Any] = {
        "sync_id": "s",
        "sync_date": "2025-07-21",
        "route": "ecs",
        "started_at": "2025-07-21T03:00:00Z",
        "ended_at": "2025-07-21T03:10:00Z",
        "duration_s": 600.0,
        "planned": 5,
    }
    return Report(platforms=(platform,), **(given | changes))


def run(platform: str, state: Any, **known: str) -> PlatformRun:
    return PlatformRun(platform=platform, run_id=f"run-{platform}", state=state, **known)


def status(*runs: PlatformRun, reports: tuple[Report, ...] = (), planned: int = 10) -> SyncStatus:
    return SyncStatus(
        sync_id="s",
        date="2025-07-21",
        created_at=0.0,
        route="ecs",
        trigger="Scheduled",
        planned=planned,
        held=3,
        size=1000,
        run_id="planning",
        platforms=(SONOMA, TAHOE),
        runs=runs,
        reports=reports,
    )


def test_a_sync_has_ended_when_the_run_of_every_platform_has() -> None:
    assert not status().ended
    assert not status(run(SONOMA, "succeeded")).ended
    assert not status(run(SONOMA, "succeeded"), run(TAHOE, "waiting")).ended
    assert status(run(SONOMA, "succeeded"), run(TAHOE, "failed")).ended


def test_all_stored_is_a_success_and_everything_planned_is_there() -> None:
    known = status(
        run(SONOMA, "succeeded"),
        run(TAHOE, "succeeded"),
        reports=(report(SONOMA, stored=4, bytes_downloaded=70), report(TAHOE, kept=5, bytes_downloaded=7)),
    )
    assert (known.ending, known.done, known.downloaded) == ("success", 10, 77)


def fields(known: SyncStatus, stored: frozenset[str] | None = None) -> list[str]:
    objects = [bottle("node", "20.5.1"), bottle("jq", "1.8")]
    message = end_message(known, DEPLOYMENT, objects=objects, duration_s=1, next_sync="", stored=stored)
    return message.plain().splitlines()


def test_new_is_what_the_sync_stored_itself_and_the_rest_of_what_was_wanted_existed() -> None:
    ended = status(run(SONOMA, "succeeded"), run(TAHOE, "succeeded"), reports=(report(SONOMA, stored=10),))
    alone = msgspec.structs.replace(ended, stored=10)
    assert (alone.new, alone.existing, alone.done) == (10, 3, 10)
    overlapped = msgspec.structs.replace(ended, stored=1)
    assert (overlapped.new, overlapped.existing, overlapped.done) == (1, 12, 10)
    lines = fields(overlapped, frozenset({"jq-1.8-arm64_sonoma"}))
    assert "New Bottles: 1" in lines
    assert "Skipped (Existing): 12" in lines
    # Only what was stored is listed as downloaded.
    assert [line for line in lines if line.startswith("•")] == ["• jq@1.8 (arm64_sonoma)"]


def test_a_store_that_says_nothing_leaves_the_word_to_the_reports_and_without_them_it_is_unknown() -> None:
    runs = run(SONOMA, "succeeded"), run(TAHOE, "succeeded")
    known = status(*runs, reports=(report(SONOMA, stored=4, found=1), report(TAHOE, stored=5, found=5)))
    assert (known.new, known.existing) == (3, 10)
    again = status(*runs, reports=(report(SONOMA, stored=9), report(SONOMA, stored=9)))
    assert again.new == 10
    silent = status(*runs)
    assert (silent.new, silent.existing, silent.done) == (None, None, 10)
    assert {"New Bottles: unknown", "Skipped (Existing): unknown"} <= set(fields(silent))
    nothing_planned = status(planned=0)
    assert (nothing_planned.new, nothing_planned.existing) == (0, 3)


def test_some_failed_bottles_are_a_warning_each_counted_once() -> None:
    reports = (
        report(SONOMA, stored=4, failed=(failure("a"), failure("b"))),
        report(TAHOE, failed=(failure("a"),)),
    )
    known = status(run(SONOMA, "failed"), run(TAHOE, "failed"), reports=reports)
    assert (known.ending, known.done, len(known.failures)) == ("warning", 8, 2)


def test_indexes_that_do_not_fit_are_a_warning_in_words_though_all_is_stored() -> None:
    unfit = tuple(
        Failure(name=f"f{number}:1.0", digest="", reason="unfit index", message=f"f{number}:1.0: no tab")
        for number in range(5)
    )
    reports = (report(SONOMA, stored=5, indexes_failed=unfit[:4]), report(TAHOE, indexes_failed=unfit[2:]))
    known = status(run(SONOMA, "failed"), run(TAHOE, "failed"), reports=reports)
    assert (known.ending, known.done, known.broken) == ("warning", 10, ())
    assert len(known.index_failures) == 5
    assert known.failed_run_id == f"run-{SONOMA}"
    text = str(end_message(known, DEPLOYMENT, duration_s=600.0))
    assert "Bottles Without an Index That Fits" in text
    assert "f0:1.0 - Unfit index" in text
    assert "... and 2 others" in text
    assert "Failed Downloads" not in text
    stopped = status(
        run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=(report(SONOMA, stored=5, indexes_left=3),)
    )
    assert stopped.ending == "failure"


def test_nothing_stored_is_a_failure() -> None:
    reports = (report(SONOMA, failed=(failure("a"),)), report(TAHOE, failed=(failure("b"),)))
    known = status(run(SONOMA, "failed"), run(TAHOE, "failed"), reports=reports, planned=2)
    assert (known.ending, known.done) == ("failure", 0)
    assert error_type(known) == "File not found"


@pytest.mark.parametrize(
    ("runs", "reports", "kind", "detail"),
    [
        (
            (run(SONOMA, "succeeded"), run(TAHOE, "failed", error="the task was lost")),
            (report(SONOMA, stored=4),),
            "Run failed",
            "arm64_tahoe: the task was lost",
        ),
        (
            (run(SONOMA, "succeeded"), run(TAHOE, "failed", reason="store refused", error="no bucket")),
            (report(SONOMA, stored=4), report(TAHOE, aborted="no space", left=3)),
            "Store refused",
            "arm64_tahoe: no space (3 bottles left)",
        ),
        (
            (run(SONOMA, "succeeded"), run(TAHOE, "cancelled")),
            (report(SONOMA, stored=4),),
            "Cancelled",
            "arm64_tahoe: cancelled",
        ),
    ],
    ids=["lost", "given up", "cancelled"],
)
def test_a_run_that_does_not_tell_of_every_bottle_makes_it_a_failure(
    runs: tuple[PlatformRun, ...], reports: tuple[Report, ...], kind: str, detail: str
) -> None:
    known = status(*runs, reports=reports)
    assert (known.ending, known.done) == ("failure", 4)
    assert error_type(known) == kind
    assert detail in error_details(known)


def test_what_is_found_in_the_store_is_done_once() -> None:
    runs = run(SONOMA, "succeeded"), run(TAHOE, "cancelled")
    known = status(*runs, reports=(report(SONOMA, stored=4, found=3, identified=5),))
    # Four that it was to store, three of them there already, and two that only lacked their record.
    assert (known.ending, known.done) == ("failure", 6)


def test_only_the_last_try_of_a_platform_says_what_failed() -> None:
    reports = (
        report(SONOMA, failed=(failure("a"), failure("b")), stored=3, bytes_downloaded=30),
        report(SONOMA, kept=3, stored=1, failed=(failure("a"),)),
        report(TAHOE),
    )
    known = status(run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=reports)
    assert [f.name for f in known.failures] == [failure("a").name]
    assert (known.done, known.downloaded) == (9, 30)


def bottle(formula: str, version: str = "1.0", tag: str = SONOMA, size: int = 1) -> PlannedBottle:
    made = Bottle(formula=formula, pkg_version=PkgVersion(version), tag=tag, digest=Digest("0" * 64), url="")
    return PlannedBottle(bottle=made, platforms=(tag,), size=size)


def test_the_largest_formulae_are_named_with_their_platforms() -> None:
    objects = [bottle(f"small-{number}") for number in range(9)]
    objects += [bottle("node", "20.5.1", SONOMA, 50), bottle("node", "20.5.1", TAHOE, 60)]
    top = top_formulae(objects)
    assert len(top) == 5
    assert top[0] == "node@20.5.1 (arm64_sonoma, arm64_tahoe)"


def test_failed_bottles_are_named_as_the_plan_splits_them() -> None:
    failures = [failure("gtk-doc-tools"), failure("unknown", "digest mismatch")]
    assert failed_lines(failures, [bottle("gtk-doc-tools")]) == [
        "gtk-doc-tools@1.0 (arm64_sonoma) - File not found",
        "unknown-1.0 (arm64_sonoma) - SHA mismatch",
    ]


def test_every_ending_has_its_message_with_links() -> None:
    succeeded = status(run(SONOMA, "succeeded"), run(TAHOE, "succeeded"))
    warned = status(
        run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=(report(SONOMA, failed=(failure("a"),)),)
    )
    failed = status(run(SONOMA, "failed", error="lost"), run(TAHOE, "succeeded"))
    texts = [
        end_message(known, DEPLOYMENT, objects=(), duration_s=514, next_sync="2025-07-28 03:00").plain()
        for known in (succeeded, warned, failed)
    ]
    assert [text.splitlines()[0] for text in texts] == [
        "✅ Homebrew Bottles Sync Complete",
        "⚠️ Homebrew Sync Completed with Warnings",
        "❌ Homebrew Bottles Sync Failed",
    ]
    for text in texts[:2]:
        assert "https://dagster.example/runs?q%5B0%5D=tag%3Amirror%2Fsync_id%3Ds" in text
    assert "https://dagster.example/runs/run-arm64_sonoma" in texts[2]
    assert "log-group/$252Fecs$252Fhomebrew-sync" in texts[2]
    assert "S3 Location: s3://bottles/2025-07-21/" in texts[0]


def test_what_the_plan_leaves_out_is_said_at_the_start_and_at_every_end_and_else_nothing() -> None:
    succeeded = status(run(SONOMA, "succeeded"), run(TAHOE, "succeeded"))
    warned = status(
        run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=(report(SONOMA, failed=(failure("a"),)),)
    )
    failed = status(run(SONOMA, "failed", error="lost"), run(TAHOE, "succeeded"))
    for known in (succeeded, warned, failed):
        noted = msgspec.structs.replace(known, notes=("Rejected: 1 of 9 formulae; first: x: why",))
        end: dict[str, Any] = {"objects": (), "duration_s": 1, "next_sync": ""}
        for message in (start_message(noted, DEPLOYMENT), end_message(noted, DEPLOYMENT, **end)):
            assert "Notes:\n• Rejected: 1 of 9 formulae; first: x: why" in message.plain()
        for message in (start_message(known, DEPLOYMENT), end_message(known, DEPLOYMENT, **end)):
            assert "Notes" not in message.plain()


def test_what_left_the_manifest_is_said_before_the_notes_of_the_plan() -> None:
    known = msgspec.structs.replace(
        status(run(SONOMA, "succeeded"), reports=(report(SONOMA, forgotten=("gone",)),)), notes=("a", "b")
    )
    assert known.end_notes[0].startswith("Taken off the manifest")
    assert known.end_notes[1:] == ("a", "b")


def test_a_run_that_was_stopped_names_the_first_bottles_that_it_left() -> None:
    stopped = report(SONOMA, left=7, left_bottles=tuple(f"b{number}" for number in range(7)))
    known = status(run(SONOMA, "cancelled"), run(TAHOE, "succeeded"), reports=(stopped,))
    assert error_details(known) == [
        "arm64_sonoma: cancelled (7 bottles left: b0; b1; b2; b3; b4; and 2 others)"
    ]


def test_what_is_not_what_it_must_be_is_a_security_event() -> None:
    quiet = status(
        run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=(report(SONOMA, failed=(failure("a"),)),)
    )
    assert security_text(quiet, DEPLOYMENT) == ""
    findings = (failure("a", "digest mismatch"), failure("b", "host refused"), failure("c"))
    loud = status(run(SONOMA, "failed"), run(TAHOE, "succeeded"), reports=(report(SONOMA, failed=findings),))
    text = security_text(loud, DEPLOYMENT)
    assert "2 findings in sync s of prod" in text
    assert "no a" in text
    assert "no b" in text
    assert "no c" not in text
    assert "https://dagster.example/runs/run-arm64_sonoma" in text


def test_a_security_event_leads_to_the_run_that_found_it() -> None:
    reports = (
        report(SONOMA, failed=(failure("a"),)),
        report(TAHOE, failed=(failure("b", "digest mismatch"),)),
    )
    known = status(run(SONOMA, "failed"), run(TAHOE, "failed"), reports=reports)
    assert "https://dagster.example/runs/run-arm64_tahoe" in security_text(known, DEPLOYMENT)
    lost = status(
        run(SONOMA, "succeeded"), run(TAHOE, "failed", reason="invalid manifest", error="a byte was changed")
    )
    assert "https://dagster.example/runs/run-arm64_tahoe" in security_text(lost, DEPLOYMENT)


@pytest.mark.parametrize(
    ("runs", "reports", "shown"),
    [
        ((run(SONOMA, "failed"), run(TAHOE, "failed")), (report(SONOMA, failed=(failure("a"),)),), TAHOE),
        (
            (run(SONOMA, "succeeded"), run(TAHOE, "failed")),
            (report(SONOMA), report(TAHOE, failed=(failure("a"),))),
            TAHOE,
        ),
    ],
    ids=["a run that broke before one with failures", "a run with failures before the planning"],
)
def test_a_failure_leads_to_the_run_that_shows_it(
    runs: tuple[PlatformRun, ...], reports: tuple[Report, ...], shown: str
) -> None:
    known = status(*runs, reports=reports, planned=1)
    assert known.ending == "failure"
    text = end_message(known, DEPLOYMENT, objects=(), duration_s=1, next_sync="").plain()
    assert f"https://dagster.example/runs/run-{shown}" in text
    assert "runs/planning" not in text


def test_a_failure_without_any_run_leads_to_the_planning() -> None:
    unserved = PlatformRun(platform="x86_64_linux", run_id="", state="failed", error="nobody serves it")
    assert status(unserved).failed_run_id == "planning"


@pytest.mark.parametrize(
    ("changes", "large"),
    [
        ({"size": int(20e9)}, True),
        ({"size": int(20e9) - 1}, False),
        ({"size": int(20e9), "route": "local"}, False),
        ({"size": int(20e9), "platforms": ()}, False),
        ({"size": 0, "unknown_sizes": 3}, True),
        ({"size": 607_000, "unknown_sizes": 3}, False),
        ({"size": 0}, False),
    ],
)
def test_a_large_download_is_one_that_lambda_would_not_get(changes: dict[str, Any], large: bool) -> None:
    assert is_large(msgspec.structs.replace(status(), **changes), DEPLOYMENT) is large


def test_a_download_of_unknown_size_is_told_without_numbers() -> None:
    known = msgspec.structs.replace(status(), size=0, unknown_sizes=3)
    text = large_download_message(known, DEPLOYMENT).plain()
    assert "Total Size: unknown" in text
    assert "Expected duration" not in text


def test_progress_never_says_more_than_all() -> None:
    progress = Progress(bottles_done=99, bytes_done=5000, bytes_per_second=100.0, current="jq@1.8.1")
    text = progress_message(status(run(SONOMA, "going")), progress, now=50.0).plain()
    assert "Downloaded: 10/10 bottles (100%)" in text
    assert "Size Progress: 5.0 KB / 5.0 KB" in text
    assert "ETA: 0 seconds" in text


def test_progress_without_a_rate_has_no_eta() -> None:
    progress = Progress(bottles_done=0, bytes_done=0, bytes_per_second=0.0, current="")
    text = progress_message(status(), progress, now=600.0).plain()
    assert "ETA: unknown" in text
    assert "Current: looking at the store" in text


def test_the_expected_duration_of_the_sample() -> None:
    assert expected_minutes(int(47.8e9)) == (45, 60)
    assert expected_minutes(0) == (1, 5)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("node-20.5.1-arm64_sonoma", "node@20.5.1"),
        ("gtk-doc-1.34.0_1-all.2", "gtk-doc@1.34.0_1"),
        ("python@3.11-3.11.4-arm64_sonoma", "python@3.11"),
        ("x", "x"),
    ],
)
def test_entries_as_people_read_them(key: str, shown: str) -> None:
    assert shown_entry(key) == shown
