"""Bottles at a host that is not allowed: one among good ones is a failed bottle, all of them end the sync."""

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.plan import Request
from brew_assets.domain.report import Report
from brew_assets.engine.refused_host import REFUSALS_IN_A_ROW
from brew_assets.errors import HostRefused
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.engine.test_sync import Upstream
from brew_assets_tests.fakes import Act, MemoryStore
from brew_assets_tests.worlds import bottle, fetch

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
    done = story.carry(*(fetch(item) for item in items))
    assert len(done.failed) == len(story.blobs.opened) == REFUSALS_IN_A_ROW
    assert done.left == 2 * REFUSALS_IN_A_ROW
    assert done.aborted.endswith(f"refuses to contact {ELSEWHERE}; allowed: https://ghcr.io; {SET}")


def test_a_refusal_now_and_then_ends_nothing() -> None:
    story = Carrying()
    good, bad = bottles(40, name="good"), bottles(40, name="bad")
    story.blobs.publish(*(f"good{number}".encode() for number in range(40)))
    for item in bad:
        story.blobs.always(item, refusal(item.filename))
    done = story.carry(*(fetch(item) for pair in zip(bad, good, strict=True) for item in pair))
    assert (done.stored, len(done.failed), done.aborted) == (40, 40, "")


@pytest.fixture
def upstream() -> Upstream:
    found = Upstream(MemoryStore())
    for number in range(3):
        found.publish(f"tool{number}")
    return found


def sync(upstream: Upstream) -> Report:
    mirror = upstream.mirror(platforms=PLATFORM)
    report, _ = mirror.carry_out(mirror.make_plan(Request(platforms=PLATFORM)).plan)
    return report


def refuse(upstream: Upstream, *names: str) -> None:
    request = Request(platforms=PLATFORM, formulae=names)
    made = upstream.mirror(platforms=PLATFORM).make_plan(request, record=False)
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
