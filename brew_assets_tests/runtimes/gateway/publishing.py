"""Publications as a sync leaves them: made of what stands in a store, by the types that are served."""

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from brew_assets.domain.bottle import Digest, image_name
from brew_assets.domain.publication import (
    POINTER_KEY,
    Pointer,
    Publication,
    PublishedApi,
    PublishedBottle,
    PublishedIndex,
    encode_pointer,
    encode_publication,
)
from brew_assets.simulator import SimulatedBottle, Simulator
from brew_assets_tests.integration.mirrors import MirrorUnderTest

TAGS = ("arm64_sonoma", "x86_64_linux")
HEAD = "0123456789abcdef0123456789abcdef01234567"
_INDEX = re.compile(r"state/upstream/indexes/(.+)/([^/]+)/([0-9a-f]{64})\.json")


def api_document(tag: str, edition: int) -> bytes:
    """What stands for a signed packages file: served byte for byte, whatever it is."""
    payload = json.dumps({"metadata": {"bottle_tag": tag}, "edition": edition, "formulae": ["jq"] * 2000})
    return json.dumps({"payload": payload, "signatures": []}).encode()


class Publisher:
    """Writes records and pointers into a mirror's store."""

    def __init__(self, mirror: MirrorUnderTest) -> None:
        self._mirror = mirror
        self._numbers = itertools.count(1)

    def record(
        self, bottles: Sequence[PublishedBottle], *, tags: Sequence[str] = TAGS, lacking_api: bool = False
    ) -> Publication:
        """A new record, with every index of the store and API files of an edition of their own."""
        number = next(self._numbers)
        api = []
        for tag in tags:
            data = api_document(tag, number)
            published = PublishedApi(tag=tag, sha256=_digest(data), size=len(data), generated_at=number)
            if not lacking_api:
                self._mirror.write(published.key, data)
            api.append(published)
        made = Publication(
            publication_id=f"20261128T{number // 60:02}{number % 60:02}00Z-0badcafe",
            created_at=f"2026-11-28T{number // 60:02}:{number % 60:02}:00Z",
            generated_at=number,
            tap_git_head=HEAD,
            api=tuple(api),
            bottles=tuple(bottles),
            indexes=tuple(self.indexes()),
        )
        self._mirror.write(made.key, encode_publication(made))
        return made

    def indexes(self) -> list[PublishedIndex]:
        """Every index of the store."""
        found = filter(None, map(_INDEX.fullmatch, self._mirror.keys()))
        return [PublishedIndex(image=m[1], reference=m[2], sha256=Digest(m[3])) for m in found]

    def point(self, record: Publication, *, since: datetime | None = None, sha256: str = "") -> Pointer:
        """The record is current, since now if nothing else is said."""
        made = Pointer(
            publication_id=record.publication_id,
            sha256=Digest(sha256) or _digest(encode_publication(record)),
            current_since=(since or datetime.now(UTC)).isoformat().replace("+00:00", "Z"),
            generated_at=record.generated_at,
        )
        self._mirror.write(POINTER_KEY, encode_pointer(made))
        return made


def published_bottles(mirror: MirrorUnderTest, upstream: Simulator) -> dict[str, PublishedBottle]:
    """Flat name -> every bottle that stands in the store."""
    images = {bottle.filename: bottle.image for bottle in _all_bottles(upstream)}
    found = {}
    for key in mirror.bottle_keys():
        data, filename = mirror.read(key), key.rpartition("/")[2]
        found[filename] = PublishedBottle(
            image=images[filename], digest=_digest(data), key=key, size=len(data)
        )
    return found


def _all_bottles(upstream: Simulator) -> list[SimulatedBottle]:
    world = upstream.world
    digests = {bottle.digest for bottle in world.bottles}
    return [named for digest in digests for named in world.named(digest)]


def bottle_of(formula: str, filename: str, data: bytes, date: str = "2026-11-28") -> PublishedBottle:
    """A bottle with these bytes, as a record names it."""
    return PublishedBottle(
        image=image_name(formula), digest=_digest(data), key=f"{date}/{filename}", size=len(data)
    )


def _digest(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())
