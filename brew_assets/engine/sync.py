"""A sync: what is missing of a plan is copied, recorded and reported."""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator

import msgspec

from brew_assets.domain.downloads import CopyJob, Fetch, fetches_of_run, still_missing
from brew_assets.domain.plan import Plan
from brew_assets.domain.report import Report
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.coordination import Companions, wait_for_orphaned_invocations
from brew_assets.engine.indexes_of_sync import complete_indexes
from brew_assets.engine.kept_plans import without_excluded_by_now
from brew_assets.engine.log_context import bound, figures
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports, ProgressListener
from brew_assets.engine.record.fold import FoldResult, fold, read_held
from brew_assets.engine.record.held import HeldEntries, Inventory, rebuild_if_missing, take_inventory
from brew_assets.engine.record.settle import settle
from brew_assets.engine.reports import Stopwatch, keep_report, refused_before, refused_last
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier

_log = logging.getLogger(__name__)


class Mirror:
    """The wired engine. Every method may raise StoreError and ManifestInvalid."""

    def __init__(self, ports: Ports, options: Options) -> None:
        self.ports = ports
        self.options = options
        self.store = ports.store

    def sync(
        self,
        plan: Plan,
        platform: str | None = None,
        *,
        copier: Copier | None = None,
        progress: ProgressListener | None = None,
        index_progress: Callable[[int, int], None] | None = None,
        patient: bool = True,
        run_id: str = "",
        run_url: str = "",
    ) -> tuple[Report, FoldResult]:
        """What the run did, and the manifest after its fold. No platform: the whole plan in this run.

        Idempotent: it looks again at what is held, records what an earlier try left, and copies only what
        is missing, in this process when no copier is given. At its end the indexes that its bottles lack are
        fetched, of which `index_progress` hears (done, in all). The report stands in the store.
        A run that is not `patient` lets no earlier invocations finish: it looks before each download.

        Raises:
            PlanInvalid: the plan does not cover the platform, or is larger than a run may download.
            StoreError, ManifestInvalid: the store or the manifest ended the run; what was stored before
                is found by the next one.
        """
        copier = copier or LocalCopier(self.ports, self.options)
        plan = without_excluded_by_now(self.store, plan, self.options.exclude_formulae)
        watch = Stopwatch(self.ports.clock)
        own, rest = self._fetches(plan, platform)
        begun = Report(
            sync_id=plan.sync_id,
            sync_date=plan.sync_date,
            platforms=(platform,) if platform else plan.platforms,
            route=copier.route,
            started_at=watch.started_at,
            ended_at="",
            duration_s=0.0,
            planned=sum(len(fetch.names) for fetch in (*own, *rest)),
            skipped=plan.skipped,
            left_out=plan.left_out,
            run_id=run_id,
            run_url=run_url,
        )
        named = {"sync_id": plan.sync_id, "platform": ",".join(begun.platforms), "route": copier.route}
        _log.info("sync begins", extra=named | {"planned": begun.planned})
        with bound(**named), self._companions(plan, platform) as companions:
            # Before the inventory: what they store meanwhile is seen there.
            unfinished = patient and self._wait_for_orphaned_invocations(plan, own, copier)
            # After the registration: whoever helps from now on waits for this run first.
            inventory = take_inventory(self.ports, self.options, also=plan.sync_date)
            look_first = unfinished or not patient or (companions is not None and companions.are_helping())
            own_first = [(own, inventory.entries, look_first)]
            others = self._of_others(plan, rest, inventory, companions, copier)
            result, kept, seen = TransferResult(), 0, 0
            for fetches, held, look_first in itertools.chain(own_first, others):
                missing, there = still_missing(fetches, held, force=plan.force)
                kept, seen = kept + there, seen + len(fetches)
                if missing:
                    job = CopyJob(
                        sync_id=plan.sync_id,
                        sync_date=plan.sync_date,
                        fetches=missing,
                        force=plan.force,
                        look_first=look_first,
                    )
                    result.add(copier.copy(job, progress=progress))
                if result.aborted:
                    break
            for fetch in [*own, *rest][seen:]:
                result.leave(fetch.names)
            # Folded, then settled, then reported: the report counts a bottle as stored only if the manifest
            # names it, and whoever waits for the report finds everything in its place.
            folded, gone = settle(self.ports, (*own, *rest), result, self.fold())
        with bound(**named):
            indexes = complete_indexes(
                self.ports,
                self.options,
                plan,
                platform,
                folded.manifest,
                given_up=bool(result.aborted),
                progress=index_progress,
            )
        report = watch.report(
            begun,
            result,
            kept=kept,
            identified=inventory.identified,
            forgotten=sorted(planned.bottle.filename for planned in gone),
            indexes=indexes,
        )
        keep_report(self.store, self.ports.clock, report, whose=platform or "all")
        _log.info("sync ends", extra=named | figures(report) | {"held": folded.entries})
        return report, folded

    def _fetches(self, plan: Plan, platform: str | None) -> tuple[list[Fetch], list[Fetch]]:
        """What the run owns, and the rest of its platform; what was refused in the last syncs comes last."""
        own, rest = fetches_of_run(plan, platform, max_gb=self.options.max_download_gb)
        self.store.prepare()
        refused = refused_before(self.store, plan.sync_id) if own or rest else frozenset()
        return refused_last(own, refused), refused_last(rest, refused)

    def _of_others(
        self,
        plan: Plan,
        rest: list[Fetch],
        inventory: Inventory,
        companions: Companions | None,
        copier: Copier,
    ) -> Iterator[tuple[list[Fetch], HeldEntries, bool]]:
        """What other runs own of the rest, a few at a time; what is held by then; whether to look first.

        Between them the runs that own them are looked for: one that has come meanwhile is let do its work.
        """
        # It says that it helps before it waits: a run that starts meanwhile looks before it fetches. Then
        # whoever is alive gets the time to do its own part, and only what is left after that is taken over.
        # The record is read after the waits: what the others have recorded by then needs no look at the
        # store, and what they store later is found by a look at each name.
        if not rest or companions is None:
            return
        companions.help()
        companions.wait_while_they_get_on(rest)
        # Of a run that was ended meanwhile the Lambdas are still there.
        self._wait_for_orphaned_invocations(plan, rest, copier)
        held = inventory.still_held(read_held(self.store).entries)
        for start in range(0, len(rest), copier.chunk_size):
            part = rest[start : start + copier.chunk_size]
            if start:
                companions.wait_while_they_get_on(part)
            yield part, held, not plan.force

    def _wait_for_orphaned_invocations(self, plan: Plan, fetches: list[Fetch], copier: Copier) -> bool:
        ports = self.ports
        return wait_for_orphaned_invocations(
            ports.store, ports.clock, ports.stop, plan=plan, fetches=fetches, log=copier.log
        )

    def fold(self) -> FoldResult:
        """All receipts are in the manifest; one that is missing beside filled folders is rebuilt first.

        The result says what could not be recorded then.
        """
        self.store.prepare()
        inventory = rebuild_if_missing(self.ports, self.options)
        folded = fold(self.store, self.ports.clock)
        if inventory is None or not inventory.rebuilt:
            return folded
        return msgspec.structs.replace(folded, rebuilt=True, unidentified=inventory.unidentified)

    @contextlib.contextmanager
    def _companions(self, plan: Plan, platform: str | None) -> Iterator[Companions | None]:
        """The other runs of the plan, which know of this one meanwhile; None for a run of the whole."""
        if platform is None:
            yield None
            return
        ports = self.ports
        companions = Companions(self.store, ports.clock, ports.stop, plan=plan, platform=platform)
        with companions.registered():
            yield companions
