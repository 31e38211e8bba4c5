"""What is waited for is said: when it lasts, once, with the reason and the next try."""

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from brew_assets.engine.bottle_sizes import SizeLookUp
from brew_assets.engine.noticed_ports import NoticedCatalogue, NoticedHashFile, NoticedRegistry, NoticedStore
from brew_assets.engine.options import Options
from brew_assets.engine.ports import FetchedCatalogue, HashFile, Notice
from brew_assets.engine.retry import Gate, RetryPolicy
from brew_assets.engine.waiting import (
    REPEATED_AFTER_S,
    NoticeLog,
    Waits,
    heard,
    look,
    try_failed,
    unwatched,
    waiting_for,
)
from brew_assets.errors import (
    CatalogueUnreachable,
    HashFileUnreachable,
    StoreUnavailable,
    UpstreamInterrupted,
)
from brew_assets_tests.engine.carrying import Carrying
from brew_assets_tests.fakes import (
    Act,
    FakeClock,
    FakeIndexes,
    FakeStop,
    MemoryStore,
    ScriptedBlobs,
    fake_ports,
)
from brew_assets_tests.worlds import bottle, fetch

REGISTRY = "the registry https://registry.example"


class Onlooker:
    """Somebody who hears what is waited for, and a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.heard: list[list[str]] = []
        self.waits = Waits(self.hear, monotonic=self.clock.monotonic)

    def hear(self, notices: Sequence[Notice]) -> None:
        self.heard.append([notice.sentence() for notice in notices])

    def after(self, seconds: float) -> list[str]:
        """What is heard when so much time has passed."""
        self.clock.advance(seconds)
        before = len(self.heard)
        self.waits.look()
        return self.heard[-1] if len(self.heard) > before else []


@pytest.fixture
def onlooker() -> Onlooker:
    return Onlooker()


def test_a_reason_that_begins_with_the_place_does_not_repeat_it() -> None:
    why = "s3://bottles/brew: http://localhost:1 cannot be reached"
    notice = Notice(what="the store s3://bottles/brew/", waited_s=3.0, why=why)
    assert notice.sentence() == (
        "Waiting for the store s3://bottles/brew/: http://localhost:1 cannot be reached (3 s)"
    )


def test_a_wait_is_heard_after_two_seconds_and_once_more_when_it_is_over(onlooker: Onlooker) -> None:
    with heard(onlooker.waits):
        with waiting_for("the store s3://a"):
            assert onlooker.after(1.9) == []
            assert onlooker.after(0.2) == ["Waiting for the store s3://a (2 s)"]
        onlooker.waits.look()
        onlooker.waits.look()
    assert onlooker.heard == [["Waiting for the store s3://a (2 s)"], []]


def test_the_next_try_is_named_as_soon_as_it_is_far(onlooker: Onlooker) -> None:
    with heard(onlooker.waits), waiting_for(REGISTRY) as wait:
        wait.failed("connection refused", next_try_in_s=12.0)
        assert onlooker.after(0.0) == [f"Waiting for {REGISTRY}: connection refused; next try in 12 s"]
        assert onlooker.after(5.0) == [f"Waiting for {REGISTRY}: connection refused; next try in 7 s"]


def test_what_many_threads_wait_for_is_said_once_with_the_reason_that_one_of_them_knows(
    onlooker: Onlooker,
) -> None:
    with heard(onlooker.waits), waiting_for(REGISTRY), waiting_for(REGISTRY) as inner:
        onlooker.clock.advance(3.0)
        inner.failed("refused", next_try_in_s=1.0)
        assert onlooker.after(0.0) == [f"Waiting for {REGISTRY}: refused; next try in 1 s"]


def test_a_try_that_failed_far_below_is_the_reason_of_the_wait_above(onlooker: Onlooker) -> None:
    with heard(onlooker.waits), waiting_for("the store s3://a"):
        try_failed("503 SlowDown", next_try_in_s=None)
        assert onlooker.after(2.5) == ["Waiting for the store s3://a: 503 SlowDown (2 s)"]
    try_failed("nobody waits", next_try_in_s=1.0)


def test_without_a_listener_nothing_is_kept_and_nothing_is_said() -> None:
    with waiting_for("anything") as wait:
        wait.goes_on()
        wait.pauses()
        wait.failed("why", next_try_in_s=3.0)
    look()


def test_a_log_has_a_line_for_each_thing_and_another_only_after_a_minute(
    onlooker: Onlooker, caplog: pytest.LogCaptureFixture
) -> None:
    log = NoticeLog(monotonic=onlooker.clock.monotonic)
    caplog.set_level(logging.INFO, logger="brew_assets")
    slow, failed = Notice(what="a", waited_s=2.0), Notice(what="a", waited_s=2.0, why="refused")
    for _ in range(10):
        log([slow])
        log([failed])
        onlooker.clock.advance(1.0)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("INFO", "Waiting for a (2 s)"),
        ("WARNING", "Waiting for a: refused (2 s)"),
    ]
    onlooker.clock.advance(REPEATED_AFTER_S)
    log([failed])
    assert len(caplog.records) == 3


def test_a_thread_looks_and_rests_where_processes_are_forked(onlooker: Onlooker) -> None:
    said = threading.Event()
    waits = Waits(lambda notices: said.set() if notices else None)
    with heard(waits, watch=True):
        with unwatched():
            assert threading.active_count() == 1
        with waiting_for("a lock") as wait:
            wait.since -= 10.0
            assert said.wait(10.0)
    assert threading.active_count() == 1


class Silent:
    """A source that nobody answers for; what the onlooker hears meanwhile is kept."""

    url = "https://formulae.example/api/formula.json"
    name = "https://hashes.example/x.json"

    def __init__(self, onlooker: Onlooker, error: Exception) -> None:
        self._onlooker, self._error = onlooker, error
        self.said: list[str] = []

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        raise self._after_a_while()

    def load(self) -> HashFile:
        raise self._after_a_while()

    def _after_a_while(self) -> Exception:
        self.said = self._onlooker.after(3.0)
        return self._error


def test_a_catalogue_and_a_hash_file_that_do_not_come_are_named_with_the_setting(onlooker: Onlooker) -> None:
    api = Silent(onlooker, CatalogueUnreachable("ConnectError"))
    file = Silent(onlooker, HashFileUnreachable("cannot be had: ConnectError"))
    with heard(onlooker.waits):
        with pytest.raises(CatalogueUnreachable, match="ConnectError; check FORMULAE_API_URL"):
            NoticedCatalogue(api, hint="check FORMULAE_API_URL").fetch()
        with pytest.raises(HashFileUnreachable, match="had: ConnectError; check EXTERNAL_HASH_FILE_URL"):
            NoticedHashFile(file, hint="check EXTERNAL_HASH_FILE_URL").load()
    assert api.said == [f"Waiting for the formulae API {api.url} (3 s)"]
    assert file.said == [f"Waiting for the hash file {file.name} (3 s)"]


STORE_CALLS: dict[str, Callable[[NoticedStore], object]] = {
    "read": lambda store: store.read("a"),
    "write": lambda store: store.write("a", b""),
    "delete": lambda store: store.delete(["a"]),
    "listing": lambda store: list(store.listing("")),
    "facts": lambda store: store.facts("2026-08-22/a"),
    "peek": lambda store: store.peek("a", 1),
    "prepare": lambda store: store.prepare(),
}


@pytest.mark.parametrize("operation", STORE_CALLS)
def test_each_question_to_a_store_is_heard_and_its_settings_are_named(
    onlooker: Onlooker, operation: str
) -> None:
    memory = MemoryStore()
    said: list[str] = []
    memory.before(operation, lambda: said.extend(onlooker.after(3.0)))
    memory.fail(operation, StoreUnavailable("ConnectionRefusedError"))
    with heard(onlooker.waits), pytest.raises(StoreUnavailable, match="RefusedError; check AWS_ENDPOINT_URL"):
        STORE_CALLS[operation](NoticedStore(memory, hint="check AWS_ENDPOINT_URL"))
    assert said == ["Waiting for the store memory: (3 s)"]


def test_a_store_that_answers_gets_no_hint() -> None:
    memory = MemoryStore()
    memory.fail("read", StoreUnavailable("503", status=503))
    with pytest.raises(StoreUnavailable, match=r"^503$"):
        NoticedStore(memory, hint="check AWS_ENDPOINT_URL").read("a")


def test_size_look_ups_of_a_registry_that_is_down_say_so(onlooker: Onlooker) -> None:
    class Down(FakeIndexes):
        def fetch_index(self, image: str, reference: str) -> bytes | None:
            raise UpstreamInterrupted("ConnectionRefusedError")

    class Waiting(FakeClock):
        def wait(self, seconds: float, stop: object = None) -> bool:
            onlooker.after(0.0)
            return super().wait(seconds, FakeStop())

    registry = NoticedRegistry(ScriptedBlobs(), Down(), hint="check BOTTLE_REGISTRY_URL")
    look_up = SizeLookUp(
        fake_ports(indexes=registry, clock=Waiting()),
        Options(platforms=(), workers=1, retry=RetryPolicy(attempts=1, delay_s=1_000_000.0)),
    )
    with heard(onlooker.waits):
        found = look_up.look_up([bottle()])
    assert onlooker.heard[0][0].startswith(
        f"Waiting for {REGISTRY}: ConnectionRefusedError; check BOTTLE_REGISTRY_URL; next try in "
    )
    assert found.problems == ["wget:1.25.0: ConnectionRefusedError; check BOTTLE_REGISTRY_URL"]


def test_a_transfer_says_what_its_bottles_wait_for(onlooker: Onlooker) -> None:
    story = Carrying()
    story.blobs.publish(b"content")
    item = bottle(content=b"content")
    story.blobs.script(item, Act(error=UpstreamInterrupted("connection reset")))

    class Waiting(FakeClock):
        def wait(self, seconds: float, stop: object = None) -> bool:
            onlooker.after(0.0)
            return super().wait(seconds, FakeStop())

    story.clock = Waiting()
    with heard(onlooker.waits):
        assert story.copy(fetch(item), delay_s=1_000_000.0).stored == 1
    assert onlooker.heard[0][0].startswith(f"Waiting for {REGISTRY}: connection reset; next try in ")


def test_a_body_that_stands_still_is_heard_and_one_that_comes_is_not(onlooker: Onlooker) -> None:
    blobs = ScriptedBlobs(piece_bytes=1)
    blobs.publish(b"abc")
    registry = NoticedRegistry(blobs, FakeIndexes())
    with heard(onlooker.waits):
        stream = registry.open(bottle(content=b"abc"))
        for _ in range(3):
            assert stream.readinto(memoryview(bytearray(1))) == 1
            # So long the store takes for each piece: nobody waits for the registry.
            assert onlooker.after(5.0) == []
        stream.close()
        assert onlooker.after(5.0) == []


def test_a_gate_that_upstream_has_closed_is_a_wait(onlooker: Onlooker) -> None:
    class Waiting(FakeClock):
        def wait(self, seconds: float, stop: object = None) -> bool:
            onlooker.after(0.0)
            return super().wait(seconds, FakeStop())

    gate = Gate(Waiting())
    gate.close_for(30.0)
    with heard(onlooker.waits):
        assert gate.pass_through(FakeStop())
    assert onlooker.heard[0] == ["Waiting for upstream: it asks all to wait; next try in 30 s"]
