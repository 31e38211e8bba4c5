"""docs/limits.md has the limits of the code."""

import re

import pytest

from brew_assets.adapters.aws.answers import MOST_MARKS, MOST_S
from brew_assets.adapters.directory_store.rooted_files import MOST_NESTED
from brew_assets.adapters.ghcr.registry import MAX_REDIRECTS
from brew_assets.adapters.http.body import MOST_HEAD_BYTES
from brew_assets.adapters.http.body_limits import LEAST_BYTES_PER_S, PACE_WINDOW_S
from brew_assets.adapters.http.reach import CONNECT_TIMEOUT_S
from brew_assets.adapters.http.reader import HEAD_TIME_S
from brew_assets.adapters.http.response import MAX_HEAD_BYTES, MAX_HEADERS, MAX_INFORMATIONAL
from brew_assets.adapters.http.trust import MOST_BYTES as CERTIFICATES_BYTES
from brew_assets.adapters.http.tunnel import MOST_HEAD_BYTES as PROXY_HEAD_BYTES
from brew_assets.adapters.s3.bodies import ANSWER_BYTES, BOTTLE_BYTES
from brew_assets.adapters.s3.listing import MOST_OBJECTS, MOST_PAGES
from brew_assets.adapters.s3.served_addresses import MOST_KEPT
from brew_assets.adapters.s3.store import MOST_BOTTLE_BYTES
from brew_assets.domain import sync_event as trigger
from brew_assets.domain.batch import MAX_GIVEN
from brew_assets.domain.formula import (
    MAX_CATALOGUE_BYTES,
    MAX_CATALOGUE_VALUES,
    MAX_FORMULAE,
    MAX_NAMES,
    MAX_TAGS,
)
from brew_assets.domain.oci import MAX_INDEX_BYTES, MAX_OBJECTS
from brew_assets.domain.skip_list import MAX_HASH_FILE_BYTES, MAX_HASH_FILE_VALUES
from brew_assets.domain.sync_event import MAX_BODY_BYTES
from brew_assets.engine.ports import MAX_DOCUMENT_BYTES
from brew_assets.runtimes.gateway.answers import PIECE_BYTES
from brew_assets.runtimes.gateway.kinds import KEPT_INDEX_BYTES
from brew_assets.runtimes.gateway.listening import SILENCE_MS
from brew_assets.runtimes.gateway.paths import LONGEST
from brew_assets.runtimes.gateway.server import HEAD_S as REQUEST_HEAD_S
from brew_assets.runtimes.gateway.server import MOST_HEAD_BYTES as MOST_REQUEST_HEAD_BYTES
from brew_assets_tests.docs.reading import ROOT
from brew_assets_tests.integration.test_bodies_from_outside import (
    MOST_MIB_BESIDE_A_HASH_FILE,
    MOST_MIB_FOR_A_CATALOGUE,
)

TEXT = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "sentence",
    [
        f"with all 1xx before it | {MOST_HEAD_BYTES // 1024} KiB, within {PACE_WINDOW_S:.0f} s",
        f"pace of a body | {LEAST_BYTES_PER_S // 1024} KiB/s over {PACE_WINDOW_S:.0f} s",
        f"catalogue, as it comes and decoded | {MAX_CATALOGUE_BYTES // MIB} MiB each",
        f"in a catalogue | {MAX_CATALOGUE_VALUES:,} ",
        f"formulae in a catalogue | {MAX_FORMULAE:,} ",
        f"tags, aliases, old names of a formula | {MAX_TAGS} each",
        f"hash file, as it comes and decoded | {MAX_HASH_FILE_BYTES // MIB} MiB each",
        f"values in a hash file | {MAX_HASH_FILE_VALUES:,} ",
        f"head of an answer | {MAX_HEADERS} lines, {MAX_HEAD_BYTES // 1024} KiB, {HEAD_TIME_S:.0f} s from",
        f"a proxy to CONNECT | {PROXY_HEAD_BYTES // 1024} KiB, within {CONNECT_TIMEOUT_S:.0f} s or",
        f"file of certificates | {CERTIFICATES_BYTES // MIB} MiB",
        f"1xx before it | {MAX_INFORMATIONAL} ",
        f"redirects of the registry | {MAX_REDIRECTS} ",
        f"pace of a document | {LEAST_BYTES_PER_S // 1024} KiB/s over {PACE_WINDOW_S:.0f} s",
        f"child manifest | {MAX_INDEX_BYTES // MIB} MiB, one gzip at most, {MAX_OBJECTS:,} JSON objects",
        f"a deletion or a copy | {ANSWER_BYTES // MIB} MiB within {MOST_S:.0f} s, {MOST_MARKS:,} of",
        f"bottle in a bucket | {MOST_BOTTLE_BYTES // 1024**3} GiB",
        f"listing | {MOST_OBJECTS:,} objects, {MOST_PAGES:,} pages",
        f"(manifest, receipts, plans) | {MAX_DOCUMENT_BYTES // 1024**3} GiB",
        f"read back from a bucket | {BOTTLE_BYTES // 1024**3} GiB",
        f"folders of a directory | {MOST_NESTED} ",
        f"event of a queue | {MAX_BODY_BYTES // 1024} KiB, {trigger.MAX_FORMULAE:,} formulae",
        f"event of the Lambda | {MAX_GIVEN:,} bottles",
        f"head of a request | {MOST_REQUEST_HEAD_BYTES // 1024} KiB, {REQUEST_HEAD_S:.0f} s",
        f"path of a request | {LONGEST:,} characters",
        f"nothing is acknowledged | {SILENCE_MS // 1000} s",
        f"pieces of bodies in memory | two of {PIECE_BYTES // MIB} MiB",
        f"indexes kept in memory | {KEPT_INDEX_BYTES // MIB} MiB",
        f"signed addresses kept | {MOST_KEPT:,}",
        f"So {MOST_MIB_FOR_A_CATALOGUE} MiB are enough",
        f"and {MOST_MIB_BESIDE_A_HASH_FILE} MiB and twice the file for a hash file",
    ],
)
def test_a_limit_is_the_one_of_the_code(sentence: str) -> None:
    assert sentence in TEXT


def test_tags_and_names_have_the_same_limit_and_no_peak_is_over_what_is_promised() -> None:
    assert MAX_TAGS == MAX_NAMES
    peaks = [int(found) for found in re.findall(r"\| (\d+) MiB \|", TEXT)]
    assert len(peaks) > 5
    assert max(peaks) < MOST_MIB_FOR_A_CATALOGUE
