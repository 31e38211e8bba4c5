"""The way of a client through a publication: what does not fit is named, whatever the names are made of."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from brew_assets.adapters.directory_store.store import DirectoryStore
from brew_assets.domain.bottle import Bottle, Digest, image_name
from brew_assets.domain.publication import (
    Publication,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
)
from brew_assets.domain.servable import index_of
from brew_assets.engine.kept_indexes import index_key
from brew_assets.engine.publication_walk import Walk, walk_publication
from brew_assets.engine.published import keep_record, move_pointer
from brew_assets_tests.fakes import FakeClock
from brew_assets_tests.worlds import DATE, bottle, digest_of, index_json

API = b"signed"
# What is awkward to take apart: which "-" ends the name, what the image stands for, a rebuild, all.
AWKWARD = (
    bottle("gcc-arm@13", "13.2-rel-1", "arm64_sonoma"),
    bottle("libsigc++@2", "2.12.1_1", "x86_64_linux", rebuild=3),
    bottle("node-build", "5.4.1-2", "all"),
    bottle("a-1-b", "1-b-2", "sonoma"),
)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def publish(store: DirectoryStore, *bottles: Bottle, index: bytes | None = None) -> Publication:
    """A publication of the bottles, each with this index, or with one that fits."""
    store.prepare()
    published, indexes = [], []
    for one in bottles:
        data = f"{one.formula}/{one.pkg_version}/{one.tag}/{one.rebuild}".encode()
        assert digest_of(data) == one.digest
        (Path(store.url) / one.key(DATE)).parent.mkdir(parents=True, exist_ok=True)
        (Path(store.url) / one.key(DATE)).write_bytes(data)
        published.append(
            PublishedBottle(
                image=image_name(one.formula), digest=one.digest, key=one.key(DATE), size=len(data)
            )
        )
        document, name = index_json(one) if index is None else index, index_of(one)
        store.write(index_key(*name, document), document)
        sha256 = Digest(hashlib.sha256(document).hexdigest())
        indexes.append(PublishedIndex(image=name.image, reference=name.reference, sha256=sha256))
    api = PublishedApi(tag="arm64_sonoma", sha256=digest_of(API), size=len(API), generated_at=1_000)
    store.write(api.key, API)
    found = Publication(
        publication_id="20260823T000001Z-0badcafe",
        created_at="2026-08-23T03:00:00Z",
        generated_at=1_000,
        tap_git_head="abcdef0",
        api=(api,),
        bottles=tuple(published),
        indexes=tuple(indexes),
    )
    return point_to(store, found)


def point_to(store: DirectoryStore, found: Publication) -> Publication:
    move_pointer(store, FakeClock(), found, sha256=keep_record(store, found))
    return found


def walk(store: DirectoryStore) -> Walk:
    return walk_publication(store, most=20, seed="seed")


def test_every_name_leads_to_its_index_and_its_bottle(store: DirectoryStore) -> None:
    found = publish(store, *AWKWARD)
    assert walk(store) == Walk(publication_id=found.publication_id, sampled=4, bottles=4)


def test_the_same_seed_looks_at_the_same_bottles_and_no_more_than_it_may(store: DirectoryStore) -> None:
    publish(store, *AWKWARD)
    lost = AWKWARD[1]
    (Path(store.url) / lost.key(DATE)).unlink()
    seen = {seed: walk_publication(store, most=1, seed=seed) for seed in map(str, range(40))}
    assert {one.sampled for one in seen.values()} == {1}
    assert {bool(one.finding) for one in seen.values()} == {True, False}
    assert all(walk_publication(store, most=1, seed=seed) == one for seed, one in seen.items())


@pytest.mark.parametrize(
    ("index", "finding"),
    [
        (index_json(bottle("wget", content="other")), "expected an entry with the digest"),
        (
            index_json(bottle("wget", "9.9", content="wget/1.25.0/arm64_sonoma/0")),
            "expected the entry 1.25.0",
        ),
        (b"<html>", "expected an OCI index in JSON"),
    ],
)
def test_an_index_with_its_sha256_that_does_not_fit_is_found(
    store: DirectoryStore, index: bytes, finding: str
) -> None:
    publish(store, bottle("wget"), index=index)
    found = walk(store)
    assert finding in found.finding
    assert found.bottles == 0
    assert "brew-mirror sync" in found.remedy


def test_a_bottle_without_an_index_in_the_record_is_found(store: DirectoryStore) -> None:
    found = publish(store, bottle("wget"))
    point_to(store, msgspec.structs.replace(found, publication_id="20260823T000002Z-0badcafe", indexes=()))
    assert walk(store).finding.endswith("expected its index in the record, found none of wget")
