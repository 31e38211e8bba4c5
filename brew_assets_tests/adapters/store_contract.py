"""What every store promises (engine.ports.Store). A store's test module subclasses StoreContract and
gives it a `store` fixture: an empty store, prepared.

    class TestDirectoryStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path: Path) -> Store: ...
"""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from brew_assets.domain.bottle import Bottle
from brew_assets.engine.ports import BottleSink, Store
from brew_assets.errors import ChecksumRefused, KeyTaken, PreconditionFailed, StoreError
from brew_assets_tests.worlds import DATE, bottle

CONTENT = b"the bytes of a bottle" * 50
LARGE = random.Random(3).randbytes(3 * 1024 * 1024 + 17)
NAMES = [
    ("openssl@3", "3.5.2"),
    ("libsigc++@2", "2.12.1_1"),
    ("llama.cpp", "6090"),
    ("agda", "2.8.0-r3"),
    ("gtk+3", "3.24.43"),
    ("a_b-c", "1.0~rc1"),
]


def give(
    store: Store,
    item: Bottle,
    content: bytes,
    *,
    date: str = DATE,
    replace: bool = False,
    piece: int = 65_536,
) -> None:
    """The bottle goes into the store in pieces."""
    sink = store.receive(item, date=date, size=len(content), replace=replace)
    try:
        for at in range(0, len(content), piece):
            sink.write(memoryview(content)[at : at + piece])
        sink.commit()
    except StoreError:
        sink.abort()
        raise


def content_of(store: Store, key: str) -> bytes | None:
    document = store.read(key)
    return document.data if document else None


def keys_of(store: Store, prefix: str = "") -> list[str]:
    return sorted(listed.key for listed in store.listing(prefix))


def write_short(sink: BottleSink) -> None:
    """One byte too few."""
    sink.write(memoryview(CONTENT)[:-1])
    sink.commit()


