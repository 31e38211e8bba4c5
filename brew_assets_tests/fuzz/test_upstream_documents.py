"""What upstream sends: whatever it is, it is refused in our words, or what comes of it is sound."""

import json
from datetime import UTC, datetime
from random import Random

from brew_assets.adapters.ghcr.answers import answer_error
from brew_assets.domain.api import decode_packages
from brew_assets.domain.api_bottles import bottles_of_api
from brew_assets.domain.bottle import is_digest
from brew_assets.domain.catalogue import check_served, check_serves, choose_bottles, decode_catalogue
from brew_assets.domain.dependencies import Dependencies
from brew_assets.domain.oci import MAX_BOTTLE_BYTES, decode_child_size, decode_index
from brew_assets.domain.platforms import KNOWN_PLATFORMS
from brew_assets.domain.signatures import verified_payload
from brew_assets.domain.skip_list import decode_hash_file
from brew_assets.engine.clock import SystemClock
from brew_assets.engine.retry import MAX_BUSY_WAIT_S, MIN_BUSY_WAIT_S, parse_retry_after
from brew_assets.errors import (
    CatalogueInvalid,
    HashFileInvalid,
    PublicationInvalid,
    UpstreamBusy,
    UpstreamError,
)
from brew_assets_tests.fuzz.fuzzing import assert_sound, decoded, fuzzed
from brew_assets_tests.fuzz.mutations import changed_text, spoiled
from brew_assets_tests.signed import entry, file_of, key, packages, public
from brew_assets_tests.worlds import DATE, bottle, digest_of, formula, manifest_of

# More than ten: of eleven formulae one may be spoiled, and the others are still used.
CATALOGUE = json.dumps(
    [
        formula(
            "wget", tags=("arm64_sonoma", "sonoma"), revision=3, rebuild=1, aliases=["w"], oldnames=["get"]
        ),
        formula(
            "python@3.13",
            "3.13.0",
            tags=("all",),
            dependencies=["get", "libsigc++@2", "f1"],
            uses_from_macos=["f2", {"f3": "build"}, {"f4": ["build", "test"]}, "wget"],
            uses_from_macos_bounds=[{}, {"since": "sonoma"}, {}, {"since": "catalina"}],
            variations={"x86_64_linux": {"dependencies": ["f5"]}, "sonoma": {"uses_from_macos": ["f6"]}},
        ),
        formula("libsigc++@2", "2.12.1", tags=("arm64_tahoe", "x86_64_linux"), disabled=True),
        formula("head-only", None, tags=()),
        *(formula(f"f{number}", tags=("arm64_sonoma",)) for number in range(12)),
    ]
).encode()


@fuzzed
def test_catalogues(random: Random) -> None:
    data = spoiled(CATALOGUE, random)
    catalogue = decoded(lambda: decode_catalogue(data, sha256=digest_of(data)), CatalogueInvalid, data)
    if catalogue is None:
        return
    assert catalogue.names()
    assert all(str(rejected).isprintable() for rejected in catalogue.rejected)
    chosen = choose_bottles(catalogue, KNOWN_PLATFORMS, include_disabled=True)
    for item, platforms in chosen:
        assert_sound(item, DATE)
        assert platforms
    assert len({item.filename for item, _ in chosen}) == len(chosen)
    known = {formula.name for formula in catalogue.formulae}
    dependencies = Dependencies(catalogue, excluded=frozenset({"f6"}) & known)
    for platform in ("arm64_sonoma", "sonoma", "x86_64_linux"):
        assert dependencies.closure(platform, known - {"f6"}).names == known - {"f6"}
    for check in (check_served, check_serves):
        decoded(lambda check=check: check(catalogue, ("arm64_sonoma",)), CatalogueInvalid, data)  # type: ignore[misc]


# Payloads are believed once they are verified; what is in them is checked all the same.
PACKAGES = packages(
    formulae={
        "wget": entry("wget", revision=3, bottle_rebuild=1),
        "python@3.13": entry("python@3.13", "3.13.0", bottle_tag=":all"),
        "old": entry("old", disable_args={":date": "2026-01-01", ":because": ":unmaintained"}),
        "head-only": entry("head-only", bottle_checksum=None, stable_version=None),
        **{f"f{number}": entry(f"f{number}") for number in range(12)},
    }
).encode()


