"""Sizes of bottles before they are fetched, from the registry's OCI indexes.

Indexes that are kept are asked first; what is fetched is kept too, so that the sync need not ask again.
"""

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from brew_assets.domain.bottle import Bottle, is_index_reference
from brew_assets.domain.oci import decode_child_size, decode_index
from brew_assets.domain.servable import IndexName, by_index
from brew_assets.engine.asked_registry import AskedRegistry
from brew_assets.engine.kept_indexes import index_folder, keep_index, kept_indexes, usable_index
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.side_by_side import side_by_side
from brew_assets.errors import RegistryRefused, StoreError, UpstreamError

__all__ = ["SizeLookUp", "SizesFound"]

_Group = tuple[IndexName, list[Bottle]]


class SizesFound(msgspec.Struct, kw_only=True):
    """Digest -> bytes, and what could not be learnt: "name: why" for each."""

    sizes: dict[str, int] = {}
    problems: list[str] = []
    indexes_fetched: int = 0
    indexes_kept: int = 0


class SizeLookUp:
    """Looks sizes up, several formulae at a time."""

    def __init__(self, ports: Ports, options: Options) -> None:
        self._ports = ports
        self._options = options
        self._store = ports.store
        self._stop = ports.stop

    def look_up(
        self, bottles: Iterable[Bottle], *, progress: Callable[[int, int], None] | None = None
    ) -> SizesFound:
        """The sizes of the bottles' digests. One that nothing says is left out, never guessed.

        `progress` hears (formulae done, formulae in all). A stop signal breaks off what is under way; what
        cannot be broken off, such as a look-up of a host's name, is given up when the grace is over.

        Raises:
            RegistryRefused: the registry gives nothing to anybody with these settings.
            StoreError: the kept indexes cannot be listed.
        """
        groups = list(by_index(bottles).items())
        found = SizesFound(sizes={}, problems=[])
        if not groups:
            return found
        stored = kept_indexes(self._store)
        self._registry = AskedRegistry(self._ports, self._options, formulae=len(groups))
        answers = side_by_side(
            lambda group: self._of_group(*group, stored),
            groups,
            threads=self._options.workers,
            name="sizes",
            stop=self._stop,
            interrupt=self._registry.interrupt,
        )
        done = 0
        for done, answer in enumerate(answers, 1):
            found.sizes.update(answer.sizes)
            found.problems.extend(answer.problems)
            found.indexes_fetched += answer.indexes_fetched
            found.indexes_kept += answer.indexes_kept
            if progress is not None:
                progress(done, len(groups))
        if done < len(groups):
            found.problems.append(f"{len(groups) - done} formulae: stopped")
        return found

    def _of_group(self, name: IndexName, bottles: list[Bottle], stored: dict[str, list[str]]) -> SizesFound:
        digests: set[str] = {bottle.digest for bottle in bottles}
        found = SizesFound(sizes={}, problems=[])
        if self._stop.is_set():
            found.problems.append(f"{name}: stopped")
            return found
        if not is_index_reference(name.reference):
            found.problems.append(f"{name}: not a reference that a registry accepts")
            return found
        data = usable_index(self._store, stored.get(index_folder(*name), ()), digests)
        if data is not None:
            found.indexes_kept = 1
        else:
            data = self._fetched(name, found)
        if data is not None:
            self._read(data, name, digests, found)
        return found

    def _fetched(self, name: IndexName, found: SizesFound) -> bytes | None:
        try:
            data = self._registry.index(*name)
        except RegistryRefused:
            raise
        except UpstreamError as error:
            found.problems.append(f"{name}: {error}")
            return None
        if data is None:
            found.problems.append(f"{name}: the registry has no index")
            return None
        found.indexes_fetched += 1
        return data

    def _read(self, data: bytes, name: IndexName, digests: "set[str]", found: SizesFound) -> None:
        try:
            index = decode_index(data)
        except ValueError as error:
            found.problems.append(f"{name}: {error}")
            return
        if found.indexes_fetched:
            try:
                keep_index(self._store, name, data)
            except StoreError as error:
                found.problems.append(f"{name}: {error}")
        for digest in sorted(digests):
            entry = index.get(digest)
            size = entry.size if entry else None
            if size is None and entry is not None and entry.child:
                size = self._size_of_child(name.image, entry.child, digest, found)
            if size is None:
                found.problems.append(f"{name}: nothing says the size of sha256:{digest}")
            else:
                found.sizes[digest] = size

    def _size_of_child(self, image: str, child: str, digest: str, found: SizesFound) -> int | None:
        try:
            data = self._registry.child(image, child)
            if data is None or hashlib.sha256(data).hexdigest() != child:
                return None
            return decode_child_size(data, digest=digest)
        except RegistryRefused:
            raise
        except (UpstreamError, ValueError) as error:
            found.problems.append(f"{image}@sha256:{child}: {error}")
            return None
