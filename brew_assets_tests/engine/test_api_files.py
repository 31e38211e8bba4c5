"""The signed API as it comes and is kept: one generation, verified, whatever single hosts show."""

import hashlib
from collections.abc import Iterator

import msgspec
import pytest

from brew_assets.adapters.formulae_api import SignedFiles
from brew_assets.domain.publication import API_PREFIX
from brew_assets.engine.api_files import LATEST_KEY, Generation, fetch_generation, kept_generation
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.read_only_store import ReadOnlyStore
from brew_assets.errors import (
    CatalogueRefused,
    CatalogueUnavailable,
    GenerationsDiffer,
    ObjectRefused,
    PlanningStopped,
    PublicationInvalid,
    StoreUnavailable,
)
from brew_assets.simulator import Fault, SimulatedBottle, Simulator, World
from brew_assets.simulator.packages import packages_path
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore, fake_ports

TAGS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma")
SONOMA, TAHOE = packages_path("arm64_sonoma"), packages_path("arm64_tahoe")


class Story:
    """An upstream, and a mirror that asks it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.stop = FakeStop()
        self.wait_s = 120.0

    def ports(self) -> Ports:
        api = SignedFiles(
            self.simulator.api_url,
            key_files=(self.simulator.api_public_key,),
            timeout_s=20,
            clock=self.clock,
            stop=self.stop,
        )
        return fake_ports(api=api, store=self.store, clock=self.clock, stop=self.stop)

    def fetch(self, *tags: str) -> Generation:
        options = Options(platforms=TAGS, api_consistency_wait_s=self.wait_s)
        return fetch_generation(self.ports(), options, tags or TAGS)

    def files(self) -> set[str]:
        return {key for key in self.store.keys(API_PREFIX) if key != LATEST_KEY}

    def asked(self) -> list[str]:
        """Tags in the order in which their files were asked for; the list begins anew."""
        seen = [r.path.split(".")[1] for r in self.simulator.requests if "packages" in r.path]
        new, self._seen = seen[getattr(self, "_seen", 0) :], len(seen)
        return new


@pytest.fixture
def story() -> Iterator[Story]:
    world = World(seed=5)
    for version in ("1.25.0", "1.25.1", "1.25.2"):
        world.publish("wget", version, tags=TAGS, size_bytes=900)
    world.publish("ca", "2026-08-13", tags=("all",), size_bytes=900)
    with Simulator(world) as simulator:
        yield Story(simulator)


def test_the_files_of_all_tags_come_verified_and_are_kept_byte_for_byte(story: Story) -> None:
    generation = story.fetch()
    edition = story.world.edition()
    assert (generation.tap_git_head, generation.generated_at) == (edition.tap_git_head, edition.generated_at)
    assert [file.published.tag for file in generation.files] == list(TAGS)
    assert story.files() == {file.published.key for file in generation.files}
    for file in generation.files:
        document = story.store.read(file.published.key)
        assert document is not None
        assert hashlib.sha256(document.data).hexdigest() == file.published.sha256
        assert len(document.data) == file.published.size
    names = [{item.bottle().filename for item in packages.bottles} for packages in generation.packages]
    assert "wget-1.25.2.arm64_tahoe.bottle.tar.gz" in names[0]
    assert all("ca-2026-08-13.all.bottle.tar.gz" in found for found in names)


def test_what_is_kept_is_not_sent_again(story: Story) -> None:
    first = story.fetch()
    before = [call for call in story.store.calls if call[0] == "write"]
    assert story.fetch() == first
    assert [call for call in story.store.calls if call[0] == "write"] == before
    conditions = [r.headers.get("if-none-match") for r in story.simulator.requests]
    assert conditions[:3] == [None] * 3
    assert all(conditions[3:])


def test_a_new_generation_is_kept_beside_the_one_before(story: Story) -> None:
    first = story.fetch()
    story.world.publish("wget", "1.25.3", tags=TAGS, size_bytes=900)
    second = story.fetch()
    assert second.generated_at > first.generated_at
    assert story.files() == {file.published.key for file in (*first.files, *second.files)}


def test_a_kept_file_that_is_spoilt_comes_whole_and_stands_right_again(story: Story) -> None:
    first = story.fetch()
    key = first.files[0].published.key
    good = story.store.read(key)
    assert good is not None
    story.store.write(key, good.data[:-9])
    assert story.fetch() == first
    healed = story.store.read(key)
    assert healed is not None
    assert healed.data == good.data


def test_a_kept_file_is_never_written_again(story: Story) -> None:
    first = story.fetch()
    versions = {file.published.key: story.store.version(file.published.key) for file in first.files}
    story.store.delete([LATEST_KEY])
    assert story.fetch() == first
    assert versions == {key: story.store.version(key) for key in versions}


@pytest.mark.parametrize("note", [b"", b"{}", b'{"tags":{"arm64_sonoma":{}}}', b"\xff", b"[" * 9_999])
def test_a_note_that_cannot_be_read_costs_a_fetch(story: Story, note: bytes) -> None:
    first = story.fetch()
    story.store.write(LATEST_KEY, note)
    assert story.fetch() == first


def test_a_note_that_names_another_object_is_not_believed(story: Story) -> None:
    first = story.fetch()
    note = story.store.read(LATEST_KEY)
    assert note is not None
    sha256 = first.files[0].published.sha256
    story.store.write(LATEST_KEY, note.data.replace(sha256.encode(), b"../../bottles_hash"))
    assert story.fetch() == first
    assert not [key for _, key in story.store.calls if ".." in key]


def test_hosts_that_disagree_for_less_than_the_wait_are_asked_until_they_agree(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.last_edition(times=4))
    generation = story.fetch()
    assert generation.tap_git_head == story.world.edition().tap_git_head
    assert story.asked() == [*TAGS, *["arm64_sonoma"] * 4]
    assert len(story.clock.waits) == 4
    assert sum(story.clock.waits) <= story.wait_s


def test_hosts_that_disagree_for_longer_are_told_from_one_generation(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.last_edition(times=None))
    with pytest.raises(GenerationsDiffer) as found:
        story.fetch()
    assert sum(story.clock.waits) == pytest.approx(story.wait_s)
    now, before = story.world.edition(), story.world.edition(1)
    for part in (
        f"arm64_tahoe, arm64_sequoia of commit {now.tap_git_head[:12]}",
        f"arm64_sonoma of commit {before.tap_git_head[:12]}",
        "for 120 s (API_CONSISTENCY_WAIT_SECONDS)",
    ):
        assert part in str(found.value)


def test_the_wait_is_the_settings_and_none_is_one(story: Story) -> None:
    story.wait_s = 0.0
    story.simulator.fault(SONOMA, Fault.last_edition(times=None))
    with pytest.raises(GenerationsDiffer, match="for 0 s"):
        story.fetch()
    assert story.clock.waits == []
    assert story.asked() == list(TAGS)


def test_waits_between_questions_grow(story: Story) -> None:
    story.wait_s = 3600.0
    story.simulator.fault(SONOMA, Fault.last_edition(times=None))
    with pytest.raises(GenerationsDiffer):
        story.fetch()
    assert max(story.clock.waits) <= 30
    assert len(story.clock.waits) < 600
    assert max(story.clock.waits[5:]) > 8


def test_hosts_that_are_ahead_pull_the_others_after_them(story: Story) -> None:
    """The first file asked for is of the newest generation, and the others are behind."""
    story.simulator.fault(TAHOE, Fault.last_edition())
    story.simulator.fault(SONOMA, Fault.last_edition())
    assert story.fetch().tap_git_head == story.world.edition().tap_git_head
    assert story.asked() == [*TAGS, "arm64_tahoe", "arm64_sonoma"]


def test_upstream_may_move_on_while_its_hosts_are_asked(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.last_edition())
    ports = story.ports()
    published: list[SimulatedBottle] = []

    class MovingOn(FakeClock):
        def wait(self, seconds: float, stop: object = None) -> bool:
            if not published:
                published.extend(story.world.publish("wget", "1.26", tags=TAGS, size_bytes=900))
            return super().wait(seconds)

    moving = msgspec.structs.replace(ports, clock=MovingOn())
    generation = fetch_generation(moving, Options(platforms=TAGS), TAGS)
    assert generation.tap_git_head == story.world.edition().tap_git_head
    assert story.asked() == [*TAGS, "arm64_sonoma", "arm64_tahoe", "arm64_sequoia"]


def test_a_host_that_falls_back_meanwhile_takes_nothing_away(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.last_edition(), Fault.older_edition(back=3), Fault.last_edition())
    assert story.fetch().tap_git_head == story.world.edition().tap_git_head


def test_an_older_generation_is_one_and_is_known_as_older(story: Story) -> None:
    newest = story.fetch()
    for tag in TAGS:
        story.simulator.fault(packages_path(tag), Fault.older_edition(times=1))
    older = story.fetch()
    assert older.tap_git_head == story.world.edition(2).tap_git_head
    assert older.generated_at < newest.generated_at


def test_after_an_older_generation_the_newest_is_still_known(story: Story) -> None:
    newest = story.fetch()
    for tag in TAGS:
        story.simulator.fault(packages_path(tag), Fault.older_edition(times=1))
    story.fetch()
    seen = len(story.simulator.requests)
    assert story.fetch() == newest
    etags = {r.headers.get("if-none-match") for r in list(story.simulator.requests)[seen:]}
    bodies = [story.store.read(file.published.key) for file in newest.files]
    assert etags == {
        f'W/"{hashlib.sha256(body.data).hexdigest()[:16]}"' for body in bodies if body is not None
    }


@pytest.mark.parametrize("fault", [Fault.changed_byte(), Fault.wrong_signature(), Fault.other_tag()])
def test_a_file_that_is_not_what_it_must_be_is_refused_and_not_kept(story: Story, fault: Fault) -> None:
    story.simulator.fault(SONOMA, fault)
    with pytest.raises(
        PublicationInvalid, match=r"/api/internal/packages\.arm64_sonoma\.jws\.json: "
    ) as found:
        story.fetch("arm64_sonoma")
    assert found.value.security
    assert story.files() == set()
    assert story.clock.waits == []


def test_a_refused_file_leaves_what_was_kept(story: Story) -> None:
    first = story.fetch()
    story.simulator.fault(SONOMA, Fault.changed_byte())
    with pytest.raises(PublicationInvalid):
        story.fetch()
    assert story.fetch() == first


def test_a_tag_without_a_file_is_refused_by_name(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.not_found(at="api"))
    with pytest.raises(CatalogueRefused, match=r"packages\.arm64_sonoma\.jws\.json: expected .* found 404"):
        story.fetch()


def test_an_api_that_is_down_is_unavailable(story: Story) -> None:
    story.simulator.api_down = True
    with pytest.raises(CatalogueUnavailable):
        story.fetch()


def test_without_an_api_nothing_is_asked(story: Story) -> None:
    with pytest.raises(CatalogueRefused, match="PUBLISH=off"):
        fetch_generation(fake_ports(), Options(platforms=TAGS), TAGS)


def test_a_304_that_nobody_asked_for_is_no_file(story: Story) -> None:
    class Silent:
        url = "https://formulae.example/api"
        keys = staticmethod(story.ports().api.keys)  # type: ignore[union-attr]

        def fetch(self, tag: str, *, etag: str = "") -> None:
            return None

    with pytest.raises(CatalogueUnavailable, match="304 without a condition"):
        fetch_generation(fake_ports(api=Silent()), Options(platforms=TAGS), TAGS)


def test_a_stop_signal_ends_the_wait(story: Story) -> None:
    story.simulator.fault(SONOMA, Fault.last_edition(times=None))

    class Stopping(FakeClock):
        def wait(self, seconds: float, stop: object = None) -> bool:
            story.stop.set()
            return True

    ports = msgspec.structs.replace(story.ports(), clock=Stopping())
    with pytest.raises(PlanningStopped):
        fetch_generation(ports, Options(platforms=TAGS), TAGS)


@pytest.mark.parametrize("error", [StoreUnavailable("no space"), ObjectRefused("too large")])
def test_a_store_that_keeps_no_file_does_not_hide_the_generation(
    story: Story, error: StoreUnavailable | ObjectRefused
) -> None:
    story.store.refuse_below("write", error, API_PREFIX)
    assert len(story.fetch().files) == 3
    assert story.files() == set()


def test_a_dry_run_writes_nothing(story: Story) -> None:
    ports = story.ports()
    dry = msgspec.structs.replace(ports, store=ReadOnlyStore(ports.store))
    assert len(fetch_generation(dry, Options(platforms=TAGS), TAGS).files) == 3
    assert story.store.keys() == []


def test_the_files_of_another_address_are_fetched_whole(story: Story) -> None:
    first = story.fetch()
    note = story.store.read(LATEST_KEY)
    assert note is not None
    story.store.write(LATEST_KEY, note.data.replace(b"127.0.0.1", b"elsewhere"))
    seen = len(story.simulator.requests)
    assert story.fetch() == first
    assert not any(r.headers.get("if-none-match") for r in list(story.simulator.requests)[seen:])


def test_what_was_planned_for_is_found_again_as_it_was_kept(story: Story) -> None:
    first = story.fetch()
    api = story.ports().api
    assert api is not None
    files = [file.published for file in first.files]
    story.world.publish("wget", "1.25.3", tags=TAGS, size_bytes=900)
    second = story.fetch()
    assert kept_generation(story.store, api.keys(), files) == first
    mixed = [files[0], second.files[1].published]
    assert kept_generation(story.store, api.keys(), mixed) is None
    story.store.delete([files[0].key])
    assert kept_generation(story.store, api.keys(), files) is None
    assert kept_generation(story.store, api.keys(), []) is None


def test_what_is_kept_is_verified_again_with_the_keys_of_today(story: Story) -> None:
    first = story.fetch()
    other = SignedFiles(story.simulator.api_url, timeout_s=20, clock=story.clock).keys()
    assert kept_generation(story.store, other, [file.published for file in first.files]) is None
