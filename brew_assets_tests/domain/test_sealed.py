"""Plans and batches: believed only as they were sealed, and with fields that can be."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from brew_assets.domain.batch import Batch, batch_key, decode_batch, encode_batch
from brew_assets.domain.lost import with_lost
from brew_assets.domain.manifest import Entry, entry_for
from brew_assets.domain.oci import MAX_BOTTLE_BYTES
from brew_assets.domain.plan import Plan, decode_plan, encode_plan, with_sizes
from brew_assets.domain.seal import seal
from brew_assets.errors import PlanInvalid
from brew_assets_tests.worlds import (
    CREATED_AT,
    DATE,
    SYNC_ID,
    bottle,
    catalogue_of,
    digest_of,
    formula,
    held,
    plan_of,
    planned,
    resealed,
    unsealed,
)

KEY = batch_key(SYNC_ID, "20260822-030000-0a")
PLAN = plan_of(
    catalogue_of(formula("good0", "1.0", tags=("arm64_sonoma", "arm64_tahoe")), formula("foo@2", "2_1")),
    "arm64_sonoma",
    "arm64_tahoe",
)
BATCH = Batch(sync_id=SYNC_ID, sync_date=DATE, objects=PLAN.objects)


def read_batch(data: bytes) -> Batch:
    return decode_batch(data, key=KEY)


KINDS: list[tuple[Callable[[bytes], object], bytes]] = [
    (decode_plan, encode_plan(PLAN)),
    (read_batch, encode_batch(BATCH)),
]


def finding(decode: Callable[[bytes], object], data: bytes) -> str:
    with pytest.raises(PlanInvalid) as caught:
        decode(data)
    assert len(str(caught.value)) < 900
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_sealed_document_ends_with_its_seal_and_reads_back() -> None:
    for decode, document in KINDS:
        assert list(json.loads(document))[-1] == "integrity"
        assert decode(document) in (PLAN, BATCH)


@pytest.mark.parametrize("kind", KINDS, ids=("plan", "batch"))
def test_no_changed_byte_is_believed(kind: tuple[Callable[[bytes], object], bytes]) -> None:
    decode, document = kind
    for position in range(len(document) - 1):
        changed = bytearray(document)
        changed[position] ^= 1
        finding(decode, bytes(changed))
        finding(decode, document[:position])


def test_a_changed_letter_is_named_with_both_digests_and_the_remedy() -> None:
    said = finding(
        lambda data: decode_plan(data, where="state/plans/x.json"), encode_plan(PLAN).replace(b"1.0", b"1.8")
    )
    assert said.startswith(
        "state/plans/x.json: expected a plan as it was sealed, found that its bytes changed"
    )
    assert "`brew-mirror plan`" in said
    assert "pending_bottles" in said
    assert KEY in finding(read_batch, encode_batch(BATCH).replace(b"good0", b"gooe0"))


def test_a_document_of_the_version_without_a_seal_is_carried_out_by_nobody() -> None:
    plan, batch = encode_plan(PLAN), encode_batch(BATCH)
    assert "expected plan_version 2, found 1" in finding(decode_plan, unsealed(plan, plan_version=1))
    assert "same version" in finding(read_batch, unsealed(batch, batch_version=1))
    # Who copies nothing of it reads it: a folder from before the upgrade keeps the names of its bottles.
    old = decode_plan(unsealed(plan, plan_version=1), sealed=False)
    assert old == structs.replace(PLAN, plan_version=1)
    assert decode_batch(unsealed(batch, batch_version=1), sealed=False).objects == BATCH.objects


def test_without_its_seal_a_document_is_no_document_of_this_version() -> None:
    for sealed in (True, False):
        said = finding(lambda data: decode_plan(data, sealed=sealed), unsealed(encode_plan(PLAN)))  # noqa: B023
        assert "no `integrity` field" in said
    changed = encode_plan(PLAN).replace(b"1.0", b"1.8")
    assert "bytes changed" in finding(lambda data: decode_plan(data, sealed=False), changed)


@pytest.mark.parametrize("version", [0, 1, 3, 10**25, -1])
def test_another_version_is_refused_by_its_number(version: int) -> None:
    assert "expected plan_version 2" in finding(
        decode_plan, resealed(encode_plan(PLAN), plan_version=version)
    )


def test_a_document_of_before_the_upgrade_has_its_fields_checked_too() -> None:
    old = unsealed(encode_plan(PLAN), plan_version=1, sync_date="state/receipts")
    assert "sync_date: expected" in finding(lambda data: decode_plan(data, sealed=False), old)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sync_date": "state/receipts"}, "sync_date: expected YYYY-MM-DD, found 'state/receipts'"),
        ({"sync_date": "2036-08-22"}, "sync_date: expected the date of created_at ('2026-08-22T03:00:00Z')"),
        ({"sync_date": "2026-02-30", "created_at": "2026-02-30T"}, "sync_date: expected YYYY-MM-DD"),
        ({"sync_id": "../x"}, "sync_id: expected letters, digits and hyphens, found '../x'"),
        ({"sync_id": ""}, "sync_id"),
        ({"sync_id": "x" * 80}, "sync_id"),
        ({"sync_id": "\x1b[2J"}, r"'\x1b[2J'"),
        ({"catalogue_sha256": "../x"}, "catalogue_sha256: expected 64"),
        ({"platforms": []}, "platforms: expected at least one"),
        (
            {"platforms": ["arm64_sonomb"]},
            "platforms: expected platforms that are known, found 'arm64_sonomb'",
        ),
        ({"platforms": ["arm64_sonoma"] * 2}, "platforms: expected each once"),
        ({"formulae": ["a/b"]}, "formulae: expected names of formulae, found 'a/b'"),
        ({"held": -1}, "$.held"),
        ({"skipped": True}, "$.skipped"),
        ({"route": "train"}, "$.route"),
        ({"objects": {}}, "$.objects"),
    ],
)
def test_a_plan_with_a_field_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in finding(decode_plan, resealed(encode_plan(PLAN), **changes))


def with_object(document: bytes, changes: dict[str, Any], number: int = 0) -> bytes:
    """The document, resealed, whose object with this number has other fields."""
    objects = json.loads(document)["objects"]
    known = objects[number]["bottle"]
    objects[number] |= {name: value for name, value in changes.items() if name not in known}
    known |= {name: value for name, value in changes.items() if name in known}
    return resealed(document, objects=objects)


DIGEST = digest_of("other")
FOREIGN = "https://registry.example/v2/mine/core/good0/blobs/sha256:"


@pytest.mark.parametrize("kind", KINDS, ids=("plan", "batch"))
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formula": "a/b"}, "objects[0].bottle.formula: expected a formula's name, found 'a/b'"),
        ({"formula": "../x"}, "bottle.formula"),
        ({"formula": "gooe0"}, "bottle.url: expected an address that ends /gooe0/blobs/sha256:"),
        ({"pkg_version": "1/0"}, "bottle.pkg_version: expected a version, found '1/0'"),
        ({"pkg_version": ".."}, "bottle.pkg_version"),
        ({"pkg_version": ""}, "bottle.pkg_version"),
        ({"tag": "arm64_sonomb"}, "bottle.tag: expected a bottle tag, found 'arm64_sonomb'"),
        ({"tag": "../x"}, "bottle.tag"),
        ({"tag": "x86_64_linux"}, "bottle.tag: expected a tag that serves arm64_"),
        ({"digest": "0" * 63}, "bottle.digest: expected 64"),
        ({"digest": DIGEST.upper()}, "bottle.digest"),
        ({"digest": DIGEST}, "bottle.url"),
        ({"url": f"https://ghcr.io/v2/homebrew/core/other/blobs/sha256:{DIGEST}"}, "bottle.url"),
        ({"url": ""}, "bottle.url"),
        ({"rebuild": -1}, "bottle.rebuild: expected 0 to 99999, found -1"),
        ({"rebuild": 100_000}, "bottle.rebuild"),
        ({"rebuild": True}, "rebuild"),
        ({"size": 0}, "size: expected 1 to"),
        ({"size": -5}, "size"),
        ({"size": MAX_BOTTLE_BYTES + 1}, "size"),
        ({"size": 10**40}, "found a number of more than 30 digits"),
        ({"platforms": []}, "platforms: expected at least one"),
        ({"platforms": ["arm64_nowhere"]}, "platforms: expected platforms of the plan"),
        ({"owner": "../x"}, "owner: expected a platform of the plan, found '../x'"),
        ({"source": "../../x"}, "source: expected the key of a bottle"),
        ({"source": "bottles_hash.json"}, "source"),
        ({"source": ""}, "source"),
        ({"source": "2026-02-30/wget-1.arm64_sonoma.bottle.tar.gz"}, "source"),
        ({"lost": "bottles_hash.json"}, "lost: expected <date>/good0-1.0."),
        ({"lost": f"{DATE}/other-1.0.arm64_sonoma.bottle.tar.gz"}, "lost"),
        ({"pkg_version": "1" * 128, "formula": "g" * 128}, "bottle.url"),
    ],
)
def test_an_object_with_a_field_that_cannot_be_is_refused(
    kind: tuple[Callable[[bytes], object], bytes], changes: dict[str, Any], words: str
) -> None:
    decode, document = kind
    assert words in finding(decode, with_object(document, changes))


def test_a_name_that_is_longer_than_file_systems_take_is_refused() -> None:
    long = planned(bottle("g" * 120, "1" * 120))
    assert "file name" in finding(read_batch, encode_batch(structs.replace(BATCH, objects=(long,))))


def test_a_bottle_that_stands_twice_is_refused() -> None:
    # Two ways to part name and version meet in one key.
    for pair in ([bottle()] * 2, [bottle("a-1", "2"), bottle("a", "1-2")]):
        batch = structs.replace(BATCH, objects=tuple(map(planned, pair)))
        assert "every bottle once" in finding(read_batch, encode_batch(batch))


def test_an_object_is_for_platforms_of_its_plan_and_owned_by_one_of_them() -> None:
    document = encode_plan(PLAN)
    tag = PLAN.objects[0].bottle.tag
    assert "platforms of the plan" in finding(
        decode_plan, with_object(document, {"platforms": [tag, "tahoe"]})
    )
    assert "owner" in finding(decode_plan, with_object(document, {"owner": "tahoe"}))


def test_a_registry_of_ones_own_is_known_by_the_end_of_its_address() -> None:
    digest = PLAN.objects[0].bottle.digest
    document = with_object(encode_plan(PLAN), {"url": f"{FOREIGN}{digest}"})
    assert decode_plan(document).objects[0].bottle.url == f"{FOREIGN}{digest}"


def test_a_batch_is_of_the_sync_that_its_key_names() -> None:
    other = structs.replace(BATCH, sync_id="20260101T000000Z-00000000")
    assert f"expected '{SYNC_ID}', that of its key" in finding(read_batch, encode_batch(other))
    for changes in ({"sync_date": "state/receipts"}, {"sync_id": "../x"}, {"sync_date": "2026-2-2"}):
        finding(read_batch, resealed(encode_batch(BATCH), **changes))


def test_who_names_bottles_by_value_names_their_folder_too() -> None:
    by_value = structs.replace(PLAN, catalogue_sha256="", sync_date="2026-01-02")
    assert decode_plan(encode_plan(by_value)) == by_value


# What plans are made of can be read back


def lost_entry(**changes: Any) -> dict[str, Entry]:
    item = bottle("gone", "1.0")
    return {item.entry_key: structs.replace(entry_for(item, date=DATE, size=7), **changes)}


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://archive.example/gone-1.0.tar.gz"},
        {"file_size": MAX_BOTTLE_BYTES + 1},
        {"formula_name": "gone x"},
        {"s3_key": f"{DATE}/other-1.0.arm64_sonoma.bottle.tar.gz"},
    ],
)
def test_a_lost_bottle_that_no_plan_can_name_is_counted_and_not_planned(changes: dict[str, Any]) -> None:
    lost = lost_entry(**changes)
    plan = with_lost(PLAN, lost)
    assert (plan.left_out.lost, plan.left_out.lost_planned) == (1, 0)
    assert decode_plan(encode_plan(plan)) == plan
    whole = with_lost(PLAN, lost_entry())
    assert whole.left_out.lost_planned == 1
    assert decode_plan(encode_plan(whole)) == whole


def test_a_size_that_no_bottle_has_is_no_size() -> None:
    digests = [item.bottle.digest for item in PLAN.objects]
    assert with_sizes(PLAN, dict.fromkeys(digests, MAX_BOTTLE_BYTES + 1)) == PLAN
    again = [structs.replace(item.bottle, pkg_version="0") for item in PLAN.objects]
    catalogue = catalogue_of(formula("good0", "1.0", tags=("arm64_sonoma",)))
    assert plan_of(catalogue, have=held(again, size=9)).objects[0].source is not None
    assert plan_of(catalogue, have=held(again, size=MAX_BOTTLE_BYTES + 1)).objects[0].source is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(Plan.__struct_fields__), JSON_VALUES, st.booleans())
def test_whatever_a_sealed_field_holds_only_our_error_comes_out(
    name: str, value: object, as_object: bool
) -> None:
    document = encode_plan(PLAN)
    changed = with_object(document, {"size": value}) if as_object else resealed(document, **{name: value})
    try:
        found = decode_plan(changed)
    except PlanInvalid:
        return
    assert decode_plan(encode_plan(found)) == found


def test_a_number_of_5000_digits_is_refused() -> None:
    data = json.dumps({"sync_id": "x"})[:-1] + ',"held":1' + "0" * 5000 + "}"
    finding(decode_plan, bytes(seal(data.encode())))


def test_reading_a_full_plan_back_takes_time_in_proportion() -> None:
    def cpu_s(count: int) -> float:
        objects = tuple(planned(bottle(f"formula{number}")) for number in range(count))
        document = encode_plan(structs.replace(PLAN, objects=objects, created_at=CREATED_AT))
        began = time.process_time()
        assert len(decode_plan(document).objects) == count
        return time.process_time() - began

    small = min(cpu_s(1_000) for _ in range(3))
    assert cpu_s(20_000) < 20 * max(small, 0.005) * 4


def test_a_long_value_makes_no_long_error() -> None:
    whole = json.loads(bytes(encode_plan(plan_of(catalogue_of(formula("jq"))))))
    del whole["integrity"]
    spoiled = bytes(seal(json.dumps(whole | {"route": "\x1b" + "x" * 100_000}).encode()))
    with pytest.raises(PlanInvalid) as caught:
        decode_plan(spoiled)
    assert len(str(caught.value)) < 1_000
    assert str(caught.value).isprintable()
