"""OCI indexes, external hash files and reports: read from elsewhere, trusted in nothing."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brew_assets.domain import skip_list as hash_file
from brew_assets.domain.bottle import is_digest
from brew_assets.domain.oci import covers, decode_child_size, decode_index
from brew_assets.domain.report import Failure, Report, decode_report, encode_report, failures_by_reason
from brew_assets.domain.skip_list import HashList, decode_hash_file
from brew_assets.errors import HashFileInvalid
from brew_assets_tests.domain.test_catalogue import JSON
from brew_assets_tests.worlds import bottle, digest_of, manifest_of

ONE, TWO = digest_of("one"), digest_of("two")
NESTED = b"[" * 100_000
ANYTHING = st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode()))


def index(*entries: dict[str, object]) -> bytes:
    return json.dumps({"manifests": entries}).encode()


def entry(digest: str, size: str | None = "100", child: str = f"sha256:{TWO}") -> dict[str, object]:
    annotations = {"sh.brew.bottle.digest": digest}
    if size is not None:
        annotations["sh.brew.bottle.size"] = size
    return {"digest": child, "size": 5, "annotations": annotations}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("100", 100),
        (None, None),
        ("", None),
        ("0", None),
        ("-5", None),
        ("1e3", None),
        ("٣", None),
        (" 5", None),
        ("9" * 15, None),
        ("9" * 5_000, None),
        (str(5 * 1024**4), 5 * 1024**4),
    ],
)
def test_sizes_are_believed_only_when_they_can_be_true(size: str | None, expected: int | None) -> None:
    assert decode_index(index(entry(ONE, size)))[ONE].size == expected


def test_an_index_names_digests_children_and_nothing_else() -> None:
    found = decode_index(
        index(entry(ONE), entry(f"sha256:{TWO}", child="rubbish"), entry("rubbish"), {"digest": "x"})
    )
    assert set(found) == {ONE, TWO}
    assert (found[ONE].child, found[TWO].child) == (TWO, "")
    assert covers(found, [ONE, TWO])
    assert not covers(found, [ONE, digest_of("three")])


def test_a_child_manifest_tells_the_size_of_its_layer() -> None:
    layers = [{"digest": f"sha256:{TWO}", "size": 5}, {"digest": f"sha256:{ONE}", "size": 100}]
    assert decode_child_size(json.dumps({"layers": layers}).encode(), digest=ONE) == 100
    assert decode_child_size(b'{"layers":[]}', digest=ONE) is None
    assert decode_child_size(json.dumps({"layers": [layers[1] | {"size": -1}]}).encode(), digest=ONE) is None


BROKEN = [
    b"",
    b"null",
    b"[]",
    b"<html>",
    b"\xff",
    b'{"manifests":5,"layers":5}',
    b'{"manifests":[5],"layers":[5]}',
    b'{"manifests":[{"digest":"\xff"}],"layers":[{"digest":"\xff"}]}',
    b'{"manifests":[{"x":' + NESTED,
    b'{"layers":[{"x":' + NESTED,
]


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: repr(data[:40]))
def test_what_is_no_index_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected an OCI|codec"):
        decode_index(data)
    with pytest.raises(ValueError, match=r"expected an OCI|codec"):
        decode_child_size(data, digest=ONE)


@given(ANYTHING)
def test_whatever_a_registry_sends_only_a_value_error_comes_out(data: bytes) -> None:
    for decode in (decode_index, lambda found: decode_child_size(found, digest=ONE)):
        with contextlib.suppress(ValueError):
            decode(data)


# External hash files


def test_a_list_and_a_manifest_are_read() -> None:
    assert decode_hash_file(json.dumps([ONE, f"sha256:{TWO}"]).encode()).digests == {ONE, TWO}
    assert decode_hash_file(manifest_of(bottle())).digests == {bottle().digest}
    flat = json.dumps({"bottles": {"a": ONE, "b": {"sha256": TWO}}}).encode()
    assert decode_hash_file(flat).digests == {ONE, TWO}


def test_bad_entries_are_counted_and_named_and_spoil_no_other() -> None:
    bad: list[object] = [ONE.upper(), "", None, 5, 1.5, [], {}, ONE[:-1], f"md5:{ONE}", [[ONE]], True]
    found = decode_hash_file(json.dumps([TWO, *bad]).encode())
    assert found.digests == {TWO}
    assert found.rejected == len(bad)
    assert "entry 1" in found.examples[0]
    many = decode_hash_file(json.dumps(["x"] * 1_000).encode())
    assert (many.rejected, len(many.examples)) == (1_000, 20)
    assert sum(map(len, many.examples)) < 5_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"5",
        b'"text"',
        b"{}",
        b'{"bottles":[]}',
        b"\xff",
        b'["\xff"]',
        b'{"bottles":{"\xff":1}}',
        NESTED,
        b'{"bottles":{"a":' + NESTED,
        b"[1,]",
        rb'["\ud800"]',
        b'["' + b"a" * 2_000_000 + b'\xff"]',
        b'["' + b"a" * 1_048_573 + b'\xc3"]',
        b'[{"a":' * 20_000,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_hash_file_is_invalid(data: bytes) -> None:
    with pytest.raises(HashFileInvalid):
        decode_hash_file(data)


def test_a_number_that_no_decoder_takes_is_one_bad_entry() -> None:
    found = decode_hash_file(b"[" + b"9" * 5_000 + f',"{ONE}"]'.encode())
    assert (set(found.digests), found.rejected) == ({ONE}, 1)


def test_a_hash_file_over_its_limits_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_file, "MAX_HASH_FILE_VALUES", 10)
    assert decode_hash_file(b"[" + b"1," * 8 + b"1]").rejected == 9
    for data in (b"[" + b"1," * 10 + b"1]", b"[" * 6 + b"]" * 6 + b"," * 5, b'{"bottles":' + b"{" * 10):
        with pytest.raises(HashFileInvalid, match="at most 10 values"):
            decode_hash_file(data)
    monkeypatch.setattr(hash_file, "MAX_HASH_FILE_BYTES", 3)
    with pytest.raises(HashFileInvalid, match="at most 3 bytes"):
        decode_hash_file(b"[1] ")


def test_only_wanted_digests_are_kept() -> None:
    data = json.dumps([ONE, TWO, f"sha256:{TWO}", "x"]).encode()
    found = decode_hash_file(data, wanted={TWO})
    assert (set(found.digests), found.rejected) == ({TWO}, 1)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=5),
        st.sampled_from(
            [ONE, TWO, f"sha256:{ONE}", ONE.upper(), ONE[1:], "bottles", 'x"y', "a,b", "\\", "[{"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["sha256", "bottles"]), st.text(max_size=4)), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
FILES = st.one_of(
    st.lists(VALUES, max_size=60),
    st.dictionaries(st.text(max_size=4), VALUES, max_size=40).map(lambda d: {"bottles": d}),
)


def plainly(document: list[Any] | dict[str, Any]) -> tuple[set[str], int]:
    """The digests and the number of bad entries, with all of the document in memory."""
    values = document if isinstance(document, list) else list(document["bottles"].values())
    if isinstance(document, dict):
        values = [value.get("sha256") if isinstance(value, dict) else value for value in values]
        good = [str(value).removeprefix("sha256:") for value in values if isinstance(value, str)]
    else:
        good = [value.removeprefix("sha256:") for value in values if isinstance(value, str)]
    good = [digest for digest in good if is_digest(digest)]
    return set(good), len(values) - len(good)


@given(FILES, st.sampled_from([None, 1]), st.booleans(), st.booleans())
@settings(max_examples=500)
def test_a_hash_file_is_walked_through_as_it_would_be_decoded(
    document: list[Any] | dict[str, Any], indent: int | None, escaped: bool, after: bool
) -> None:
    wrapped = (
        {"other": document, **document, "more": [document]}
        if isinstance(document, dict) and after
        else document
    )
    found = decode_hash_file(
        json.dumps(wrapped, indent=indent, ensure_ascii=escaped).encode(errors="replace")
    )
    assert (set(found.digests), found.rejected) == plainly(document)


@given(ANYTHING)
def test_whatever_a_hash_file_holds_only_our_error_comes_out(data: bytes) -> None:
    with contextlib.suppress(HashFileInvalid):
        assert isinstance(decode_hash_file(data), HashList)


# Reports

REPORT = Report(
    sync_id="s",
    sync_date="2026-08-22",
    platforms=("arm64_sonoma",),
    route="local",
    started_at="a",
    ended_at="b",
    duration_s=2.0,
    planned=3,
)
FAILED = (Failure(name="a", digest=ONE, reason="not found", message="m"),)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "success"),
        ({"kept": 3}, "success"),
        ({"left": 1, "stored": 1}, "stopped"),
        ({"failed": FAILED, "stored": 1}, "partial"),
        ({"failed": FAILED, "kept": 1}, "partial"),
        ({"failed": FAILED}, "failed"),
        ({"aborted": "no space", "stored": 2}, "failed"),
        ({"failed": FAILED, "stored": 1, "left": 1}, "partial"),
    ],
)
def test_the_outcome_says_how_it_ended(changes: dict[str, object], outcome: str) -> None:
    report = Report(**{name: getattr(REPORT, name) for name in Report.__struct_fields__} | changes)
    assert report.outcome == outcome
    assert decode_report(encode_report(report)) == report
    assert json.loads(encode_report(report))["outcome"] == outcome


def test_a_report_of_the_version_before_has_no_reason_for_its_end() -> None:
    document = json.loads(encode_report(REPORT)) | {"aborted": "no space"}
    del document["aborted_reason"]
    report = decode_report(json.dumps(document).encode())
    assert (report.aborted, report.aborted_reason) == ("no space", "")


def test_failures_are_counted_by_reason_most_frequent_first() -> None:
    failures = [
        Failure(name="a", digest=ONE, reason=reason, message="") for reason in ("b", "a", "c", "c", "b", "c")
    ]
    assert list(failures_by_reason(failures).items()) == [("c", 3), ("b", 2), ("a", 1)]


@given(ANYTHING)
def test_whatever_a_report_holds_only_a_value_error_comes_out(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_report(data)