class StoreContract:
    """One story per promise."""

    def test_what_is_written_is_read_with_its_version(self, store: Store) -> None:
        version = store.write("state/a.json", b"one")
        document = store.read("state/a.json")
        assert document is not None
        assert (document.data, document.version) == (b"one", version)

    def test_what_was_never_written_is_none(self, store: Store) -> None:
        assert store.read("state/none.json") is None
        assert store.facts("state/none.json") is None
        assert store.hash(f"{DATE}/none.arm64_sonoma.bottle.tar.gz") is None

    def test_whether_an_object_exists_and_its_version_are_known_without_its_bytes(self, store: Store) -> None:
        assert not store.exists("state/a.json")
        assert store.version("state/a.json") is None
        first = store.write("state/a.json", b"one")
        assert store.exists("state/a.json")
        document = store.read("state/a.json")
        assert document is not None
        assert store.version("state/a.json") == first == document.version
        second = store.write("state/a.json", b"two", replaces=first)
        assert store.version("state/a.json") == second != first
        item = bottle(content=CONTENT)
        give(store, item, CONTENT)
        assert store.exists(item.key(DATE))
        store.delete(["state/a.json", item.key(DATE)])
        assert not store.exists("state/a.json")
        assert not store.exists(item.key(DATE))
        assert store.version("state/a.json") is None

    def test_a_folder_is_no_object(self, store: Store) -> None:
        store.write("state/plans/a.json", b"x")
        assert store.read("state/plans") is None
        assert not store.exists("state/plans")
        assert store.version("state/plans") is None
        assert store.facts("state/plans") is None

    def test_nothing_stands_below_an_object(self, store: Store) -> None:
        store.write("state/a", b"x")
        assert store.read("state/a/b") is None
        assert not store.exists("state/a/b")
        assert keys_of(store, "state/a/") == []

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        store.write("state/empty", b"")
        assert content_of(store, "state/empty") == b""
        assert keys_of(store, "state/") == ["state/empty"]

    def test_a_plain_write_replaces(self, store: Store) -> None:
        first = store.write("state/a.json", b"one")
        assert store.write("state/a.json", b"two") != first
        assert content_of(store, "state/a.json") == b"two"

    def test_create_only_creates_once(self, store: Store) -> None:
        store.write("state/a.json", b"one", create_only=True)
        with pytest.raises(KeyTaken) as caught:
            store.write("state/a.json", b"two", create_only=True)
        assert caught.value.key == "state/a.json"
        assert content_of(store, "state/a.json") == b"one"

    def test_compare_and_swap_names_the_version_that_is_replaced(self, store: Store) -> None:
        first = store.write("m.json", b"one")
        second = store.write("m.json", b"two", replaces=first)
        with pytest.raises(PreconditionFailed):
            store.write("m.json", b"three", replaces=first)
        assert content_of(store, "m.json") == b"two"
        store.write("m.json", b"three", replaces=second)
        assert content_of(store, "m.json") == b"three"

    def test_compare_and_swap_on_nothing_fails(self, store: Store) -> None:
        version = store.write("m.json", b"one")
        store.delete(["m.json"])
        with pytest.raises(PreconditionFailed):
            store.write("m.json", b"two", replaces=version)
        assert store.read("m.json") is None

    def test_of_many_that_create_one_wins(self, store: Store) -> None:
        def create(number: int) -> bool:
            try:
                store.write("state/race.json", f"{number}".encode(), create_only=True)
            except KeyTaken:
                return False
            finally:
                store.close()
            return True

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(create, range(8))).count(True) == 1

    def test_of_many_that_swap_none_is_lost(self, store: Store) -> None:
        store.write("count", b"0")

        def add_one(_: int) -> None:
            while True:
                document = store.read("count")
                assert document is not None
                try:
                    store.write("count", b"%d" % (int(document.data) + 1), replaces=document.version)
                except PreconditionFailed:
                    continue
                store.close()
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add_one, range(40)))
        assert content_of(store, "count") == b"40"

    def test_delete_makes_sure_that_nothing_is_there(self, store: Store) -> None:
        store.write("state/receipts/x/a.json", b"one")
        store.delete(["state/receipts/x/a.json"])
        store.delete(["state/receipts/x/a.json"])
        assert store.read("state/receipts/x/a.json") is None
        assert keys_of(store) == []

    def test_a_listing_is_whole(self, store: Store) -> None:
        keys = [f"state/receipts/{run}/{number:03}.json" for run in ("a", "b") for number in range(60)]
        for key in keys:
            store.write(key, key.encode())
        listed = list(store.listing("state/receipts/"))
        assert sorted(item.key for item in listed) == keys
        assert all(item.size == len(item.key) for item in listed)

    def test_a_prefix_is_the_beginning_of_a_key(self, store: Store) -> None:
        for key in ("a/b", "a/bc/d", "a/c", "ab", "b/a"):
            store.write(key, b"x")
        assert keys_of(store, "a/") == ["a/b", "a/bc/d", "a/c"]
        assert keys_of(store, "a/b") == ["a/b", "a/bc/d"]
        assert keys_of(store, "a") == ["a/b", "a/bc/d", "a/c", "ab"]
        assert keys_of(store, "") == ["a/b", "a/bc/d", "a/c", "ab", "b/a"]
        assert keys_of(store, "nothing/here/") == []

    def test_date_folders_are_the_folders_named_for_dates_newest_first(self, store: Store) -> None:
        assert store.date_folders() == []
        for date in ("2026-08-15", "2026-08-22", "2025-12-31"):
            store.write(f"{date}/x.tar.gz", b"x")
        store.write("state/a.json", b"x")
        store.write("2026-8-1/a", b"x")
        store.write("bottles_hash.json", b"x")
        assert store.date_folders() == ["2026-08-22", "2026-08-15", "2025-12-31"]

    @pytest.mark.parametrize("content", [CONTENT, b"x", LARGE])
    def test_a_bottle_appears_whole_at_its_commit(self, store: Store, content: bytes) -> None:
        item = bottle(content=content)
        sink = store.receive(item, date=DATE, size=len(content))
        half = len(content) // 2
        sink.write(memoryview(content)[:half])
        assert store.facts(item.key(DATE)) is None
        assert keys_of(store, f"{DATE}/") == []
        sink.write(memoryview(content)[half:])
        sink.commit()
        assert content_of(store, item.key(DATE)) == content

    def test_facts_prove_size_and_digest(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        give(store, item, CONTENT)
        for facts in (store.facts(item.key(DATE)), store.hash(item.key(DATE))):
            assert facts is not None
            assert (facts.key, facts.size, facts.digest) == (item.key(DATE), len(CONTENT), item.digest)
            assert facts.metadata.get("sha256", item.digest) == item.digest

    def test_peek_gives_the_first_bytes(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        give(store, item, CONTENT)
        assert store.peek(item.key(DATE), 10) == CONTENT[:10]
        assert store.peek(item.key(DATE), 10**6) == CONTENT

    def test_a_buffer_may_be_used_again_after_a_write(self, store: Store) -> None:
        item = bottle(content=b"abcdef")
        buffer = bytearray(b"abc")
        sink = store.receive(item, date=DATE, size=6)
        sink.write(memoryview(buffer))
        buffer[:] = b"def"
        sink.write(memoryview(buffer))
        buffer[:] = b"xyz"
        sink.commit()
        assert content_of(store, item.key(DATE)) == b"abcdef"

    def test_nothing_is_left_of_an_aborted_bottle(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        sink = store.receive(item, date=DATE, size=len(CONTENT))
        sink.write(memoryview(CONTENT)[:100])
        sink.abort()
        sink.abort()
        assert keys_of(store) == []
        give(store, item, CONTENT)
        assert content_of(store, item.key(DATE)) == CONTENT

    def test_a_sink_that_was_never_written_to_aborts(self, store: Store) -> None:
        store.receive(bottle(), date=DATE, size=10).abort()
        assert keys_of(store) == []

    def test_a_bottle_that_is_short_does_not_appear(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        sink = store.receive(item, date=DATE, size=len(CONTENT))
        with pytest.raises(StoreError):
            write_short(sink)
        sink.abort()
        assert keys_of(store) == []

    def test_a_store_never_vouches_for_wrong_bytes(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        wrong = CONTENT[:-1] + b"?"
        try:
            give(store, item, wrong)
        except ChecksumRefused:
            assert keys_of(store) == []
            return
        facts = store.facts(item.key(DATE))
        assert facts is not None
        assert facts.digest == hashlib.sha256(wrong).hexdigest()

    def test_a_bottle_never_takes_the_place_of_another(self, store: Store) -> None:
        give(store, bottle(content=CONTENT), CONTENT)
        other = bottle(content=b"other")
        with pytest.raises(KeyTaken) as caught:
            give(store, other, b"other")
        assert caught.value.key == other.key(DATE)
        assert content_of(store, other.key(DATE)) == CONTENT

    def test_replace_takes_the_place(self, store: Store) -> None:
        give(store, bottle(content=CONTENT), CONTENT)
        other = bottle(content=b"other")
        give(store, other, b"other", replace=True)
        assert content_of(store, other.key(DATE)) == b"other"
        facts = store.facts(other.key(DATE))
        assert facts is not None
        assert facts.digest == other.digest

    def test_replace_works_where_nothing_is(self, store: Store) -> None:
        give(store, bottle(content=CONTENT), CONTENT, replace=True)
        assert keys_of(store) == [bottle().key(DATE)]

    def test_of_many_that_store_one_bottle_one_wins(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        barrier = threading.Barrier(6)

        def put(_: int) -> bool:
            barrier.wait(30)
            try:
                give(store, item, CONTENT)
            except KeyTaken:
                return False
            finally:
                store.close()
            return True

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(put, range(6))).count(True) == 1
        assert content_of(store, item.key(DATE)) == CONTENT

    def test_a_duplicate_is_a_whole_bottle_of_its_own(self, store: Store) -> None:
        first, second = bottle(content=CONTENT), bottle(tag="arm64_tahoe", content=CONTENT)
        give(store, first, CONTENT, date="2026-08-15")
        store.duplicate(first.key("2026-08-15"), second, date=DATE, size=len(CONTENT))
        facts = store.facts(second.key(DATE))
        assert facts is not None
        assert (facts.size, facts.digest) == (len(CONTENT), second.digest)
        assert facts.metadata.get("platform", "arm64_tahoe") == "arm64_tahoe"
        store.delete([first.key("2026-08-15")])
        assert content_of(store, second.key(DATE)) == CONTENT

    def test_a_duplicate_does_not_change_when_its_source_is_replaced(self, store: Store) -> None:
        first, second = bottle(content=CONTENT), bottle(tag="arm64_tahoe", content=CONTENT)
        give(store, first, CONTENT)
        store.duplicate(first.key(DATE), second, date=DATE, size=len(CONTENT))
        give(store, bottle(content=b"other"), b"other", replace=True)
        assert content_of(store, second.key(DATE)) == CONTENT

    def test_a_duplicate_of_nothing_is_an_error(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        with pytest.raises(StoreError) as caught:
            store.duplicate("2026-08-15/gone.all.bottle.tar.gz", item, date=DATE, size=len(CONTENT))
        assert not isinstance(caught.value, KeyTaken)
        assert keys_of(store) == []

    def test_a_duplicate_of_other_bytes_is_an_error(self, store: Store) -> None:
        other, item = bottle(content=b"other"), bottle(tag="arm64_tahoe", content=CONTENT)
        give(store, other, b"other")
        with pytest.raises(StoreError):
            store.duplicate(other.key(DATE), item, date=DATE, size=len(CONTENT))
        assert keys_of(store) == [other.key(DATE)]

    def test_a_duplicate_never_takes_the_place_of_another(self, store: Store) -> None:
        first, second = bottle(content=CONTENT), bottle(tag="arm64_tahoe", content=CONTENT)
        give(store, first, CONTENT)
        store.write(second.key(DATE), b"something")
        with pytest.raises(KeyTaken) as caught:
            store.duplicate(first.key(DATE), second, date=DATE, size=len(CONTENT))
        assert caught.value.key == second.key(DATE)
        assert content_of(store, second.key(DATE)) == b"something"
        store.duplicate(first.key(DATE), second, date=DATE, size=len(CONTENT), replace=True)
        assert content_of(store, second.key(DATE)) == CONTENT

    @pytest.mark.parametrize(("name", "version"), NAMES)
    def test_keys_hold_every_character_of_homebrews_names(
        self, store: Store, name: str, version: str
    ) -> None:
        item = bottle(name, version, rebuild=2, content=CONTENT)
        give(store, item, CONTENT)
        other = bottle(name, version, "arm64_tahoe", rebuild=2, content=CONTENT)
        store.duplicate(item.key(DATE), other, date=DATE, size=len(CONTENT))
        assert keys_of(store, f"{DATE}/") == sorted((item.key(DATE), other.key(DATE)))
        assert content_of(store, item.key(DATE)) == content_of(store, other.key(DATE)) == CONTENT
        facts = store.facts(other.key(DATE))
        assert facts is not None
        assert facts.digest == item.digest

    def test_names_that_differ_in_a_plus_do_not_meet(self, store: Store) -> None:
        items = [bottle(name) for name in ("gtk+", "gtk", "gtkx", "gtk-2B")]
        for item in items:
            give(store, item, f"{item.formula}/1.25.0/arm64_sonoma/0".encode())
        assert keys_of(store) == sorted(item.key(DATE) for item in items)

    @pytest.mark.parametrize("key", ["../out", "/etc/out", "a/../../out", "a//b", "./a", "a/.", ""])
    def test_a_key_that_leads_elsewhere_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(StoreError):
            store.write(key, b"x")
        with pytest.raises(StoreError):
            store.read(key)
        with pytest.raises(StoreError):
            store.delete([key])
        assert keys_of(store) == []

    def test_preparing_disturbs_nobody(self, store: Store) -> None:
        item = bottle(content=CONTENT)
        sink = store.receive(item, date=DATE, size=len(CONTENT))
        sink.write(memoryview(CONTENT))
        store.prepare()
        sink.commit()
        assert content_of(store, item.key(DATE)) == CONTENT

    def test_listings_hold_while_others_write_and_delete(self, store: Store) -> None:
        steady = [f"state/receipts/s/{number:03}.json" for number in range(20)]
        for key in steady:
            store.write(key, b"x")
        ended = threading.Event()

        def churn() -> None:
            number = 0
            while not ended.is_set():
                store.write(f"state/receipts/c{number % 3}/a.json", b"x")
                store.delete([f"state/receipts/c{number % 3}/a.json"])
                number += 1
            store.close()

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(20):
                assert set(steady) <= set(keys_of(store, "state/receipts/"))
        finally:
            ended.set()
            thread.join(30)

    def test_a_version_names_content(self, store: Store) -> None:
        versions = [store.write("m.json", b"%d" % number) for number in range(4)]
        assert all(before != after for before, after in pairwise(versions))
