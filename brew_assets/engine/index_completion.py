"""Every bottle that is held and wanted gets the index with which brew installs it.

A sync ends so, however its bottles came to be held: upstream is asked for the indexes of which no kept
version fits, once for all tags of a formula. What upstream gives that does not fit is reported; it may be
kept, as a proof and for the bottles that it does fit, and is never served for the others.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from brew_assets.domain.bottle import Bottle, is_index_reference
from brew_assets.domain.report import Failure
from brew_assets.domain.servable import IndexName, Judgement, by_index, judge, most_fitting
from brew_assets.engine.asked_registry import AskedRegistry
from brew_assets.engine.judged_indexes import JudgedIndexes, UpstreamFinding
from brew_assets.engine.kept_indexes import keep_index
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.side_by_side import side_by_side
from brew_assets.errors import (
    DocumentTooLarge,
    IndexNotFound,
    IndexUnfit,
    MirrorError,
    RegistryRefused,
    StoreRefused,
)

# What upstream says of an index, and not of how it was asked.
_UPSTREAMS = (IndexNotFound, IndexUnfit, DocumentTooLarge)

_log = logging.getLogger(__name__)
_Group = tuple[IndexName, list[Bottle]]


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the indexes of so many `held` bottles, of which `servable` have one that fits.

    `fetched` counts indexes; `failed` says for each of a formula's version that has none that fits why not;
    `left` are those that were not asked for before a stop signal, or because the registry or the store
    refuses everything.
    """

    held: int = 0
    servable: int = 0
    fetched: int = 0
    failed: tuple[Failure, ...] = ()
    left: int = 0


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one index; `ends_all` is the error after which no other is asked for."""

    fetched: bool = False
    left: bool = False
    error: MirrorError | None = None
    name: IndexName

    @property
    def ends_all(self) -> bool:
        """Whether others would be answered the same."""
        return isinstance(self.error, RegistryRefused | StoreRefused)


class IndexCompletion:
    """Fetches the indexes that are missing, several formulae at a time."""

    def __init__(self, ports: Ports, options: Options) -> None:
        self._ports = ports
        self._options = options
        self._ended = False

    def complete(
        self,
        bottles: Iterable[Bottle],
        *,
        beside_others: str = "",
        fresh: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Completion:
        """The bottles are servable, as far as upstream has indexes that fit them.

        A run that works `beside_others`, under a name that none of them has, asks in an order of its own, and
        looks whether another one has kept an index meanwhile before it asks for it. `fresh` reads every kept
        index and believes no summary. `progress` hears (indexes done, indexes that were missing). After a
        stop signal nothing more is asked for.

        Raises:
            StoreError: the store cannot be listed.
        """
        store, stop = self._ports.store, self._ports.stop
        groups = by_index(bottles)
        self._indexes = indexes = JudgedIndexes(store, workers=self._options.workers, fresh=fresh)
        if not stop.is_set():
            indexes.judge_all(groups)
        missing = [group for group in groups.items() if not _is_fitted(indexes.of(group[0]), group[1])]
        if beside_others:
            # Runs in one order that are equally fast would ask for the same at every moment, wherever each
            # of them begins.
            random.Random(beside_others).shuffle(missing)
        done = self._ask_for(missing, bool(beside_others), progress)
        indexes.save(self._ports.clock.now())
        failed = [_failure(one.name, one.error) for one in done if one.error is not None]
        if done:
            _log.info(
                "indexes completed",
                extra={"missing": len(missing), "fetched": sum(one.fetched for one in done)},
            )
        return Completion(
            held=sum(map(len, groups.values())),
            servable=count_servable(indexes, groups),
            fetched=sum(one.fetched for one in done),
            failed=tuple(sorted(failed, key=lambda failure: failure.name)),
            left=len(missing) - sum(not one.left for one in done),
        )

    def _ask_for(
        self,
        missing: Sequence[_Group],
        beside_others: bool,
        progress: Callable[[int, int], None] | None,
    ) -> list[_Asked]:
        if not missing:
            return []
        self._registry = AskedRegistry(self._ports, self._options, formulae=len(missing))
        found = []
        for one in side_by_side(
            lambda group: self._complete_one(*group, beside_others),
            missing,
            threads=self._options.workers,
            name="indexes",
            stop=self._ports.stop,
            interrupt=self._registry.interrupt,
        ):
            found.append(one)
            if progress is not None:
                progress(len(found), len(missing))
        return found

    def _complete_one(self, name: IndexName, bottles: list[Bottle], beside_others: bool) -> _Asked:
        if self._ended or self._ports.stop.is_set():
            return _Asked(name=name, left=True)
        try:
            if beside_others and _is_fitted(self._indexes.look_again(name), bottles):
                return _Asked(name=name)
            self._fetch(name, bottles)
        except MirrorError as error:
            if self._ports.stop.is_set():
                return _Asked(name=name, left=True)
            return self._failed(name, error)
        self._indexes.note(name, None)
        return _Asked(name=name, fetched=True)

    def _fetch(self, name: IndexName, bottles: list[Bottle]) -> None:
        """An index that fits the bottles is kept.

        Raises:
            IndexNotFound, IndexUnfit, DocumentTooLarge: upstream has none.
            MirrorError: it, or the store, gives no answer that says so.
        """
        if not is_index_reference(name.reference):
            raise IndexNotFound(f"{name}: expected a reference that a registry accepts, found none")
        data = self._registry.index(*name)
        if data is None:
            raise IndexNotFound(f"{name}: expected an index in the registry, found none (404)")
        judgement = judge(data)
        if not judgement.unfit:
            self._indexes.add(name, keep_index(self._ports.store, name, data), judgement)
        unfit = [finding for bottle in bottles if (finding := judgement.describe_unfit(bottle))]
        if unfit and not _is_fitted(self._indexes.of(name), bottles):
            more = f"; and {len(unfit) - 1} more of its bottles" if len(unfit) > 1 else ""
            raise IndexUnfit(f"{name}: {unfit[0]}{more}. It is never served; upstream has to mend it")

    def _failed(self, name: IndexName, error: MirrorError) -> _Asked:
        if isinstance(error, _UPSTREAMS):
            self._indexes.note(name, UpstreamFinding(reason=error.reason, message=str(error)))
        failed = _Asked(name=name, error=error)
        self._ended = self._ended or failed.ends_all
        _log.warning("an index is missing", extra={"index": str(name), "error": str(error)})
        return failed


def count_servable(indexes: JudgedIndexes, groups: Mapping[IndexName, Sequence[Bottle]]) -> int:
    """How many of the bottles, by the name of their index, have one that fits, as far as they are judged."""
    return sum(len(fitted(indexes.of(name), bottles)[1]) for name, bottles in groups.items())


def fitted(judged: Mapping[str, Judgement], bottles: Sequence[Bottle]) -> tuple[str, list[Bottle]]:
    """The key of the index that fits most of the bottles, and those; "" and none when none fits any."""
    key = most_fitting(judged, bottles)
    return key, [bottle for bottle in bottles if key and judged[key].why_unfit(bottle) is None]


def _is_fitted(judged: Mapping[str, Judgement], bottles: Sequence[Bottle]) -> bool:
    return any(judgement.fits(bottles) for judgement in judged.values())


def _failure(name: IndexName, error: MirrorError) -> Failure:
    return Failure(name=str(name), digest="", reason=error.reason, message=str(error))
