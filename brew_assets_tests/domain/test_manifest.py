"""`bottles_hash.json`: its shape, and that nothing about it can change unseen."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.domain.bottle import Bottle
from brew_assets.domain.manifest import (
    Entry,
    Manifest,
    check_integrity,
    decode_held,
    decode_manifest,
    decode_receipts,
    encode_receipts,
    entry_for,
)
from brew_assets.domain.seal import seal
from brew_assets.errors import ManifestInvalid
from brew_assets_tests.domain.strategies import BOTTLES
from brew_assets_tests.domain.test_catalogue import JSON
from brew_assets_tests.worlds import CREATED_AT, DATE, bottle, manifest_of, receipt

REMEDY = "manifest restore.*manifest rebuild"
DOCUMENT = manifest_of(*(bottle(f"f{number}", tag=tag) for number in range(5) for tag in ("sonoma", "all")))

HELD = st.lists(st.tuples(BOTTLES, st.integers(1, 2**40), st.sampled_from((DATE, "2026-08-15"))), max_size=12)


def manifest(held: list[tuple[Bottle, int, str]]) -> Manifest:
    made = Manifest()
    for item, size, date in held:
        made.put(item.entry_key, entry_for(item, date=date, size=size))
    return made


def resealed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The document changed by somebody who can seal."""
    document = json.loads(DOCUMENT)
    del document["integrity"]
    change(document)
    return seal(json.dumps(document).encode())


def test_the_manifest_has_exactly_the_specifications_shape() -> None:
    document = json.loads(manifest_of(bottle("curl", "8.2.1")))
    assert list(document) == [
        "last_updated",
        "sync_version",
        "total_bottles",
        "total_size_bytes",
        "platforms",
        "bottles",
        "statistics",
        "integrity",  # ours
    ]
    assert list(document["bottles"]) == ["curl-8.2.1-arm64_sonoma"]
    entry = document["bottles"]["curl-8.2.1-arm64_sonoma"]
    digest = bottle("curl", "8.2.1").digest
    assert entry == {
        "sha256": digest,
        "download_date": DATE,
        "file_size": 1000,
        "formula_name": "curl",
        "formula_version": "8.2.1",
        "platform": "arm64_sonoma",
        "url": f"https://ghcr.io/v2/homebrew/core/curl/blobs/sha256:{digest}",
        "s3_key": f"{DATE}/curl-8.2.1.arm64_sonoma.bottle.tar.gz",
    }
    assert document["statistics"] == {
        "by_platform": {"arm64_sonoma": {"count": 1, "total_size_bytes": 1000}},
        "by_date": {DATE: {"count": 1, "total_size_bytes": 1000}},
    }
    assert (document["last_updated"], document["sync_version"]) == (CREATED_AT, "1.0.0")
    assert (document["total_bottles"], document["total_size_bytes"]) == (1, 1000)
    assert document["platforms"] == ["arm64_sonoma"]
    assert re.fullmatch("[0-9a-f]{64}", document["integrity"])


def test_an_empty_manifest_has_the_same_shape() -> None:
    document = json.loads(Manifest().encode(last_updated=CREATED_AT))
    assert (document["total_bottles"], document["platforms"], document["bottles"]) == (0, [], {})
    assert document["statistics"] == {"by_platform": {}, "by_date": {}}
    assert len(decode_manifest(Manifest().encode(last_updated=CREATED_AT))) == 0


@given(HELD)
def test_a_manifest_comes_back_as_it_was(held: list[tuple[Bottle, int, str]]) -> None:
    data = manifest(held).encode(last_updated=CREATED_AT)
    back = decode_manifest(data)
    assert back.encode(last_updated=CREATED_AT) == data
    slim = decode_held(data)
    assert {key: (e.sha256, e.file_size, e.s3_key) for key, e in back.entries()} == {
        key: (e.sha256, e.file_size, e.s3_key) for key, e in slim.items()
    }


