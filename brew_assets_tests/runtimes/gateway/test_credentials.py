"""A signed address dies with its credentials: none is given out in the last half of that life."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from brew_assets.compose.gateway import build_served_objects, build_served_records
from brew_assets.engine.served_objects import ServedObjects
from brew_assets.settings import read_settings
from brew_assets_tests.fakes import MovableClock
from brew_assets_tests.integration.mirrors import BucketMirror
from brew_assets_tests.runtimes.gateway.gateways import Answer, Client, served_in_thread
from brew_assets_tests.runtimes.gateway.publishing import Publisher, bottle_of
from brew_assets_tests.servers import ACCESS_KEY, READER, SECRET_KEY, S3Server

OWNER = (ACCESS_KEY, SECRET_KEY)
OTHER = (READER["AWS_ACCESS_KEY_ID"], READER["AWS_SECRET_ACCESS_KEY"])
DATA = b"a bottle"
BOTTLE = bottle_of("jq", "jq-1.0.arm64_sonoma.bottle.tar.gz", DATA)
TARGET = f"/v2/homebrew/core/jq/blobs/sha256:{BOTTLE.digest}"
PRESIGN_S = 3600


class Keys:
    """Keys that a program of the profile hands out, with an end."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "keys.json"
        config = folder / "config"
        program = f"{sys.executable} -c \"print(open('{self._file}').read())\""
        config.write_text(f"[profile expiring]\ncredential_process = {program}\n")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "expiring")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def hand_out(self, pair: tuple[str, str], life_s: float) -> None:
        ends = datetime.now(UTC) + timedelta(seconds=life_s)
        found = {"Version": 1, "AccessKeyId": pair[0], "SecretAccessKey": pair[1]}
        self._file.write_text(json.dumps(found | {"Expiration": ends.isoformat()}))


class Gateway(NamedTuple):
    client: Client
    objects: ServedObjects
    clock: MovableClock

    def address(self) -> str:
        answer = self.client.get(TARGET)
        assert answer.status == 307, answer
        return answer.header("Location")


@pytest.fixture
def gateway(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    mirror = BucketMirror(s3)
    mirror.write(BOTTLE.key, DATA)
    publisher = Publisher(mirror)
    publisher.point(publisher.record([BOTTLE]))
    keys, clock = Keys(tmp_path, monkeypatch), MovableClock()
    # More than the quarter of an hour from which on botocore asks for new ones.
    keys.hand_out(OWNER, 1800)
    place = {name: mirror.settings[name] for name in ("MIRROR_URL", "AWS_ENDPOINT_URL", "AWS_REGION")}
    settings = read_settings({**place, "PRESIGN_SECONDS": str(PRESIGN_S)})
    records = build_served_records(settings, clock=clock)
    records.look()
    assert records.fault_now() == ""
    objects = build_served_objects(settings, clock=clock)
    with served_in_thread(records, objects, clock) as client:
        yield Gateway(client, objects, clock)


def fetched(address: str) -> Answer:
    to = urlsplit(address)
    assert to.port is not None
    return Client(to.port).get(f"{to.path}?{to.query}", host=to.netloc)


def key_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["X-Amz-Credential"][0].partition("/")[0]


def test_an_address_is_kept_for_half_of_the_credentials_life(gateway: Gateway) -> None:
    first = gateway.address()
    assert parse_qs(urlsplit(first).query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert parse_qs(urlsplit(first).query)["X-Amz-Expires"] == [str(PRESIGN_S)]
    assert fetched(first).body == DATA
    # 1,800 s are shorter than PRESIGN_SECONDS: half of them, and not of those.
    for further_s, kept in ((880, first), (40, None)):
        gateway.clock.advance(further_s)
        assert gateway.objects.kept_address(BOTTLE.key) == kept
    # What is signed now is kept anew, for half of what is left.
    assert fetched(gateway.address()).body == DATA
    for further_s, is_kept in ((430, True), (20, False)):
        gateway.clock.advance(further_s)
        assert (gateway.objects.kept_address(BOTTLE.key) is not None) == is_kept


def test_addresses_change_with_keys_that_are_replaced(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, clock = Keys(tmp_path, monkeypatch), MovableClock()
    keys.hand_out(OWNER, 700)
    mirror = BucketMirror(s3)
    mirror.write(BOTTLE.key, DATA)
    place = {name: mirror.settings[name] for name in ("MIRROR_URL", "AWS_ENDPOINT_URL", "AWS_REGION")}
    objects = build_served_objects(read_settings(place), clock=clock)
    first = objects.address(BOTTLE.key)
    assert (key_of(first), fetched(first).body) == (OWNER[0], DATA)
    assert objects.kept_address(BOTTLE.key) == first
    # Half of PRESIGN_SECONDS, 600 by default: what is left of the keys is longer.
    clock.advance(301)
    assert objects.kept_address(BOTTLE.key) is None
    keys.hand_out(OTHER, 7200)
    second = objects.address(BOTTLE.key)
    assert (key_of(second), fetched(second).body) == (OTHER[0], DATA)
    # Another name of the same object is another address.
    named = objects.address(BOTTLE.key, filename=BOTTLE.filename)
    assert fetched(named).header("Content-Disposition") == f'attachment; filename="{BOTTLE.filename}"'
    assert fetched(second).header("Content-Disposition") == ""


def test_without_credentials_that_live_the_store_does_not_answer_and_then_it_does(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = BucketMirror(s3)
    mirror.write(BOTTLE.key, DATA)
    publisher = Publisher(mirror)
    publisher.point(publisher.record([BOTTLE]))
    records = build_served_records(read_settings(mirror.settings))
    clock = MovableClock()
    place = {name: mirror.settings[name] for name in ("MIRROR_URL", "AWS_ENDPOINT_URL", "AWS_REGION")}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, mirror.settings[name])
    records.look()
    keys = Keys(tmp_path, monkeypatch)
    keys.hand_out(OWNER, -60)
    objects = build_served_objects(read_settings(place), clock=clock)
    with served_in_thread(records, objects, clock) as client:
        answer = client.get(TARGET)
        assert (answer.status, answer.header("Retry-After")) == (503, "5")
        assert SECRET_KEY.encode() not in answer.body
        keys.hand_out(OWNER, 3600)
        assert fetched(client.get(TARGET).header("Location")).body == DATA
