"""What the kept indexes decide, without reading thousands of them in every sync.

One listing says which indexes are kept, and one document, `state/upstream/judged-indexes.json`, what each of
them decides. It is derived: what it lacks is read from the index itself and checked against the SHA-256 in
its name, and a document that is damaged or gone costs those reads alone. An index is immutable under its
name, so what was judged once stays; one of another size than then has been emptied or damaged, and is read.

The document remembers too what upstream last said of an index that does not fit: whose fault it is.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import msgspec

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.seal import seal, why_broken
from brew_assets.domain.servable import IndexName, Judgement, judge
from brew_assets.engine.kept_indexes import index_folder, intact_index
from brew_assets.engine.ports import Document, ListedObject, Store
from brew_assets.errors import (
    UNREADABLE,
    KeyTaken,
    ObjectRefused,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
)

JUDGED_KEY = "state/upstream/judged-indexes.json"
_VERSION = 1
# Real indexes have at most a dozen entries; of one with more nothing is remembered, and it is read again.
_MOST_ENTRIES = 100
# A sync asks for what does not fit each time: what nobody has asked for so long is wanted no more.
_REMEMBERED = timedelta(days=90)
_MOST_RACES = 20
_MESSAGE_CHARACTERS = 500

_log = logging.getLogger(__name__)


class UpstreamFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Why upstream cannot serve an index, as it answered last: the reason of the error, and its message.

    `at` is an ISO 8601 UTC time.
    """

    reason: str
    message: str
    at: str = ""


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The document: judgements by key below INDEX_PREFIX, findings by name of the index."""

    version: int = _VERSION
    judged: dict[str, Judgement] = {}
    findings: dict[str, UpstreamFinding] = {}


_decoder = msgspec.json.Decoder(_Judged)


class JudgedIndexes:
    """The indexes that a store keeps, as they were listed, and what they decide.

    `fresh` believes no document: every index that is asked about is read.
    """

    def __init__(self, store: Store, *, workers: int, fresh: bool = False) -> None:
        """Lists the indexes once.

        Raises:
            StoreError: the store did not answer.
        """
        self._store = store
        self._workers = workers
        known = _Judged() if fresh else _decoded(_read(store))
        self._known = known.judged
        self._findings = known.findings
        self._kept: dict[str, list[ListedObject]] = {}
        for listed in store.listing(INDEX_PREFIX):
            self._kept.setdefault(listed.key.rpartition("/")[0], []).append(listed)
        # What this one has read, fetched or learnt: the document lacks it.
        self._new: dict[str, Judgement] = {}
        self._noted: dict[str, UpstreamFinding | None] = {}
        self._damaged: set[str] = set()

    def judge_all(self, names: Iterable[IndexName]) -> None:
        """Every kept index of these names is judged; what is not known of them is read, several at a time."""
        folders = {index_folder(*name) for name in names}
        unknown = [
            listed.key
            for folder in folders
            for listed in self._kept.get(folder, ())
            if self._judgement(listed) is None
        ]
        if not unknown:
            return
        with ThreadPoolExecutor(self._workers, thread_name_prefix="judge") as pool:
            list(pool.map(self._read_index, unknown))

    def of(self, name: IndexName) -> dict[str, Judgement]:
        """The key of each kept index of the name that is whole, and what it decides, as far as it is judged.

        Nothing is read.
        """
        kept = self._kept.get(index_folder(*name), ())
        return {listed.key: found for listed in kept if (found := self._judgement(listed)) is not None}

    def look_again(self, name: IndexName) -> dict[str, Judgement]:
        """The same after another look at the store: what others have kept meanwhile is read and judged.

        Raises:
            StoreError: the store did not answer.
        """
        folder = index_folder(*name)
        self._kept[folder] = [
            listed for listed in self._store.listing(f"{folder}/") if listed.key.rpartition("/")[0] == folder
        ]
        for listed in self._kept[folder]:
            if self._judgement(listed) is None:
                self._read_index(listed.key)
        return self.of(name)

    def add(self, name: IndexName, key: str, judgement: Judgement) -> None:
        """An index that is kept from now on."""
        kept = self._kept.setdefault(index_folder(*name), [])
        kept[:] = [listed for listed in kept if listed.key != key]
        kept.append(ListedObject(key, judgement.size))
        self._new[key] = judgement

    def finding(self, name: IndexName) -> UpstreamFinding | None:
        """Why upstream cannot serve the index; None when it was not asked, can, or did not answer."""
        noted = self._noted.get(str(name))
        return noted if str(name) in self._noted else self._findings.get(str(name))

    def note(self, name: IndexName, finding: UpstreamFinding | None) -> None:
        """What upstream says of the index now; None: it serves one that fits."""
        if finding is not None or self.finding(name) is not None:
            self._noted[str(name)] = finding

    def save(self, now: datetime) -> None:
        """The document says what is known now; what other runs have written into it meanwhile stays.

        A store that does not take it costs reads in the next sync, and a line in the log now.
        """
        if not self._new and not self._noted and not self._damaged:
            return
        try:
            for _ in range(_MOST_RACES):
                document = _read(self._store)
                data = _encoded(self._merged(_decoded(document), now))
                try:
                    if document is None:
                        self._store.write(JUDGED_KEY, data, create_only=True)
                    else:
                        self._store.write(JUDGED_KEY, data, replaces=document.version)
                    return
                except (KeyTaken, PreconditionFailed):
                    continue
            _log.warning("what indexes decide is not remembered: other runs were always faster")
        except StoreError as error:
            _log.warning("what indexes decide is not remembered", extra={"error": str(error)})

    def _merged(self, there: _Judged, now: datetime) -> _Judged:
        kept = {listed.key for folder in self._kept.values() for listed in folder}
        gone = {key for key in self._known if f"{INDEX_PREFIX}{key}" not in kept}
        gone |= {key.removeprefix(INDEX_PREFIX) for key in self._damaged}
        judged = {key: found for key, found in there.judged.items() if key not in gone}
        for key, found in self._new.items():
            if len(found.entries) <= _MOST_ENTRIES:
                judged[key.removeprefix(INDEX_PREFIX)] = found
        oldest = f"{now - _REMEMBERED:%Y-%m-%dT%H:%M:%SZ}"
        findings = {name: found for name, found in there.findings.items() if found.at >= oldest}
        for name, finding in self._noted.items():
            if finding is None:
                # One that another run has written since may be about bottles of its own.
                if findings.get(name) == self._findings.get(name):
                    findings.pop(name, None)
            else:
                message = printable(finding.message, _MESSAGE_CHARACTERS)
                at = f"{now:%Y-%m-%dT%H:%M:%SZ}"
                findings[name] = msgspec.structs.replace(finding, message=message, at=at)
        return _Judged(judged=judged, findings=findings)

    def _judgement(self, listed: ListedObject) -> Judgement | None:
        found = self._new.get(listed.key) or self._known.get(listed.key.removeprefix(INDEX_PREFIX))
        return found if found is not None and found.size == listed.size else None

    def _read_index(self, key: str) -> None:
        data = intact_index(self._store, key)
        if data is None:
            self._damaged.add(key)
        else:
            self._new[key] = judge(data)


def _read(store: Store) -> Document | None:
    try:
        return store.read(JUDGED_KEY)
    except (ObjectRefused, StoreUnavailable):
        return None  # what it says is read from the indexes


def _decoded(document: Document | None) -> _Judged:
    """What the document says; nothing when it is none, or not as it was written."""
    if document is None or why_broken(document.data):
        return _Judged()
    try:
        found = _decoder.decode(document.data)
    except UNREADABLE:
        return _Judged()
    return found if found.version == _VERSION else _Judged()


def _encoded(judged: _Judged) -> bytes:
    return bytes(seal(msgspec.json.encode(judged)))