@given(HELD)
def test_statistics_equal_the_entries(held: list[tuple[Bottle, int, str]]) -> None:
    document = json.loads(manifest(held).encode(last_updated=CREATED_AT))
    entries = list(document["bottles"].values())
    assert document["total_bottles"] == len(entries)
    assert document["total_size_bytes"] == sum(entry["file_size"] for entry in entries)
    for field, table in (("platform", "by_platform"), ("download_date", "by_date")):
        for value, total in document["statistics"][table].items():
            sizes = [entry["file_size"] for entry in entries if entry[field] == value]
            assert total == {"count": len(sizes), "total_size_bytes": sum(sizes)}
        assert set(document["statistics"][table]) == {entry[field] for entry in entries}
    assert document["platforms"] == sorted({entry["platform"] for entry in entries})


UNKNOWN = st.text("abcdefgself_", min_size=1, max_size=8).filter(lambda name: name not in ("bottles", "self"))


@given(st.dictionaries(UNKNOWN, st.integers(0, 9) | st.text(max_size=5), max_size=4))
def test_fields_that_we_do_not_know_survive(unknown: dict[str, Any]) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update({f"{key}": value for key, value in unknown.items() if key not in document})
        next(iter(document["bottles"].values()))["note"] = unknown

    back = decode_manifest(resealed(change))
    back.put(bottle("new").entry_key, receipt(bottle("new")).entry)
    document = json.loads(back.encode(last_updated=CREATED_AT))
    assert unknown in [entry.get("note") for entry in document["bottles"].values()]
    assert all(document[key] == value for key, value in unknown.items())
    assert len(decode_manifest(back.encode(last_updated=CREATED_AT))) == 11


@pytest.mark.parametrize("name", ["self", "bottles_", "cls", "last_update", "__init__", ""])
def test_an_unknown_field_may_have_any_name(name: str) -> None:
    back = decode_manifest(resealed(lambda document: document.update({name: 1})))
    assert json.loads(back.encode(last_updated=CREATED_AT))[name] == 1


def _positions() -> list[int]:
    seeded = random.Random(5).sample(range(len(DOCUMENT)), 300)
    inside = re.search(rb'"sha256":"([0-9a-f]{64})"', DOCUMENT)
    seal_ = re.search(rb'"integrity":"([0-9a-f]{64})"', DOCUMENT)
    assert inside is not None
    assert seal_ is not None
    last = len(DOCUMENT)
    return sorted({*seeded, *range(*inside.span(1)), *range(*seal_.span(1)), *range(last - 90, last - 1)})


@pytest.mark.parametrize("decode", [decode_manifest, decode_held])
def test_one_flipped_byte_anywhere_is_seen(decode: Callable[[bytes], object]) -> None:
    for position in _positions():
        for flip in (0x01, 0x20, 0xFF):
            damaged = bytearray(DOCUMENT)
            damaged[position] ^= flip
            with pytest.raises(ManifestInvalid, match=r"manifest (restore|import)"):
                decode(bytes(damaged))


