"""Sizes of bottles before they are fetched, from the registry's OCI indexes.

Indexes are kept byte for byte under `state/upstream/indexes/` and fetched again only when they do not
cover the digests that are asked for (a published index may gain platforms later), or when bytes have
disproved them.
"""

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from brew_assets.domain.bottle import Bottle, image_name, index_reference, is_index_reference
from brew_assets.domain.oci import decode_child_size, decode_index
from brew_assets.engine.kept_indexes import index_folder, index_key, kept_indexes, usable_index
from brew_assets.engine.log_context import in_this_context
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.retry import Gate, SyncBudget, Tries, retrying
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import MirrorError, RegistryRefused, StoreError, UpstreamError

__all__ = ["SizeLookUp", "SizesFound"]

# How soon a stop signal is heard.
_TICK_S = 0.1
_Group = tuple[tuple[str, str], list[Bottle]]


class SizesFound(msgspec.Struct, kw_only=True):
    """Digest -> bytes, and what could not be learnt: "name: why" for each."""

    sizes: dict[str, int] = {}
    problems: list[str] = []
    indexes_fetched: int = 0
    indexes_kept: int = 0


# No SimpleQueue: Python 3.11's waits for ever when a signal's handler takes longer than the wait that it
# interrupts.
_Answers = queue.Queue[SizesFound | BaseException]


class SizeLookUp:
    """Looks sizes up, several formulae at a time."""

    def __init__(self, ports: Ports, options: Options) -> None:
        self._indexes = ports.indexes
        self._store = ports.store
        self._clock = ports.clock
        self._stop = ports.stop
        self._workers = options.workers
        self._retry = options.retry

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
        groups: dict[tuple[str, str], list[Bottle]] = {}
        for bottle in bottles:
            reference = index_reference(bottle.pkg_version, bottle.rebuild)
            groups.setdefault((image_name(bottle.formula), reference), []).append(bottle)
        found = SizesFound(sizes={}, problems=[])
        if not groups:
            return found
        stored = kept_indexes(self._store)
        self._gate, self._budget = (
            Gate(self._clock),
            SyncBudget.for_bottles(len(groups), self._retry.attempts),
        )
        answers = self._start(deque(groups.items()), stored)
        for number in range(1, len(groups) + 1):
            answer = self._await(answers)
            if answer is None:
                found.problems.append(f"{len(groups) - number + 1} formulae: stopped")
                break
            found.sizes.update(answer.sizes)
            found.problems.extend(answer.problems)
            found.indexes_fetched += answer.indexes_fetched
            found.indexes_kept += answer.indexes_kept
            if progress is not None:
                progress(number, len(groups))
        return found

    def _start(self, work: "deque[_Group]", stored: dict[str, list[str]]) -> "_Answers":
        """Threads look the groups up; every one gives an answer, or the error that ended its thread."""
        answers: _Answers = queue.Queue()

        def look() -> None:
            try:
                while True:
                    try:
                        name, bottles = work.popleft()
                    except IndexError:
                        return
                    answers.put(self._of_group(name, bottles, stored))
            except BaseException as crash:  # raised again by the thread that called look_up
                work.clear()
                answers.put(crash)

        for number in range(min(self._workers, len(work))):
            # Daemons: what cannot be broken off must not keep the process.
            threading.Thread(target=in_this_context(look), name=f"sizes-{number}", daemon=True).start()
        return answers

    def _await(self, answers: "_Answers") -> SizesFound | None:
        """The next answer, None when the grace is over before there is one."""
        while True:
            if self._stop.is_set():
                self._indexes.interrupt()
            try:
                answer = answers.get(timeout=_TICK_S)
            except queue.Empty:
                if self._stop.expired():
                    return None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer

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
        data = usable_index(self._store, stored.get(index_folder(image, reference), ()), digests)
        if data is not None:
            found.indexes_kept = 1
        else:
            data = self._fetched(image, reference, found)
        if data is not None:
            self._read(data, image, reference, digests, found)
        return found

    def _fetched(self, image: str, reference: str, found: SizesFound) -> bytes | None:
        try:
            data = self._persistently(lambda: self._indexes.fetch_index(image, reference))
        except RegistryRefused:
            raise
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
        if found.indexes_fetched:
            key = index_key(image, reference, data)
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
                found.problems.append(f"{image}:{reference}: nothing says the size of sha256:{digest}")
            else:
                found.sizes[digest] = size

    def _size_of_child(self, image: str, child: str, digest: str, found: SizesFound) -> int | None:
        try:
            data = self._persistently(lambda: self._indexes.fetch_child(image, child))
            if data is None or hashlib.sha256(data).hexdigest() != child:
                return None
            return decode_child_size(data, digest=digest)
        except RegistryRefused:
            raise
        except (UpstreamError, ValueError) as error:
            found.problems.append(f"{image}@sha256:{child}: {error}")
            return None

    def _persistently(self, ask: Callable[[], bytes | None]) -> bytes | None:
        def through_gate() -> bytes | None:
            if not self._gate.pass_through(self._stop) or self._stop.is_set():
                raise UpstreamError("stopped before upstream was asked")
            answer = ask()
            self._gate.has_given()
            return answer

        tries = Tries(self._retry, self._budget, self._gate)
        with waiting_for(f"the registry {self._indexes.url}"):
            return retrying(
                through_gate,
                on=MirrorError,
                next_wait_s=tries.next_wait_s,
                clock=self._clock,
                stop=self._stop,
            )
