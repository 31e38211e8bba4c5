"""Bottles at a host that is not allowed: one among good ones is a failed bottle, all of them end the sync."""

import logging

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.downloads import CopyJob
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Failure, Report, is_said_by
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.options import Options
from brew_assets.engine.planner import make_plan
from brew_assets.engine.read_only_store import read_only
from brew_assets.engine.transfer.state import TransferState
from brew_assets.engine.transfer.verdicts import REFUSALS_IN_A_ROW
from brew_assets.errors import HostRefused
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.engine.test_sync import Upstream
from brew_assets_tests.fakes import Act, MemoryStore, fake_ports
from brew_assets_tests.worlds import DATE, SYNC_ID, bottle, fetch

PLATFORM = ("arm64_sonoma",)
ELSEWHERE = "http://127.0.0.1:9"
SET = "set BOTTLE_CDN_HOSTS=cdn.example,127.0.0.1:9"


def refusal(subject: str) -> Act:
    return Act(error=HostRefused(subject=subject, address=ELSEWHERE, allowed="https://ghcr.io", remedy=SET))


def bottles(count: int, *, name: str = "tool") -> list[Bottle]:
    return [bottle(f"{name}{number}", content=f"{name}{number}") for number in range(count)]


def test_so_many_refusals_in_a_row_end_a_transfer_and_nothing_more_is_asked_for() -> None:
    story = Carrying()
    items = bottles(3 * REFUSALS_IN_A_ROW)
    for item in items:
        story.blobs.always(item, refusal(item.filename))
    done = story.copy(*(fetch(item) for item in items))
    assert len(done.failed) == len(story.blobs.opened) == REFUSALS_IN_A_ROW
    assert done.left == 2 * REFUSALS_IN_A_ROW
    assert done.aborted.endswith(f"refuses to contact {ELSEWHERE}; allowed: https://ghcr.io; {SET}")


def test_several_refused_hosts_end_a_transfer_as_one_does_and_the_setting_names_them_all() -> None:
    story = Carrying()
    items = bottles(3 * REFUSALS_IN_A_ROW)
    for number, item in enumerate(items):
        host = f"cdn{number % 3}.example"
        remedy = f"set BOTTLE_CDN_HOSTS=own.example,{host}"
        refused = HostRefused(
            subject=item.filename, address=f"https://{host}", allowed="https://ghcr.io", remedy=remedy
        )
        story.blobs.always(item, Act(error=refused))
    done = story.copy(*(fetch(item) for item in items))
    assert (len(done.failed), done.left) == (REFUSALS_IN_A_ROW, 2 * REFUSALS_IN_A_ROW)
    assert done.aborted.endswith(
        "refuses to contact https://cdn0.example, https://cdn1.example, https://cdn2.example; allowed: "
        "https://ghcr.io; set BOTTLE_CDN_HOSTS=own.example,cdn0.example,cdn1.example,cdn2.example"
    )
    assert all(is_said_by(failure, done) for failure in done.failed)


def test_what_ended_a_run_is_known_by_its_reason_and_not_by_its_words() -> None:
    words = "no bottle can be had, the registry keeps them at a host that is not allowed: elsewhere"
    one = Failure(name="x", digest="0" * 64, reason="host refused", message="x: refuses to contact it")
    assert is_said_by(one, TransferResult(aborted=words, aborted_reason="host refused"))
    assert not is_said_by(one, TransferResult(aborted=words, aborted_reason="store refused"))
    assert not is_said_by(one, TransferResult(aborted=words))
    # Of one cause alone the sentence itself stands there.
    assert is_said_by(one, TransferResult(aborted="no bottle can be had: refuses to contact it"))


class _Another(logging.Handler):
    """While one thread's line is written, another one finds the same."""

    def __init__(self, run: TransferState) -> None:
        super().__init__()
        self.said: list[str] = []
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if len(self.said) == 1:
            self._run.abort("refused")


def test_of_threads_that_find_the_same_one_says_so() -> None:
    story = Carrying()
    job = CopyJob(sync_id=SYNC_ID, sync_date=DATE, fetches=[])
    run = TransferState(fake_ports(store=story.store), Options(platforms=()), job, slots=2)
    handler, log = _Another(run), logging.getLogger("brew_assets.engine.transfer.state")
    log.addHandler(handler)
    try:
        run.abort("refused")
    finally:
        log.removeHandler(handler)
    assert (handler.said, run.aborted) == (["no further bottle starts"], "refused")


def test_a_refusal_now_and_then_ends_nothing() -> None:
    story = Carrying()
    good, bad = bottles(40, name="good"), bottles(40, name="bad")
    story.blobs.publish(*(f"good{number}".encode() for number in range(40)))
    for item in bad:
        story.blobs.always(item, refusal(item.filename))
    done = story.copy(*(fetch(item) for pair in zip(bad, good, strict=True) for item in pair))
    assert (done.stored, len(done.failed), done.aborted) == (40, 40, "")


@pytest.fixture
def upstream() -> Upstream:
    found = Upstream(MemoryStore())
    for number in range(3):
        found.publish(f"tool{number}")
    return found


def sync(upstream: Upstream) -> Report:
    mirror = upstream.mirror(platforms=PLATFORM)
    report, _ = mirror.sync(make_plan(mirror, Request(platforms=PLATFORM)).plan)
    return report


def refuse(upstream: Upstream, *names: str) -> None:
    request = Request(platforms=PLATFORM, formulae=names)
    made = make_plan(read_only(upstream.mirror(platforms=PLATFORM)), request)
    for planned in made.plan.objects:
        upstream.blobs.always(planned.bottle, refusal(planned.bottle.filename))


def test_a_sync_of_a_few_bottles_that_all_lie_there_ends_with_the_setting(upstream: Upstream) -> None:
    refuse(upstream, "tool0", "tool1", "tool2")
    report = sync(upstream)
    assert (len(report.failed), report.stored) == (3, 0)
    assert report.aborted.endswith(SET)


def test_one_of_them_is_one_failed_bottle_also_when_it_alone_is_pending(upstream: Upstream) -> None:
    refuse(upstream, "tool1")
    for stored in (2, 0):
        report = sync(upstream)
        assert ([failure.reason for failure in report.failed], report.stored) == (["host refused"], stored)
        assert report.aborted == ""