@fuzzed
def test_packages_files(random: Random) -> None:
    data = spoiled(PACKAGES, random)
    file = decoded(lambda: decode_packages(data, tag="arm64_sonoma"), PublicationInvalid, data)
    if file is None:
        return
    assert all(str(rejected).isprintable() for rejected in file.rejected)
    for item in file.bottles:
        assert_sound(item.bottle(), DATE)
    for chosen, platforms in bottles_of_api([file], KNOWN_PLATFORMS, include_disabled=True):
        assert_sound(chosen, DATE)
        assert platforms == ("arm64_sonoma",)


SIGNED = file_of()


@fuzzed
def test_signed_files(random: Random) -> None:
    data = spoiled(SIGNED, random)
    verified = decoded(
        lambda: verified_payload(data, public(key()), where="packages"), PublicationInvalid, data
    )
    assert verified in (None, json.loads(SIGNED)["payload"])


INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            {
                "digest": f"sha256:{digest_of(tag)}",
                "size": 1000,
                "annotations": {
                    "sh.brew.bottle.digest": digest_of(f"bottle {tag}"),
                    "sh.brew.bottle.size": "4711",
                },
            }
            for tag in ("sonoma", "all", "tahoe")
        ],
    }
).encode()


@fuzzed
def test_indexes(random: Random) -> None:
    data = spoiled(INDEX, random)
    for digest, found in (decoded(lambda: decode_index(data), ValueError, data) or {}).items():
        assert is_digest(digest)
        assert found.digest == digest
        assert found.size is None or 0 < found.size <= MAX_BOTTLE_BYTES
        assert found.child == "" or is_digest(found.child)


CHILD_DIGEST = digest_of("layer")
CHILD = json.dumps(
    {"layers": [{"digest": f"sha256:{CHILD_DIGEST}", "size": 4711, "annotations": {"a": "b"}}] * 2}
).encode()


@fuzzed
def test_child_manifests(random: Random) -> None:
    data = spoiled(CHILD, random)
    size = decoded(lambda: decode_child_size(data, digest=CHILD_DIGEST), ValueError, data)
    assert size is None or 0 < size <= MAX_BOTTLE_BYTES


HASH_LIST = json.dumps(
    [digest_of(str(number)) for number in range(4)] + [f"sha256:{digest_of('x')}"]
).encode()
HASH_MANIFEST = bytes(manifest_of(bottle("jq"), bottle("wget", tag="all")))


@fuzzed
def test_hash_files(random: Random) -> None:
    data = spoiled(random.choice((HASH_LIST, HASH_MANIFEST)), random)
    found = decoded(lambda: decode_hash_file(data), HashFileInvalid, data)
    if found is not None:
        assert all(is_digest(digest) for digest in found.digests)
        assert len(found.examples) <= found.rejected
        assert all(len(example) < 500 for example in found.examples)


REFUSAL = json.dumps(
    {"errors": [{"code": "TOOMANYREQUESTS", "message": "retry-after: 880.092ms, allowed: 44000/minute"}]}
).encode()
WAITS = ("120", "1m2.5s", "880.092µs", "Fri, 28 Aug 2026 03:00:00 GMT", "Fri, 28 Aug 2026 03:00:00 +0530")


@fuzzed
def test_refusals_of_a_registry(random: Random) -> None:
    body = spoiled(REFUSAL, random)
    wait = random.choice((None, changed_text(random.choice(WAITS), random)))
    status = random.choice((401, 404, 429, 500, 503))
    error = answer_error("wget", status=status, body=body, retry_after=wait, now=SystemClock().now())
    assert isinstance(error, UpstreamError)
    assert str(error).isprintable()
    if isinstance(error, UpstreamBusy) and error.wait_s is not None:
        assert MIN_BUSY_WAIT_S <= error.wait_s <= MAX_BUSY_WAIT_S


@fuzzed
def test_waits_that_a_server_asks_for(random: Random) -> None:
    text = changed_text(random.choice(WAITS), random)
    wait = parse_retry_after(text, now=datetime(2026, 8, 28, 2, 59, tzinfo=UTC), body=text)
    assert wait is None or MIN_BUSY_WAIT_S <= wait <= MAX_BUSY_WAIT_S
