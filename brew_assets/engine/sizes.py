"""Sizes of bottles before they are fetched, from the registry's OCI indexes.

Indexes are kept byte for byte under `state/upstream/indexes/` and fetched again only when they do not
cover the digests that are asked for: a published index may gain platforms later.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from brew_assets.domain.bottle import Bottle, image_name, index_reference, is_index_reference
from brew_assets.domain.oci import covers, decode_child_size, decode_index
from brew_assets.engine.ports import Clock, Indexes, StopSignal, Store
from brew_assets.engine.retry import Gate, RetryPolicy, SyncBudget, Tries
from brew_assets.errors import MirrorError, StoreError, UpstreamError

INDEX_PREFIX = "state/upstream/indexes/"


class SizesFound(msgspec.Struct, kw_only=True):
    """Digest -> bytes, and what could not be learnt: "name: why" for each."""

    sizes: dict[str, int] = {}
    problems: list[str] = []
    indexes_fetched: int = 0
    indexes_kept: int = 0


class SizeLookUp:
    """Looks sizes up, several formulae at a time."""

    def __init__(
        self,
        *,
        indexes: Indexes,
        store: Store,
        clock: Clock,
        stop: StopSignal,
        workers: int,
        retry: RetryPolicy,
        keep: bool = True,
    ) -> None:
        self._indexes = indexes
        self._store = store
        self._clock = clock
        self._stop = stop
        self._workers = workers
        self._retry = retry
        self._keep = keep

    def look_up(
        self, bottles: Iterable[Bottle], *, progress: Callable[[int, int], None] | None = None
    ) -> SizesFound:
        """The sizes of the bottles' digests. One that nothing tells is left out, never guessed.

        `progress` hears (formulae done, formulae in all).
        """
        groups: dict[tuple[str, str], list[Bottle]] = {}
        for bottle in bottles:
            reference = index_reference(bottle.pkg_version, bottle.rebuild)
            groups.setdefault((image_name(bottle.formula), reference), []).append(bottle)
        found = SizesFound(sizes={}, problems=[])
        if not groups:
            return found
        stored = self._stored_indexes()
        self._gate, self._budget = (
            Gate(self._clock),
            SyncBudget.for_bottles(len(groups), self._retry.attempts),
        )
        with ThreadPoolExecutor(self._workers, thread_name_prefix="sizes") as pool:
            answers = pool.map(lambda group: self._of_group(group[0], group[1], stored), groups.items())
            for number, answer in enumerate(answers, 1):
                found.sizes.update(answer.sizes)
                found.problems.extend(answer.problems)
                found.indexes_fetched += answer.indexes_fetched
                found.indexes_kept += answer.indexes_kept
                if progress is not None:
                    progress(number, len(groups))
        return found

    def _stored_indexes(self) -> dict[str, list[str]]:
        """Folder of an index -> the keys of its kept versions."""
        stored: dict[str, list[str]] = {}
        for listed in self._store.listing(INDEX_PREFIX):
            stored.setdefault(listed.key.rpartition("/")[0], []).append(listed.key)
        return stored

    def _of_group(
        self, name: tuple[str, str], bottles: list[Bottle], stored: dict[str, list[str]]
    ) -> SizesFound:
        image, reference = name
        digests: set[str] = {bottle.digest for bottle in bottles}
        found = SizesFound(sizes={}, problems=[])
        if self._stop.is_set():
            found.problems.append(f"{image}:{reference}: stopped")
            return found
        if not is_index_reference(reference):
            found.problems.append(f"{image}:{reference}: not a reference that a registry accepts")
            return found
        folder = f"{INDEX_PREFIX}{image}/{reference}"
        data = self._kept(stored.get(folder, ()), digests)
        if data is not None:
            found.indexes_kept = 1
        else:
            data = self._fetched(image, reference, folder, found)
        if data is not None:
            self._read(data, image, reference, digests, found)
        return found

    def _kept(self, keys: Iterable[str], digests: "set[str]") -> bytes | None:
        for key in keys:
            try:
                document = self._store.read(key)
            except StoreError:
                continue  # upstream still has it
            if document is None or hashlib.sha256(document.data).hexdigest() not in key:
                continue
            try:
                if covers(decode_index(document.data), digests):
                    return document.data
            except ValueError:
                continue
        return None

    def _fetched(self, image: str, reference: str, folder: str, found: SizesFound) -> bytes | None:
        try:
            data = self._persistently(lambda: self._indexes.fetch_index(image, reference))
        except UpstreamError as error:
            found.problems.append(f"{image}:{reference}: {error}")
            return None
        if data is None:
            found.problems.append(f"{image}:{reference}: the registry has no index")
            return None
        found.indexes_fetched += 1
        return data

    def _read(self, data: bytes, image: str, reference: str, digests: "set[str]", found: SizesFound) -> None:
        try:
            index = decode_index(data)
        except ValueError as error:
            found.problems.append(f"{image}:{reference}: {error}")
            return
        if found.indexes_fetched and self._keep:
            key = f"{INDEX_PREFIX}{image}/{reference}/{hashlib.sha256(data).hexdigest()}.json"
            try:
                self._store.write(key, data)
            except StoreError as error:
                found.problems.append(f"{key}: {error}")
        for digest in sorted(digests):
            entry = index.get(digest)
            size = entry.size if entry else None
            if size is None and entry is not None and entry.child:
                size = self._size_of_child(image, entry.child, digest, found)
            if size is None:
                found.problems.append(f"{image}:{reference}: nothing tells the size of sha256:{digest}")
            else:
                found.sizes[digest] = size

    def _size_of_child(self, image: str, child: str, digest: str, found: SizesFound) -> int | None:
        try:
            data = self._persistently(lambda: self._indexes.fetch_child(image, child))
            if data is None or hashlib.sha256(data).hexdigest() != child:
                return None
            return decode_child_size(data, digest=digest)
        except (UpstreamError, ValueError) as error:
            found.problems.append(f"{image}@sha256:{child}: {error}")
            return None

    def _persistently(self, ask: Callable[[], bytes | None]) -> bytes | None:
        tries = Tries(self._retry, self._budget, self._gate)
        while True:
            self._gate.pass_through(self._stop)
            try:
                return ask()
            except MirrorError as error:
                wait_s = tries.next_wait_s(error, gained=False)
                if wait_s is None or self._clock.wait(wait_s, self._stop):
                    raise
