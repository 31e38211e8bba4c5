"""brew sends the time of its last check: with every answer it has to end with the API that is current.

Two gateways stand over one store and look at the pointer at different times, as two processes do.
"""

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from brew_assets.compose.gateway import build_served_objects, build_served_records
from brew_assets.domain.publication import Publication
from brew_assets.engine.served import ServedRecords
from brew_assets.runtimes.gateway.conditions import http_date
from brew_assets.settings import read_settings
from brew_assets_tests.fakes import MovableClock
from brew_assets_tests.integration.mirrors import BucketMirror, DirectoryMirror, MirrorUnderTest
from brew_assets_tests.runtimes.gateway.gateways import Client, served_in_thread, use_credentials
from brew_assets_tests.runtimes.gateway.publishing import Publisher, api_document

TAG = "arm64_sonoma"
TARGET = f"/api/internal/packages.{TAG}.jws.json"
RELOAD_S, SETTLE_S = 5, 600
PUBLICATIONS = 20


class Side(NamedTuple):
    """One gateway: how it is asked, and what makes it look at the pointer."""

    client: Client
    records: ServedRecords


class Brew:
    """A client that touches its file after every check, as brew does: what it sends is that time."""

    def __init__(self, clock: MovableClock) -> None:
        self._clock = clock
        self._checked: datetime | None = None
        self.file = b""
        self.statuses: list[int] = []

    def check(self, client: Client) -> None:
        headers = [("Accept-Encoding", "deflate, gzip, br, zstd")]
        if self._checked is not None:
            headers.append(("If-Modified-Since", http_date(self._checked)))
        answer = client.get(TARGET, *headers)
        self.statuses.append(answer.status)
        if answer.status == 200:
            self.file = gzip.decompress(answer.body)
        else:
            assert (answer.status, answer.body) == (304, b"")
        self._checked = self._clock.now()


def with_gateways(mirror: MirrorUnderTest, story: Callable[[list[Side], MovableClock], None]) -> None:
    clock = MovableClock()
    settings = read_settings({**mirror.settings, "PUBLICATION_SETTLE_SECONDS": str(SETTLE_S)})
    made = [build_served_records(settings, clock=clock) for _ in range(2)]
    objects = build_served_objects(settings, clock=clock)
    with served_in_thread(made[0], objects, clock) as one, served_in_thread(made[1], objects, clock) as other:
        story([Side(one, made[0]), Side(other, made[1])], clock)


@pytest.fixture
def mirror(tmp_path: Path) -> DirectoryMirror:
    return DirectoryMirror(tmp_path / "mirror")


@pytest.mark.parametrize(("store", "seed"), [*(("directory", seed) for seed in range(4)), ("bucket", 4)])
def test_clients_are_current_after_the_settle_time_across_publications_and_a_move_back(
    store: str,
    seed: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    mirror: MirrorUnderTest = DirectoryMirror(tmp_path / "mirror")
    if store == "bucket":
        mirror = BucketMirror(request.getfixturevalue("s3"))
        use_credentials(monkeypatch, mirror)
    publisher, random = Publisher(mirror), Random(seed)

    def story(sides: list[Side], clock: MovableClock) -> None:
        brews = [Brew(clock) for _ in range(4)]
        records: list[Publication] = []
        for number in range(PUBLICATIONS + 1):
            # The last one is a move back, to what many clients have seen before.
            record = publisher.record([]) if number < PUBLICATIONS else records[-4]
            records.append(record)
            publisher.point(record, since=clock.now())
            if number == 0:
                for side in sides:
                    side.records.look()
            looks = {clock.now() + timedelta(seconds=random.uniform(0, RELOAD_S)): side for side in sides}
            ends = clock.now() + timedelta(seconds=random.choice((700, 1300, 90_000)))
            while clock.now() < ends:
                # Checks come as they come: many in the second of the publication itself.
                clock.advance(random.choice((0, 0, 0.3, 2, 4, 200, 400)))
                for when in [when for when in looks if when <= clock.now()]:
                    looks.pop(when).records.look()
                if not looks or random.random() < 0.8:
                    random.choice(brews).check(random.choice(sides).client)
            clock.advance(SETTLE_S)
            for brew in brews:
                brew.check(random.choice(sides).client)
                assert brew.file == api_document(TAG, record.generated_at), (number, brew.statuses)
        # The rule is no mere "always 200".
        assert all(304 in brew.statuses for brew in brews)
        assert sum(status == 304 for brew in brews for status in brew.statuses) > 100

    with_gateways(mirror, story)


def test_a_gateway_that_learns_of_a_publication_late_counts_from_then(mirror: DirectoryMirror) -> None:
    publisher = Publisher(mirror)

    def story(sides: list[Side], clock: MovableClock) -> None:
        brew, (late, _) = Brew(clock), sides
        publisher.point(publisher.record([]), since=clock.now())
        late.records.look()
        brew.check(late.client)
        record = publisher.record([], lacking_api=True)
        publisher.point(record, since=clock.now())
        # For an hour it cannot load the record; a client is told what it knows.
        clock.advance(3600)
        late.records.look()
        assert "expected the" in late.records.fault_now()
        brew.check(late.client)
        for published in record.api:
            mirror.write(published.key, api_document(published.tag, record.generated_at))
        clock.advance(1)
        late.records.look()
        assert late.records.fault_now() == ""
        clock.advance(1)
        brew.check(late.client)
        assert brew.file == api_document(TAG, record.generated_at)
        clock.advance(SETTLE_S + 2)
        brew.check(late.client)
        clock.advance(1)
        brew.check(late.client)
        assert brew.statuses[-1] == 304

    with_gateways(mirror, story)


def test_until_the_settle_time_is_over_no_api_file_is_answered_with_304(mirror: DirectoryMirror) -> None:
    publisher = Publisher(mirror)

    def story(sides: list[Side], clock: MovableClock) -> None:
        (side, _) = sides
        moved = clock.now()
        publisher.point(publisher.record([]), since=moved)
        side.records.look()
        first = side.client.get(TARGET)
        assert first.header("Last-Modified") == http_date(moved)
        etag = ("If-None-Match", first.header("ETag"))
        assert side.client.get(TARGET, etag).status == 200
        for later_s, status in ((-3600, 200), (0, 200), (SETTLE_S - 1, 200), (SETTLE_S + 2, 304)):
            asked = ("If-Modified-Since", http_date(moved + timedelta(seconds=later_s)))
            assert side.client.get(TARGET, asked).status == status
            assert side.client.get(TARGET, asked, method="HEAD").status == status
        clock.advance(SETTLE_S + 1)
        assert side.client.get(TARGET, etag).status == 304
        assert side.client.get(TARGET, ("If-None-Match", '"other"')).status == 200

    with_gateways(mirror, story)
