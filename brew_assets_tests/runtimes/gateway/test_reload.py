"""What is served follows the pointer; what cannot be loaded changes nothing and turns /readyz red."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from brew_assets.compose.gateway import build_served_objects, build_served_records
from brew_assets.domain.publication import POINTER_KEY, PublishedBottle
from brew_assets.engine.served import ServedRecords
from brew_assets.settings import read_settings
from brew_assets_tests.fakes import MovableClock
from brew_assets_tests.integration.mirrors import DirectoryMirror
from brew_assets_tests.runtimes.gateway.gateways import Answer, Client, served_in_thread
from brew_assets_tests.runtimes.gateway.publishing import Publisher, bottle_of

SERVED = 3


class Gateway(NamedTuple):
    mirror: DirectoryMirror
    publisher: Publisher
    records: ServedRecords
    client: Client
    clock: MovableClock

    def bottle(self, version: int) -> PublishedBottle:
        """A bottle that stands in the store."""
        data = f"bottle {version}".encode()
        made = bottle_of("jq", f"jq-{version}.0.arm64_sonoma.bottle.tar.gz", data)
        self.mirror.write(made.key, data)
        return made

    def ready(self) -> tuple[int, str]:
        answer = self.client.get("/readyz")
        return answer.status, str(json.loads(answer.body)["fault"])

    def look(self) -> None:
        """As after RELOAD_SECONDS."""
        self.records.look()

    def ask(self, bottle: PublishedBottle) -> Answer:
        return self.client.get(f"/v2/homebrew/core/jq/blobs/sha256:{bottle.digest}")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    mirror, clock = DirectoryMirror(tmp_path / "mirror"), MovableClock()
    mirror.root.mkdir()
    more = {"RECORDS_SERVED": str(SERVED), "RELOAD_SECONDS": "0.001"}
    settings = read_settings({**mirror.settings, **more})
    records = build_served_records(settings, clock=clock)
    with served_in_thread(records, build_served_objects(settings, clock=clock), clock) as client:
        yield Gateway(mirror, Publisher(mirror), records, client, clock)


def test_without_a_publication_it_is_alive_and_not_ready(gateway: Gateway) -> None:
    gateway.look()
    assert gateway.client.get("/healthz").status == 200
    status, fault = gateway.ready()
    assert status == 503
    assert fault.startswith("published/current.json: expected the pointer to a publication, found nothing")
    answer = gateway.client.get("/api/internal/packages.arm64_sonoma.jws.json")
    assert (answer.status, answer.header("Retry-After")) == (503, "5")
    assert b"no publication" in answer.body
    gateway.publisher.point(gateway.publisher.record([gateway.bottle(1)]))
    gateway.look()
    assert gateway.ready() == (200, "")


def test_the_newest_records_are_served_and_the_current_one(gateway: Gateway) -> None:
    bottles = [gateway.bottle(number) for number in range(6)]
    records = [gateway.publisher.record([bottle]) for bottle in bottles]
    gateway.publisher.point(records[-1])
    gateway.look()
    assert [gateway.ask(bottle).status for bottle in bottles] == [404, 404, 404, 200, 200, 200]
    gateway.publisher.point(records[0])
    gateway.look()
    assert [gateway.ask(bottle).status for bottle in bottles] == [200, 404, 404, 200, 200, 200]
    assert gateway.client.get(f"/bottles/{bottles[0].filename}").body == b"bottle 0"


def test_what_no_record_names_is_not_there(gateway: Gateway) -> None:
    named, unnamed = gateway.bottle(1), gateway.bottle(2)
    record = gateway.publisher.record([named])
    gateway.publisher.record([unnamed])
    gateway.mirror.remove(gateway.publisher.record([unnamed]).key)
    gateway.publisher.point(record)
    gateway.mirror.write("state/plans/x.json", b"{}")
    gateway.look()
    assert (gateway.ask(named).status, gateway.client.get(f"/bottles/{unnamed.filename}").status) == (
        200,
        200,
    )
    for target in (
        "/",
        "/published/",
        f"/{POINTER_KEY}",
        "/state/plans/x.json",
        f"/{named.key}",
        "/bottles/",
    ):
        answer = gateway.client.get(target)
        assert answer.status == 404
        assert answer.body.endswith(b".\n")


def _spoil(gateway: Gateway, key: str) -> None:
    gateway.mirror.write(key, gateway.mirror.read(key).replace(b"2.0", b"9.0"))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda gateway, record: gateway.mirror.remove(record.key), "found nothing"),
        (lambda gateway, record: _spoil(gateway, record.key), "expected a record with sha256"),
        (lambda gateway, record: gateway.mirror.remove(record.api[0].key), "found nothing"),
        (lambda gateway, record: gateway.mirror.write(record.api[0].key, b"{}"), "expected the"),
        (lambda gateway, record: gateway.mirror.write(POINTER_KEY, b"{}"), "expected a pointer"),
        (lambda gateway, record: gateway.mirror.remove(POINTER_KEY), "expected the pointer"),
        (
            lambda gateway, record: gateway.publisher.point(record, sha256="0" * 64),
            "expected a record with sha256",
        ),
    ],
)
def test_a_record_that_cannot_be_loaded_leaves_the_old_one_in_service(
    gateway: Gateway, harm: Callable[[Gateway, object], None], expected: str
) -> None:
    old, new = gateway.bottle(1), gateway.bottle(2)
    first = gateway.publisher.record([old])
    gateway.publisher.point(first)
    gateway.look()
    record = gateway.publisher.record([new])
    api = {published.key: gateway.mirror.read(published.key) for published in record.api}
    gateway.publisher.point(record)
    kept = gateway.mirror.read(record.key)
    harm(gateway, record)
    gateway.look()
    status, fault = gateway.ready()
    assert status == 503
    assert expected in fault
    assert (gateway.ask(old).status, gateway.ask(new).status) == (200, 404)
    answer = gateway.client.get("/api/internal/packages.arm64_sonoma.jws.json")
    assert answer.body == gateway.mirror.read(first.api[0].key)
    # Once it is mended it is loaded, without another publication.
    gateway.mirror.write(record.key, kept)
    for key, data in api.items():
        gateway.mirror.write(key, data)
    gateway.publisher.point(record)
    gateway.look()
    assert gateway.ready() == (200, "")
    assert (gateway.ask(old).status, gateway.ask(new).status) == (200, 200)


def test_an_earlier_record_that_is_damaged_is_left_out_and_the_others_are_served(gateway: Gateway) -> None:
    bottles = [gateway.bottle(number) for number in (1, 2)]
    earlier, current = [gateway.publisher.record([bottle]) for bottle in bottles]
    gateway.mirror.write(earlier.key, gateway.mirror.read(earlier.key)[:-9])
    gateway.publisher.point(current)
    gateway.look()
    assert gateway.ready() == (200, "")
    assert [gateway.ask(bottle).status for bottle in bottles] == [404, 200]


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda gateway, key: gateway.mirror.remove(key), "expected a publication's record, found nothing"),
        (lambda gateway, key: _spoil(gateway, key), "expected a record with sha256"),
    ],
)
def test_a_record_in_service_that_is_lost_turns_it_red_and_is_served_on(
    gateway: Gateway, harm: Callable[[Gateway, str], None], expected: str
) -> None:
    """From memory: but whoever starts anew could not load it."""
    bottle = gateway.bottle(2)
    record = gateway.publisher.record([bottle])
    gateway.publisher.point(record)
    gateway.look()
    assert gateway.ready() == (200, "")
    kept = gateway.mirror.read(record.key)
    harm(gateway, record.key)
    gateway.look()
    status, fault = gateway.ready()
    assert status == 503
    assert expected in fault
    assert gateway.ask(bottle).status == 200
    gateway.mirror.write(record.key, kept)
    assert gateway.ready() == (200, "")


def test_first_objects_that_cannot_be_read_turn_it_red(gateway: Gateway) -> None:
    bottle = gateway.bottle(1)
    gateway.publisher.point(gateway.publisher.record([bottle]))
    gateway.look()
    assert gateway.ready() == (200, "")
    gateway.mirror.remove(bottle.key)
    # Looked at once in RELOAD_SECONDS, which are over at once here.
    status, fault = gateway.ready()
    assert status == 503
    assert fault.startswith(f"{bottle.key}: cannot be read: ")
    answer = gateway.ask(bottle)
    assert (answer.status, b"does not have it whole" in answer.body) == (404, True)


def test_a_tampered_or_missing_object_is_not_given_out(gateway: Gateway) -> None:
    bottle = gateway.bottle(1)
    index = b'{"manifests": []}'
    gateway.mirror.write(f"state/upstream/indexes/jq/1.0/{'0' * 64}.json", index)
    gateway.publisher.point(gateway.publisher.record([bottle]))
    gateway.look()
    # Its name is a digest that it has not: it is not the index that was published.
    assert gateway.client.get("/v2/homebrew/core/jq/manifests/1.0").status == 404
    gateway.mirror.write(bottle.key, b"longer than it was")
    assert gateway.ask(bottle).status == 404


def test_a_link_in_the_store_is_never_followed(gateway: Gateway, tmp_path: Path) -> None:
    bottle = gateway.bottle(1)
    gateway.publisher.point(gateway.publisher.record([bottle]))
    gateway.look()
    secret = tmp_path / "secret"
    secret.write_bytes(gateway.mirror.read(bottle.key))
    path = gateway.mirror.root / bottle.key
    path.unlink()
    path.symlink_to(secret)
    assert gateway.ask(bottle).status == 404
    folder = path.parent
    path.unlink()
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / path.name).write_bytes(secret.read_bytes())
    folder.symlink_to(tmp_path / "elsewhere")
    answer = gateway.ask(bottle)
    assert answer.status in (404, 503)
    assert secret.read_bytes() not in answer.body


def test_a_bottle_newer_than_the_clock_is_dated_now(gateway: Gateway) -> None:
    bottle = gateway.bottle(1)
    gateway.publisher.point(gateway.publisher.record([bottle]))
    gateway.look()
    gateway.clock.advance(-7200)
    answer = gateway.ask(bottle)
    from datetime import timedelta
    from email.utils import parsedate_to_datetime

    shown = parsedate_to_datetime(answer.header("Last-Modified"))
    assert abs(shown - gateway.clock.now()) < timedelta(seconds=30)


def test_old_clients_and_missing_tags_are_told_what_they_need(gateway: Gateway) -> None:
    gateway.publisher.point(gateway.publisher.record([]))
    gateway.look()
    answer = gateway.client.get("/api/formula.jws.json")
    assert (answer.status, b"needs Homebrew 6.0 or later" in answer.body) == (404, True)
    answer = gateway.client.get("/api/internal/packages.arm64_tahoe.jws.json")
    assert (answer.status, b"only for: arm64_sonoma, x86_64_linux" in answer.body) == (404, True)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_with_a_sentence(gateway: Gateway, method: str) -> None:
    answer = gateway.client.get("/healthz", method=method)
    assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")
    assert answer.body == b"This mirror is only read from: GET and HEAD.\n"


def test_ranges_conditions_and_heads_of_a_file(gateway: Gateway) -> None:
    bottle = gateway.bottle(1)
    gateway.publisher.point(gateway.publisher.record([bottle]))
    gateway.look()
    target, data = f"/bottles/{bottle.filename}", b"bottle 1"
    whole = gateway.client.get(target)
    etag = whole.header("ETag")

    def ask(*headers: tuple[str, str], method: str = "GET") -> tuple[int, bytes, str]:
        answer = gateway.client.get(target, *headers, method=method)
        assert answer.header("Transfer-Encoding") == ""
        return answer.status, answer.body, answer.header("Content-Length")

    assert ask() == (200, data, "8")
    assert ask(method="HEAD") == (200, b"", "8")
    assert ask(("Range", "bytes=2-3")) == (206, data[2:4], "2")
    assert ask(("Range", "bytes=-3")) == (206, data[-3:], "3")
    assert ask(("Range", "bytes=0-1,3-4")) == (200, data, "8")
    assert ask(("Range", "bytes=2-3"), ("If-Range", etag)) == (206, data[2:4], "2")
    assert ask(("Range", "bytes=2-3"), ("If-Range", '"other"')) == (200, data, "8")
    assert ask(("Range", "bytes=2-3"), method="HEAD") == (200, b"", "8")
    assert ask(("If-None-Match", etag)) == (304, b"", "")
    assert ask(("If-Modified-Since", whole.header("Last-Modified"))) == (304, b"", "")
    refused = gateway.client.get(target, ("Range", "bytes=8-"))
    assert (refused.status, refused.header("Content-Range")) == (416, "bytes */8")
    assert int(refused.header("Content-Length")) == len(refused.body) > 0
