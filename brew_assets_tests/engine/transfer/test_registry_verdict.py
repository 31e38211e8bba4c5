"""A registry that has nothing, or wants what nobody has, ends a run; one that lacks a bottle does not."""

import pytest

from brew_assets.engine.bottle_sizes import SizeLookUp
from brew_assets.engine.options import Options
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.transfer.verdicts import REFUSALS_IN_A_ROW
from brew_assets.errors import RegistryRefused, UpstreamRefused
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.fakes import Act, FakeIndexes, MemoryStore, fake_ports
from brew_assets_tests.worlds import bottle

PLATFORM = ARM[0]
SAID = "has none of the {} bottles that it was asked for (404): look where BOTTLE_REGISTRY_URL leads"


@pytest.fixture
def upstream() -> Upstream:
    made = Upstream(MemoryStore())
    for number in range(60):
        made.publish(f"formula{number:02}", tags=(PLATFORM,))
    return made


def test_nothing_more_is_asked_of_a_registry_that_lacks_twenty_bottles_in_a_row(upstream: Upstream) -> None:
    plan = upstream.plan(PLATFORM)
    upstream.blobs.forget_everything()
    report, _ = upstream.mirror(workers=2).sync(plan)
    assert f"{upstream.blobs.url} {SAID.format(REFUSALS_IN_A_ROW)}" in report.aborted
    assert len(upstream.blobs.opened) <= REFUSALS_IN_A_ROW + 2
    assert report.left + len(report.failed) == 60


def test_nor_of_one_that_refuses_twenty_bottles_in_a_row(upstream: Upstream) -> None:
    plan = upstream.plan(PLATFORM)
    for planned in plan.objects[:-1]:
        upstream.blobs.always(planned.bottle, Act(error=UpstreamRefused(f"{planned.bottle.formula}: 403")))
    report, _ = upstream.mirror(workers=1).sync(plan)
    assert (
        "refused all of the 20 bottles that it was asked for, the last with: formula19: 403" in report.aborted
    )
    assert (len(report.failed), report.left) == (20, 40)


def test_one_bottle_that_it_has_speaks_for_the_registry(upstream: Upstream) -> None:
    plan = upstream.plan(PLATFORM)
    kept = plan.objects[5].bottle
    content = upstream.blobs.content(kept)
    upstream.blobs.forget_everything()
    upstream.blobs.publish(content)
    report, _ = upstream.mirror(workers=1).sync(plan)
    assert (report.aborted, report.stored, len(report.failed)) == ("", 1, 59)


@pytest.mark.parametrize(("pending", "ended"), [(1, False), (2, False), (3, True)])
def test_of_a_mirror_that_holds_nothing_few_bottles_say_nothing_of_the_registry(
    pending: int, ended: bool
) -> None:
    upstream = Upstream(MemoryStore())
    for number in range(pending):
        upstream.publish(f"formula{number}", tags=(PLATFORM,))
    plan = upstream.plan(PLATFORM)
    upstream.blobs.forget_everything()
    report, _ = upstream.mirror().sync(plan)
    assert (SAID.format(pending) in report.aborted) is ended
    assert len(report.failed) == pending


@pytest.mark.parametrize("everything", [True, False])
def test_what_is_held_is_asked_for_before_the_registry_is_blamed(everything: bool) -> None:
    upstream = Upstream(MemoryStore())
    for number in range(4):
        upstream.publish(f"held{number}", tags=(PLATFORM,))
    upstream.mirror().sync(upstream.plan(PLATFORM))
    upstream.next_week()
    upstream.publish("new", tags=(PLATFORM,))
    plan = upstream.plan(PLATFORM)
    (new,) = (planned.bottle for planned in plan.objects)
    if everything:
        upstream.blobs.forget_everything()
    else:
        del upstream.blobs._contents[new.digest]
    report, _ = upstream.mirror().sync(plan)
    assert (SAID.format(4) in report.aborted) is everything
    assert [failure.name for failure in report.failed] == [new.filename]


def test_a_registry_that_refuses_everybody_ends_the_run_at_the_first_bottle(upstream: Upstream) -> None:
    plan = upstream.plan(PLATFORM)
    for planned in plan.objects:
        upstream.blobs.always(planned.bottle, Act(error=RegistryRefused("no such user")))
    report, _ = upstream.mirror(workers=1).sync(plan)
    assert (report.aborted, report.outcome) == ("no such user", "failed")
    assert (len(report.failed), report.left) == (1, 59)


def test_no_size_is_looked_up_at_a_registry_that_refuses_everybody() -> None:
    class Refusing(FakeIndexes):
        def fetch_index(self, image: str, reference: str) -> bytes | None:
            raise RegistryRefused("no such user")

    options = Options(platforms=(), workers=2, retry=RetryPolicy(attempts=1))
    look_up = SizeLookUp(fake_ports(indexes=Refusing()), options)
    with pytest.raises(RegistryRefused, match="no such user"):
        look_up.look_up([bottle(f"formula{number}") for number in range(9)])
