"""Publications as a client comes by them: from the pointer to the record, and on to all that it names."""

import hashlib
import json

from brew_assets.domain.publication import POINTER_KEY, RECORD_PREFIX, Publication, decode_publication
from brew_assets_tests.integration.mirrors import MirrorUnderTest


def current(mirror: MirrorUnderTest) -> Publication:
    """The record that the pointer names, whose SHA-256 is the pointer's."""
    pointer = json.loads(mirror.read(POINTER_KEY))
    data = mirror.read(f"{RECORD_PREFIX}{pointer['publication_id']}.json")
    assert hashlib.sha256(data).hexdigest() == pointer["sha256"]
    return decode_publication(data, publication_id=pointer["publication_id"])


def walk(mirror: MirrorUnderTest) -> Publication:
    """The current publication, of which everything that a client could ask for stands in the store."""
    found = current(mirror)
    for api in found.api:
        data = mirror.read(api.key)
        assert hashlib.sha256(data).hexdigest() == api.sha256
        payload = json.loads(json.loads(data)["payload"])
        assert payload["metadata"]["bottle_tag"].removeprefix(":") == api.tag
        assert payload["formula_tap_git_head"] == found.tap_git_head
    for index in found.indexes:
        assert hashlib.sha256(mirror.read(index.key)).hexdigest() == index.sha256
    for bottle in found.bottles:
        assert hashlib.sha256(mirror.read(bottle.key)).hexdigest() == bottle.digest
    return found


def records(mirror: MirrorUnderTest) -> list[str]:
    """The keys of all records, the oldest first."""
    return [key for key in mirror.keys() if key.startswith(RECORD_PREFIX) and key != POINTER_KEY]
