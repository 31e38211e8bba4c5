"""Whether what the manifest says is held still is: a verdict per bottle, whatever becomes of one of them."""

import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec

from brew_assets.domain.manifest import Entry, Manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.ports import ObjectFacts, Store
from brew_assets.engine.transfer.already_stored import proven_facts
from brew_assets.errors import ChecksumRefused, PlanInvalid, StoreError, StoreRefused, StoreUnavailable

Verdict = Literal["CURRENT", "MISSING", "MISMATCH", "UNREADABLE"]
# So many objects in a row that the store does not answer for: then the store itself is asked.
UNANSWERED_IN_A_ROW = 20


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one entry; `finding` says what a mismatch is, or why nothing could be read."""

    key: str
    entry: Entry
    verdict: Verdict
    finding: str = ""


def entries_of_tags(manifest: Manifest, tags: Collection[str]) -> list[tuple[str, Entry]]:
    """The entries whose bottles have one of the tags; all of them when no tag is given.

    Raises:
        PlanInvalid: no recorded bottle has one of the tags.
    """
    entries = list(manifest.entries())
    if not tags:
        return entries
    known = {entry.platform for _, entry in entries}
    if unknown := sorted(set(tags) - known):
        found = ", ".join(f"{tag[:80]!r}" for tag in unknown)
        expected = f"tags of recorded bottles ({', '.join(sorted(known)) or 'there are none'})"
        raise PlanInvalid(f"platforms: expected {expected}, found {found}")
    return [(key, entry) for key, entry in entries if entry.platform in tags]


def certify(
    store: Store,
    entries: Iterable[tuple[str, Entry]],
    *,
    deep: bool = False,
    workers: int = 10,
    progress: Callable[[int], None] | None = None,
) -> list[Certificate]:
    """A certificate for every entry, in their order.

    One HEAD each on S3 and a hash of the file in a directory; `deep` reads every byte back.

    Raises:
        StoreError: the store refuses everything, or has stopped to answer. No verdict is given then.
    """
    examiner = _Examiner(store, deep=deep)
    certificates = []
    with ThreadPoolExecutor(workers, thread_name_prefix="certify") as pool:
        try:
            for number, certificate in enumerate(pool.map(examiner.examine, entries), 1):
                certificates.append(certificate)
                if progress is not None:
                    progress(number)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return certificates


class _Examiner:
    """Looks at one entry after the other, in several threads."""

    def __init__(self, store: Store, *, deep: bool) -> None:
        self._store = store
        self._deep = deep
        self._lock = threading.Lock()
        self._unanswered = 0

    def examine(self, item: tuple[str, Entry]) -> Certificate:
        """The certificate for an entry.

        Raises:
            StoreError: it is the store that cannot be read.
        """
        key, entry = item
        try:
            facts = self._facts(entry)
        except ChecksumRefused as error:
            # The store itself has found other bytes than it was given.
            return Certificate(key=key, entry=entry, verdict="MISMATCH", finding=str(error))
        except StoreError as error:
            self._ask_the_store(error)
            finding = f"{error.reason}: {error}"
            return Certificate(key=key, entry=entry, verdict="UNREADABLE", finding=finding)
        with self._lock:
            self._unanswered = 0
        return _judged(key, entry, facts)

    def _facts(self, entry: Entry) -> ObjectFacts | None:
        key = entry.s3_key
        return self._store.hash(key) if self._deep else proven_facts(self._store, key)

    def _ask_the_store(self, error: StoreError) -> None:
        """Nothing, as long as the store still answers for something else.

        Raises:
            StoreError: it does not.
        """
        # A refusal may be about one object (archived, a policy for its key): that is its verdict. Or it is
        # about the store (a bucket that is gone, credentials that have run out), and every bottle would get a
        # verdict that says nothing about it. Silence is mostly about the moment, so it takes several in a row
        # before the store itself is asked.
        with self._lock:
            self._unanswered += isinstance(error, StoreUnavailable)
            in_doubt = isinstance(error, StoreRefused) or (
                isinstance(error, StoreUnavailable) and self._unanswered % UNANSWERED_IN_A_ROW == 0
            )
        if in_doubt:
            # A listing needs nothing that a verification has not needed before.
            list(self._store.listing(MANIFEST_KEY))


def _judged(key: str, entry: Entry, facts: ObjectFacts | None) -> Certificate:
    if facts is None:
        return Certificate(key=key, entry=entry, verdict="MISSING")
    if facts.size != entry.file_size:
        finding = f"expected {entry.file_size} bytes, found {facts.size}"
    elif facts.digest != entry.sha256:
        finding = f"expected sha256 {entry.sha256}, found {facts.digest}"
    elif facts.metadata and facts.metadata.get("sha256", entry.sha256) != entry.sha256:
        finding = f"its metadata says sha256 {facts.metadata.get('sha256', '')[:80]}"
    else:
        return Certificate(key=key, entry=entry, verdict="CURRENT")
    return Certificate(key=key, entry=entry, verdict="MISMATCH", finding=finding)
