"""Records never change, and the pointer never moves backwards, whoever moves it."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.bottle import Digest
from brew_assets.domain.publication import (
    POINTER_KEY,
    Lacking,
    Publication,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
)
from brew_assets.domain.publication_rules import PublicationRules, named, why_not_whole
from brew_assets.engine.published import (
    keep_record,
    missing_objects,
    move_pointer,
    newest_ids,
    newest_record,
    read_pointer,
    read_record,
)
from brew_assets.errors import PublicationInvalid, StoreUnavailable
from brew_assets_tests.fakes import FakeClock

DIGEST = Digest("ab" * 32)
BOTTLE = PublishedBottle(
    image="jq", digest=DIGEST, key="2026-08-23/jq-1.8.1.arm64_sonoma.bottle.tar.gz", size=7
)
INDEX = PublishedIndex(image="jq", reference="1.8.1", sha256=Digest("cd" * 32))
API = PublishedApi(tag="arm64_sonoma", sha256=Digest("ef" * 32), size=9, generated_at=1_000)


def publication(number: int, *, generated_at: int = 1_000, bottle: PublishedBottle = BOTTLE) -> Publication:
    return Publication(
        publication_id=f"20260823T{number:06d}Z-0badcafe",
        created_at="2026-08-23T03:00:00Z",
        generated_at=generated_at,
        tap_git_head="abcdef0",
        api=(API,),
        bottles=(bottle,),
        indexes=(INDEX,),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    store = DirectoryStore(tmp_path)
    yield store
    store.close()


def publish(store: DirectoryStore, found: Publication, *, allow_older: bool = False) -> bool:
    sha256 = keep_record(store, found)
    return move_pointer(store, FakeClock(), found, sha256=sha256, allow_older=allow_older).moved


def current(store: DirectoryStore) -> str:
    pointer = read_pointer(store).pointer
    assert pointer is not None
    return read_record(store, pointer.publication_id, sha256=pointer.sha256).publication_id


def test_the_pointer_goes_to_the_newer_generation_and_never_back(store: DirectoryStore) -> None:
    assert read_pointer(store).pointer is None
    assert publish(store, publication(2, generated_at=2_000))
    assert not publish(store, publication(3, generated_at=1_000))
    assert current(store) == publication(2).publication_id
    assert publish(store, publication(4, generated_at=2_000))
    assert not publish(store, publication(1, generated_at=2_000))
    assert current(store) == publication(4).publication_id
    assert len(newest_ids(store, 10)) == 4


def test_whoever_asks_for_it_moves_it_to_an_older_generation(store: DirectoryStore) -> None:
    assert publish(store, publication(2, generated_at=2_000))
    assert publish(store, publication(3, generated_at=1_000), allow_older=True)
    assert current(store) == publication(3).publication_id


def test_a_publisher_that_hears_nothing_and_tries_again_has_moved_it_once(store: DirectoryStore) -> None:
    found = publication(2)
    assert publish(store, found)
    before = store.read(POINTER_KEY)
    assert publish(store, found)
    assert store.read(POINTER_KEY) == before


class Interrupted:
    """A store before each of whose writes of the pointer somebody else may act."""

    def __init__(self, store: DirectoryStore, before_write: Callable[[], object]) -> None:
        self.url = store.url
        self.read, self.exists, self.listing = store.read, store.exists, store.listing
        self._store, self._before_write = store, before_write

    def write(self, key: str, data: bytes, **how: object) -> str:
        if key == POINTER_KEY:
            self._before_write()
        return self._store.write(key, data, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("begins_with", [None, 500, 1_500, 2_500])
@pytest.mark.parametrize(("mine", "theirs"), itertools.permutations([1_000, 2_000, 3_000], 2))
def test_another_that_publishes_between_the_look_and_the_move_wins_if_it_is_newer(
    store: DirectoryStore, begins_with: int | None, mine: int, theirs: int
) -> None:
    if begins_with is not None:
        assert publish(store, publication(1, generated_at=begins_with))
    other, own = publication(2, generated_at=theirs), publication(3, generated_at=mine)
    left = [lambda: publish(store, other)]
    front = Interrupted(store, lambda: left.pop()() if left else None)
    sha256 = keep_record(store, own)
    move_pointer(front, FakeClock(), own, sha256=sha256)  # type: ignore[arg-type]
    for _ in left:
        publish(store, other)
    best = max([own, other], key=lambda one: (one.generated_at, one.publication_id))
    assert read_record(store, current(store)).generated_at == max(best.generated_at, begins_with or 0)


def test_of_many_that_publish_at_once_the_newest_is_current_and_no_reader_sees_a_move_back(
    store: DirectoryStore,
) -> None:
    rounds, failures, seen = 25, [], []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            pointer = read_pointer(store).pointer
            if pointer is not None:
                read_record(store, pointer.publication_id, sha256=pointer.sha256)
                seen.append((pointer.generated_at, pointer.publication_id))

    def run(first: int) -> None:
        try:
            for number in range(first, 2 * rounds, 2):
                publish(store, publication(number, generated_at=1_000 + number))
        except BaseException as error:  # raised again below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(first,)) for first in (0, 1)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert failures == []
    assert seen == sorted(seen)
    assert current(store) == publication(2 * rounds - 1).publication_id
    assert len(newest_ids(store, 100)) == 2 * rounds


def test_a_record_that_changed_is_believed_by_nobody(store: DirectoryStore) -> None:
    found = publication(2)
    publish(store, found)
    document = store.read(found.key)
    assert document is not None
    store.write(found.key, document.data.replace(b'"size":7', b'"size":8'), replaces=document.version)
    with pytest.raises(PublicationInvalid, match="changed after it was written"):
        read_record(store, found.publication_id)
    pointer = read_pointer(store).pointer
    assert pointer is not None
    with pytest.raises(PublicationInvalid, match="expected a record with sha256"):
        read_record(store, found.publication_id, sha256=pointer.sha256)
    assert newest_record(store) is None
    with pytest.raises(PublicationInvalid, match="another record stands there"):
        keep_record(store, found)


def test_only_what_no_earlier_record_names_is_asked_of_the_store(store: DirectoryStore) -> None:
    found = publication(2)
    assert set(missing_objects(store, found, [], workers=2)) == {BOTTLE.key, INDEX.key, API.key}
    store.write(INDEX.key, b"{}")
    assert set(missing_objects(store, found, [], workers=2)) == {BOTTLE.key, API.key}
    assert missing_objects(store, found, [publication(1)], workers=2) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"record_version": 2}, "record_version"),
        ({"publication_id": "20260823T000009Z-0badcafe"}, "publication_id"),
        ({"bottles": [msgspec.to_builtins(BOTTLE) | {"key": "../../etc/passwd"}]}, "key of a bottle"),
        ({"bottles": [msgspec.to_builtins(BOTTLE) | {"digest": "AB"}]}, "SHA-256"),
        ({"indexes": [msgspec.to_builtins(INDEX) | {"image": "../jq"}]}, "image"),
        ({"indexes": [msgspec.to_builtins(INDEX) | {"reference": "a/b"}]}, "reference"),
        ({"api": [msgspec.to_builtins(API) | {"tag": "../x"}]}, "tag"),
    ],
)
def test_a_record_with_a_field_that_cannot_be_is_named(
    store: DirectoryStore, change: dict[str, object], said: str
) -> None:
    from brew_assets.domain.seal import seal

    found = publication(2)
    store.write(found.key, bytes(seal(msgspec.json.encode(msgspec.to_builtins(found) | change))))
    with pytest.raises(PublicationInvalid, match=said):
        read_record(store, found.publication_id)


def lacking(*faults: str) -> list[Lacking]:
    return [
        Lacking(name=f"f{number}", tag="arm64_sonoma", reason="why", fault=fault)  # type: ignore[arg-type]
        for number, fault in enumerate(faults)
    ]


@pytest.mark.parametrize(
    ("faults", "rules", "is_whole"),
    [
        ([], PublicationRules(), True),
        (["mirror"], PublicationRules(), False),
        (["mirror"], PublicationRules(mode="best_effort"), True),
        (["mirror"], PublicationRules(max_missing=1), True),
        (["upstream"] * 50, PublicationRules(), True),
        (["upstream"] * 51, PublicationRules(), False),
        (["upstream"] * 51, PublicationRules(max_missing=1), True),
        (["upstream"] * 51 + ["mirror"], PublicationRules(max_missing=1), False),
        (["upstream"], PublicationRules(max_upstream=0), False),
    ],
)
def test_a_strict_publication_may_lack_what_upstream_cannot_serve_up_to_a_bound(
    faults: list[str], rules: PublicationRules, is_whole: bool
) -> None:
    assert (why_not_whole(lacking(*faults), rules) == "") == is_whole


def test_the_first_twenty_are_named_and_those_of_this_mirror_come_first() -> None:
    lines = named(lacking(*["upstream"] * 20, "mirror"))
    assert len(lines) == 21
    assert lines[0].startswith("f20 ")
    assert lines[-1] == "and 1 more"


def test_an_unreachable_store_is_no_lost_race(store: DirectoryStore) -> None:
    def fail() -> None:
        raise StoreUnavailable("nothing answers")

    own = publication(3)
    sha256 = keep_record(store, own)
    with pytest.raises(StoreUnavailable):
        move_pointer(Interrupted(store, fail), FakeClock(), own, sha256=sha256)  # type: ignore[arg-type]
    assert read_pointer(store).pointer is None