@pytest.mark.parametrize("decode", [decode_manifest, decode_held])
def test_a_truncated_manifest_is_seen(decode: Callable[[bytes], object]) -> None:
    lengths = (0, 1, 10, len(DOCUMENT) // 2, *range(len(DOCUMENT) - 150, len(DOCUMENT) - 1))
    for length in lengths:
        with pytest.raises(ManifestInvalid, match=REMEDY):
            decode(DOCUMENT[:length])


@pytest.mark.parametrize("decode", [decode_manifest, decode_held])
@pytest.mark.parametrize(
    "data", [b"", b" \n", b"\0" * 1000, b" " * 1000, b"null", b"{}", b"[]", b"\xff", b"}"]
)
def test_what_is_no_manifest_names_the_remedy(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ManifestInvalid, match=r"manifest (restore|import)"):
        decode(data)


def test_a_manifest_of_another_tool_is_refused_with_the_way_to_import_it() -> None:
    document = json.loads(DOCUMENT)
    del document["integrity"]
    data = json.dumps(document, indent=2).encode()
    with pytest.raises(ManifestInvalid, match="manifest import"):
        decode_manifest(data)
    with pytest.raises(ManifestInvalid, match="manifest import"):
        decode_held(data)
    assert len(decode_manifest(data, sealed=False)) == 10


def _first(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(iter(document["bottles"].values()))
    return entry


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "version": lambda d: d.update(sync_version="2.0.0"),
    "no version": lambda d: d.pop("sync_version"),
    "total_bottles": lambda d: d.update(total_bottles=11),
    "total_size_bytes": lambda d: d.update(total_size_bytes=1),
    "bottles": lambda d: d.update(bottles=[]),
    "no bottles": lambda d: d.pop("bottles"),
    "statistics": lambda d: d["statistics"]["by_platform"]["all"].update(count=99),
    "no statistics": lambda d: d.pop("statistics"),
    "no platforms": lambda d: d.pop("platforms"),
    "no last_updated": lambda d: d.pop("last_updated"),
    "digest": lambda d: _first(d).update(sha256="A" * 64),
    "size": lambda d: _first(d).update(file_size=0),
    "size text": lambda d: _first(d).update(file_size="1000"),
    "size huge": lambda d: _first(d).update(file_size=2**64 - 1),
    "s3_key": lambda d: _first(d).update(s3_key="../../etc/passwd"),
    "other s3_key": lambda d: _first(d).update(s3_key=f"{DATE}/x-1.all.bottle.tar.gz"),
    "platform": lambda d: _first(d).update(platform="../x"),
    "formula": lambda d: _first(d).update(formula_name="x"),
    "no field": lambda d: _first(d).pop("sha256"),
    "key": lambda d: d["bottles"].update({"x": d["bottles"].pop("f0-1.25.0-all")}),
    "entry": lambda d: d["bottles"].update({"f0-1.25.0-all": 5}),
}
SLIM = {"version", "no version", "total_bottles", "bottles", "no bottles", "size text", "no field", "entry"}


@pytest.mark.parametrize("name", WRONG)
def test_a_sealed_manifest_that_is_wrong_is_refused(name: str) -> None:
    data = resealed(WRONG[name])
    with pytest.raises(ManifestInvalid, match=REMEDY):
        decode_manifest(data)
    if name in SLIM:
        with pytest.raises(ManifestInvalid, match=REMEDY):
            decode_held(data)


def test_a_later_minor_version_is_read() -> None:
    assert len(decode_manifest(resealed(lambda document: document.update(sync_version="1.4.0")))) == 10


def test_sizes_beyond_64_bits_in_sum_are_refused_or_written() -> None:
    made = Manifest()
    for number in range(3):
        item = bottle(f"f{number}")
        made.put(item.entry_key, entry_for(item, date=DATE, size=2**63))
    try:
        data = made.encode(last_updated=CREATED_AT)
    except ManifestInvalid:
        return
    assert len(decode_manifest(data)) == 3


NESTED = b"[" * 100_000
BYTES: list[bytes] = [
    b'{"bottles":' + NESTED,
    b'{"x":' + NESTED,
    b'{"\xff":1}',
    b'{"bottles":{"\xff":{}},"sync_version":"1.0.0","total_bottles":1}',
    b'{"bottles":{},"sync_version":"\xff","total_bottles":0}',
    b'{"bottles":{},"sync_version":"1.0.0","total_bottles":' + b"9" * 5_000 + b"}",
    b"[]",
    b"nonsense}",
]


@pytest.mark.parametrize("data", BYTES, ids=lambda data: repr(data[:50]))
def test_whatever_was_sealed_only_our_error_comes_out(data: bytes) -> None:
    for decode in (decode_manifest, decode_held):
        with pytest.raises(ManifestInvalid):
            decode(seal(data if data.endswith(b"}") else data + b"}"))
    with pytest.raises(ManifestInvalid):
        decode_manifest(data, sealed=False)


def _raised(attempt: Callable[[], object]) -> ManifestInvalid | None:
    """Our error, if there was one; any other goes through."""
    try:
        attempt()
    except ManifestInvalid as error:
        return error
    return None


@given(st.one_of(st.binary(max_size=300), JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_stands_in_the_store_only_our_error_comes_out(data: bytes) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: decode_manifest(data),
        lambda: decode_manifest(data, sealed=False),
        lambda: decode_held(data),
        lambda: decode_manifest(seal(data + b"}")),
        lambda: decode_held(seal(data + b"}")),
        lambda: check_integrity(data),
        lambda: decode_receipts(data, key="state/receipts/x.json"),
    ]
    for attempt in attempts:
        raised = _raised(attempt)
        assert raised is None or "brew-mirror manifest" in str(raised)


@given(st.lists(BOTTLES, max_size=5))
def test_receipts_come_back_as_they_were(items: list[Bottle]) -> None:
    receipts = [receipt(item) for item in items]
    assert decode_receipts(encode_receipts(receipts), key="k") == receipts


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[5]", b"[{}]", b"\xff", b'[{"key":"\xff"}]', b"[" * 100_000, b'[{"x":' + b"[" * 100_000],
    ids=lambda data: repr(data[:40]),
)
def test_what_are_no_receipts_names_the_object_and_the_remedy(data: bytes) -> None:
    with pytest.raises(ManifestInvalid, match=r"state/receipts/x\.json.*manifest rebuild"):
        decode_receipts(data, key="state/receipts/x.json")


WGET = "wget-1.25.0.arm64_sonoma.bottle.tar.gz"


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 63},
        {"sha256": "0" * 64},
        {"file_size": 0},
        {"file_size": -1},
        {"s3_key": "x"},
        {"s3_key": f"state/receipts/{WGET}", "download_date": "state/receipts"},
        {"s3_key": f"2026-13-45/{WGET}", "download_date": "2026-13-45"},
        {"s3_key": f"2026-02-30/{WGET}", "download_date": "2026-02-30"},
        {"download_date": "2026-08-23"},
        {"platform": "all"},
        {"formula_version": "9"},
        {"formula_name": "curl"},
        {"formula_name": "wget-1", "formula_version": "25.0"},
        {"url": bottle("curl").url},
        {"url": bottle("curl", content="wget/1.25.0/arm64_sonoma/0").url},
    ],
    ids=str,
)
def test_a_receipt_that_contradicts_itself_is_refused(change: dict[str, Any], sealed: bool) -> None:
    good = receipt(bottle())
    wrong = msgspec.structs.replace(good, entry=msgspec.structs.replace(good.entry, **change))
    data = encode_receipts([wrong]) if sealed else msgspec.json.encode([wrong])
    with pytest.raises(ManifestInvalid, match=r"^state/r\.json .*contradicts itself.*manifest rebuild"):
        decode_receipts(data, key="state/r.json")


def test_receipts_of_an_earlier_version_have_no_seal_and_are_taken() -> None:
    receipts = [receipt(bottle("wget")), receipt(bottle("a@1"))]
    assert decode_receipts(msgspec.json.encode(receipts), key="k") == receipts
    assert decode_receipts(b"[]", key="k") == []


def test_a_changed_byte_anywhere_in_receipts_is_seen() -> None:
    data = encode_receipts([receipt(bottle())])
    for position in range(len(data.rstrip())):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(ManifestInvalid, match=r"^k is not valid"):
            decode_receipts(bytes(changed), key="k")


def test_put_replaces_the_entry_of_the_same_bottle() -> None:
    made = Manifest()
    for date in ("2026-08-15", DATE):
        made.put(bottle().entry_key, entry_for(bottle(), date=date, size=10))
    ((_, entry),) = made.entries()
    assert isinstance(entry, Entry)
    assert entry.download_date == DATE
    assert bottle().entry_key in made
