"""Every request that a real brew was seen to send, headers verbatim, is answered with the right bytes."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.publication import PublishedApi, PublishedBottle, PublishedIndex
from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.integration.ways import Way, a_rebuilt_manifest, an_import, plan_without_sizes
from brew_assets_tests.runtimes.gateway.conftest import PLATFORMS, Filled, fill
from brew_assets_tests.runtimes.gateway.gateways import (
    Answer,
    Client,
    ServeProcess,
    request_bytes,
    serve_process,
)

CAPTURED = json.loads((Path(__file__).parents[2] / "data" / "brew-requests.json").read_text())["requests"]
SURFACES = {"artifact": "", "bottle": "/bottles", "api": "/api"}
# Half an hour before the first If-Modified-Since that was captured.
SINCE = datetime(2026, 11, 28, 10, 47, tzinfo=UTC)
RESUMED_AT = 9653


@pytest.fixture
def gateway(filled: Filled, folder: Path) -> Iterator[ServeProcess]:
    filled.publisher.point(filled.record, since=SINCE)
    with serve_process(filled.mirror, folder) as serving:
        yield serving


def names(filled: Filled) -> list[tuple[str, PublishedBottle, PublishedIndex]]:
    """Flat name, bottle, and the index that brew asks for beside it."""
    by_image: dict[str, list[PublishedIndex]] = {}
    for index in filled.record.indexes:
        by_image.setdefault(index.image, []).append(index)
    found = []
    for flat, bottle in filled.bottles.items():
        parts = parse_filename(flat)
        assert parts is not None
        suffix = f"-{parts.rebuild}" if parts.rebuild else ""
        (index,) = [
            one for one in by_image[bottle.image] if f"{parts.stem}{suffix}".endswith(f"-{one.reference}")
        ]
        found.append((flat, bottle, index))
    return found


def replay(client: Client, request: dict[str, Any], **values: str) -> Answer:
    """The answer to the request as it was captured, its names filled in."""
    target = SURFACES[request["surface"]] + request["target"].format(**values)
    data = request_bytes(request["method"], target, [tuple(header) for header in request["headers"]])
    return client.send(data, is_head=request["method"] == "HEAD")


def followed(answer: Answer, request: dict[str, Any]) -> Answer:
    """The answer itself, or what its address brings, asked for as curl does: without Authorization."""
    if answer.status != 307:
        return answer
    assert answer.header("Content-Length") == "0"
    assert request["method"] == "GET"
    to = urlsplit(answer.header("Location"))
    headers = [("Host", to.netloc)]
    headers += [(name, value) for name, value in request["headers"] if name not in ("Host", "Authorization")]
    assert to.port is not None
    return Client(to.port).send(request_bytes("GET", f"{to.path}?{to.query}", headers))


def test_every_captured_request_is_answered_for_every_name(filled: Filled, gateway: ServeProcess) -> None:
    assert_awkward(filled)
    assert_bottles_are_answered(filled, gateway.client)
    assert_the_api_is_answered(filled, gateway.client)


@pytest.mark.parametrize("store", ["directory", "bucket"])
@pytest.mark.parametrize("way", [plan_without_sizes, an_import, a_rebuilt_manifest])
def test_however_the_mirror_was_made_every_captured_request_is_answered(
    way: Way, store: str, request: pytest.FixtureRequest, folder: Path
) -> None:
    mirror: MirrorUnderTest = DirectoryMirror(folder / "mirror")
    if store == "bucket":
        mirror = BucketMirror(request.getfixturevalue("s3"))
    filled = fill(mirror, folder, way)
    filled.publisher.point(filled.record, since=SINCE)
    assert_awkward(filled)
    with serve_process(mirror, folder) as serving:
        assert_bottles_are_answered(filled, serving.client)
        assert_the_api_is_answered(filled, serving.client)


def assert_awkward(filled: Filled) -> None:
    """The names are there that were trouble to somebody, and all of them are published."""
    assert {*filled.bottles.values()} == {*filled.record.bottles}
    flats = sorted(filled.bottles)
    for part in ("openssl@3-", "libsigc++@2-2.12.1_2.", "afl++-4.33c.x86_64_linux.bottle.3.", "llama.cpp-"):
        assert any(flat.startswith(part) for flat in flats), part
    assert {"agda-2.8.0-r3.arm64_sonoma.bottle.tar.gz", "ca-certificates-2026-08-13.all.bottle.tar.gz"} < {
        *flats
    }
    digests = {flat: bottle.digest for flat, bottle in filled.bottles.items()}
    two_tags = [digests[flat] for flat in flats if flat.startswith("shared-")]
    two_versions = [digests[flat] for flat in flats if flat.startswith("same-")]
    assert len(two_tags) == len(two_versions) == 2
    assert (len({*two_tags}), len({*two_versions})) == (1, 1)


def assert_bottles_are_answered(filled: Filled, client: Client) -> None:
    """Each request for an index or a bottle, for every name."""
    redirects = isinstance(filled.mirror, BucketMirror)
    counted = 0
    for flat, bottle, index in names(filled):
        data, stored = filled.mirror.read(bottle.key), filled.mirror.read(index.key)
        # As brew writes it, and as somebody would by hand.
        for name in {quote(flat, safe=""), flat}:
            for request in (one for one in CAPTURED if one["surface"] != "api"):
                values = {"image": bottle.image, "reference": index.reference, "digest": bottle.digest}
                first = replay(client, request, flat=name, **values)
                answer = followed(first, request)
                counted += 1
                if "portable-ruby" in request["target"]:
                    assert answer.status == 404
                elif "manifests" in request["target"]:
                    assert_index(answer, stored)
                else:
                    is_get = request["method"] == "GET"
                    assert (first.status == 307) == (redirects and is_get)
                    assert_bottle(
                        answer, request, data, bottle, flat if "{flat}" in request["target"] else ""
                    )
    assert counted >= len(filled.bottles) * 12


def assert_index(answer: Answer, stored: bytes) -> None:
    digest = f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert (answer.status, answer.body) == (200, stored)
    assert answer.header("Content-Type") == "application/vnd.oci.image.index.v1+json"
    assert answer.header("Content-Length") == str(len(stored))
    assert (answer.header("ETag"), answer.header("Docker-Content-Digest")) == (f'"{digest}"', digest)


def assert_bottle(
    answer: Answer, request: dict[str, Any], data: bytes, bottle: PublishedBottle, flat: str
) -> None:
    resumes = any(name == "Range" for name, _ in request["headers"])
    expected = data[RESUMED_AT:] if resumes else data
    assert answer.status == (206 if resumes else 200)
    assert answer.header("Content-Length") == str(len(expected))
    assert answer.header("Transfer-Encoding") == ""
    assert answer.header("Accept-Ranges") == "bytes"
    assert not answer.header("Content-Type").startswith("text/")
    assert answer.body == (b"" if request["method"] == "HEAD" else expected)
    if resumes:
        assert answer.header("Content-Range") == f"bytes {RESUMED_AT}-{len(data) - 1}/{len(data)}"
    disposition = f'attachment; filename="{flat}"' if flat else ""
    assert answer.header("Content-Disposition") == disposition
    if request["method"] == "HEAD":
        assert answer.header("Docker-Content-Digest") == f"sha256:{bottle.digest}"
        assert parsedate_to_datetime(answer.header("Last-Modified")) <= datetime.now(UTC)


def assert_the_api_is_answered(filled: Filled, client: Client) -> None:
    """Each request for the API, for every tag, with the status that the real client was given."""
    assert {published.tag for published in filled.record.api} == set(PLATFORMS)
    for request in (one for one in CAPTURED if one["surface"] == "api"):
        for published in filled.record.api:
            answer = replay(client, request, tag=published.tag)
            assert answer.status == request["captured_status"], request["id"]
            if answer.status == 200:
                assert_api(answer, published, filled.mirror.read(published.key))
            else:
                assert answer.body == b""
            assert answer.header("Last-Modified") == "Sat, 28 Nov 2026 10:47:00 GMT"


def assert_api(answer: Answer, published: PublishedApi, stored: bytes) -> None:
    # Every one of them accepts gzip.
    assert answer.header("Content-Encoding") == "gzip"
    assert answer.header("Content-Length") == str(len(answer.body))
    assert gzip.decompress(answer.body) == stored
    assert answer.header("ETag") == f'"sha256:{hashlib.sha256(answer.body).hexdigest()}"'
    assert answer.header("Vary") == "Accept-Encoding"
    assert hashlib.sha256(stored).hexdigest() == published.sha256


def test_the_log_has_a_line_for_each_request_and_nothing_secret(
    filled: Filled, gateway: ServeProcess
) -> None:
    flat, bottle, index = names(filled)[0]
    values = {"image": bottle.image, "reference": index.reference, "digest": bottle.digest, "flat": flat}
    sent = 0
    for request in CAPTURED:
        location = replay(gateway.client, request, tag="arm64_sonoma", **values).header("Location")
        sent += 1
        for secret in filter(None, [urlsplit(location).query]):
            assert secret not in gateway.text()
    answer = gateway.client.get(
        "/healthz?token=hush-hush", ("Authorization", "Basic aHVzaC1odXNo"), ("Cookie", "hush-hush")
    )
    assert answer.status == 200
    gateway.process.terminate()
    assert gateway.process.wait(30) == 0
    lines = [line for line in gateway.lines() if line["message"] == "answered"]
    assert len(lines) == sent + 1
    assert {line["path"] for line in lines} >= {"/healthz", f"/bottles/{flat}"}
    for secret in ("QQ==", "Bearer", "hush-hush", "aHVzaC1odXNo", "Signature"):
        assert secret not in gateway.text()
