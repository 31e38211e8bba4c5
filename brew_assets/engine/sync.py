"""A sync: what upstream has, what is held, what is planned, and copying it."""

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping

import msgspec

from brew_assets.domain.catalogue import Catalogue
from brew_assets.domain.downloads import Fetch, fetches_of_run
from brew_assets.domain.exclusions import without_excluded
from brew_assets.domain.lost import lost_and_not_found, with_lost
from brew_assets.domain.manifest import MANIFEST_KEY, Manifest
from brew_assets.domain.named_formulae import exclusions_of
from brew_assets.domain.plan import (
    Plan,
    PlannedBottle,
    Request,
    check_request,
    plan_sync,
    with_sizes,
)
from brew_assets.domain.report import REPORT_PREFIX, Report, encode_report
from brew_assets.domain.routing import Decision, check_size, choose_route, load_of
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.bottle_sizes import SizeLookUp, SizesFound
from brew_assets.engine.catalogue_cache import CatalogueNow, names_in_catalogue, refresh_catalogue
from brew_assets.engine.clock import go_on_planning, until_stopped
from brew_assets.engine.coordination import Companions, wait_for_orphaned_invocations
from brew_assets.engine.existence import mirror_exists
from brew_assets.engine.kept_plans import keep_plan, load_plan, new_sync_id
from brew_assets.engine.log_context import bound, figures
from brew_assets.engine.options import MirrorOptions, MirrorPorts
from brew_assets.engine.plan_copy import PlanCopy
from brew_assets.engine.ports import ProgressListener, StopSignal
from brew_assets.engine.record.fold import FoldResult, fold, read_held
from brew_assets.engine.record.forget import lacks_everything, really_gone
from brew_assets.engine.record.held import Inventory, take_inventory
from brew_assets.engine.record.identify import Unidentified
from brew_assets.engine.record.recorded import fail_the_unrecorded
from brew_assets.engine.refused_before import refused_before, refused_last
from brew_assets.engine.reports import Stopwatch
from brew_assets.engine.skip_list import SkipList, load_skip_list
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier
from brew_assets.engine.transfer.pool import TransferPorts
from brew_assets.engine.transfer.refused_host import all_lead_elsewhere
from brew_assets.errors import PlanInvalid, StoreError

_log = logging.getLogger(__name__)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A plan and what was learnt while it was made."""

    plan: Plan
    skip: SkipList
    sizes: SizesFound
    identified: int
    unidentified: tuple[Unidentified, ...]


class Mirror:
    """The wired engine. Every method may raise StoreError and ManifestInvalid."""

    def __init__(
        self,
        ports: MirrorPorts,
        options: MirrorOptions,
        *,
        remake: Callable[[StopSignal], MirrorPorts] | None = None,
    ) -> None:
        """`remake` makes ports of its own for a process that shares a transfer; without it there is one."""
        self.ports = ports
        self.options = options
        self.store = ports.store
        self._remake = remake

    def refresh_catalogue(self, request: Request | None = None, *, keep: bool = True) -> CatalogueNow:
        """The catalogue that upstream shows now, and of which a plan for the request can be made.

        Where there is no mirror yet, nothing is written before both are certain.

        Raises:
            CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: upstream gave none that can be used;
                what was kept stays.
            PlanInvalid: an unknown platform or formula.
        """
        is_new = not mirror_exists(self.store)
        if keep and not is_new:
            self.store.prepare()

        def before_keeping(catalogue: Catalogue) -> None:
            if request is not None:
                check_request(catalogue, self._without_excluded(request))
            if keep and is_new:
                self.store.prepare()

        return refresh_catalogue(
            self.ports.catalogue,
            self.store,
            self.ports.clock,
            platforms=self.options.platforms,
            keep=keep,
            before_keeping=before_keeping,
        )

    def take_inventory(self, *, record: bool = True, also: str = "") -> Inventory:
        """What is held; see engine/record/held.py."""
        return take_inventory(
            self.store,
            self.ports.clock,
            workers=self.options.workers,
            batch_size=self.options.batch_size,
            record=record,
            also=also,
        )

    def make_plan(
        self,
        request: Request,
        *,
        catalogue: Catalogue | None = None,
        sizes: bool = True,
        record: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Planned:
        """A new plan; it stands in the store under its sync id when `record` is true.

        Raises:
            PlanInvalid: an unknown platform or formula, or one that is rejected or excluded.
            CatalogueUnavailable, CatalogueRefused, CatalogueInvalid: there is no catalogue to plan from.
            RegistryRefused: nobody is given a size with these settings.
            PlanningStopped: the stop signal came before the plan was whole; none is kept.
        """
        request = self._without_excluded(request)
        if catalogue is None:
            catalogue = self.refresh_catalogue(request, keep=record).catalogue
        else:
            check_request(catalogue, request)
            if record:
                self.store.prepare()
        go_on_planning(self.ports.stop)
        inventory = self.take_inventory(record=record)
        go_on_planning(self.ports.stop)
        wanted = catalogue.digests()
        # The largest files take a small machine longer to read than a stop signal leaves.
        skip = until_stopped(lambda: load_skip_list(self.ports.hash_files, wanted=wanted), self.ports.stop)
        # What is recorded was stored here: nobody else's list says that it need not be brought back.
        recorded = {entry.sha256 for entry in inventory.lost.values()}
        now = self.ports.clock.now()
        plan = plan_sync(
            catalogue,
            inventory.entries,
            request,
            sync_id=new_sync_id(now),
            created_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            skip=skip.digests - recorded,
        )
        rejected = frozenset(found.name for found in catalogue.rejected)
        plan = with_lost(
            plan,
            inventory.lost,
            resized=inventory.resized,
            rejected=rejected,
            excluded=exclusions_of(catalogue, request.exclude).names,
        )
        plan = msgspec.structs.replace(plan, left_out=skip.noted_in(plan.left_out))
        found = SizesFound(sizes={}, problems=[])
        if sizes:
            found = self.look_up_sizes(plan, keep=record, progress=progress)
            plan = with_sizes(plan, found.sizes)
        # Of one that was stopped among the sizes, the route would be decided by what happens to be known.
        go_on_planning(self.ports.stop)
        decision = self.route_of(plan)
        plan = msgspec.structs.replace(plan, route=decision.route, route_reason=decision.reason)
        if record:
            self.keep_plan(plan)
        return Planned(
            plan=plan,
            skip=skip,
            sizes=found,
            identified=inventory.identified,
            unidentified=inventory.unidentified,
        )

    def _without_excluded(self, request: Request) -> Request:
        return msgspec.structs.replace(request, exclude=self.options.exclude_formulae)

    def excluded_names(self) -> tuple[str, ...]:
        """What EXCLUDE_FORMULAE names, and what the kept catalogue calls those."""
        return names_in_catalogue(self.store, self.options.exclude_formulae)

    def route_of(self, plan: Plan) -> Decision:
        """Where the plan is to be copied, by its total and the settings."""
        return choose_route(load_of(plan.objects), self.options.routing)

    def keep_plan(self, plan: Plan) -> None:
        """The plan stands in the store under its sync id."""
        keep_plan(self.store, plan)

    def load_plan(self, sync_id: str) -> Plan:
        """The plan of a sync.

        Raises:
            PlanInvalid: there is none, or it cannot be believed.
        """
        return load_plan(self.store, sync_id, now=self.ports.clock.now())

    def look_up_sizes(
        self, plan: Plan, *, keep: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> SizesFound:
        """Sizes of the plan's digests whose size is not known yet."""
        look_up = SizeLookUp(
            indexes=self.ports.indexes,
            store=self.store,
            clock=self.ports.clock,
            stop=self.ports.stop,
            workers=self.options.workers,
            retry=self.options.retry,
            keep=keep,
        )
        bottles = [planned.bottle for planned in plan.objects if planned.size is None]
        return look_up.look_up(bottles, progress=progress)

    def copy_plan(
        self,
        plan: Plan,
        platform: str | None = None,
        *,
        progress: ProgressListener | None = None,
        copier: Copier | None = None,
        patient: bool = True,
        run_id: str = "",
        run_url: str = "",
    ) -> tuple[Report, FoldResult]:
        """What the run did, and the manifest after its fold. No platform: the whole plan in this run.

        Idempotent: it looks again at what is held, records what an earlier try left, and copies only what
        is missing, with this process as the copier when none is given. The report stands in the store.
        A run that is not `patient` lets no earlier workers finish: it looks before each download.

        Raises:
            PlanInvalid: the plan does not cover the platform, or is larger than a run may download.
            StoreError, ManifestInvalid: the store or the manifest ended the run; what was stored before
                is found by the next one.
        """
        if platform is not None and platform not in plan.platforms:
            raise PlanInvalid(f"sync {plan.sync_id} covers {', '.join(plan.platforms)}, not {platform}")
        if not set(self.options.exclude_formulae) <= set(plan.excludes):
            plan = without_excluded(plan, self.excluded_names())
        copier = copier or self.local_copier()
        watch = Stopwatch(clock := self.ports.clock)
        self.store.prepare()
        own, rest = fetches_of_run(plan, platform)
        check_size(plan.sync_id, [p for fetch in own for p in fetch.names], self.options.max_download_gb)
        refused = refused_before(self.store, plan.sync_id) if own or rest else frozenset()
        own, rest = refused_last(own, refused), refused_last(rest, refused)
        planned = sum(len(fetch.names) for fetch in (*own, *rest))
        result = TransferResult()
        whose = platform or ",".join(plan.platforms)
        named = {"sync_id": plan.sync_id, "platform": whose, "route": copier.route}
        _log.info("sync begins", extra=named | {"planned": planned})
        with bound(**named), self._companions(plan, platform) as companions:
            # Before the inventory: what they store meanwhile is seen there.
            unfinished = patient and self._wait_for_orphaned_invocations(plan, own, copier)
            # After the registration: whoever helps from now on waits for this run first.
            inventory = self.take_inventory(also=plan.sync_date)
            look_first = unfinished or not patient or (companions is not None and companions.are_helping())
            run = PlanCopy(plan, copier, result, progress)
            kept = run.copy(own, inventory.entries, look_first=look_first)
            if rest and companions is not None:
                kept += self._help(run, rest, companions, inventory)
            folded = self.fold()
            fail_the_unrecorded((*own, *rest), result, folded.manifest)
            candidates = lost_and_not_found(result.failed, (p for f in (*own, *rest) for p in f.names))
            forgotten = self._forget(candidates, result, folded.manifest)
            if forgotten:
                folded = self.fold(gone={p.bottle.entry_key: p.lost for p in forgotten})
            ports = self.ports
            facts = (result, ports.blobs, ports.stop, folded.manifest)
            result.aborted = result.aborted or lacks_everything(*facts) or all_lead_elsewhere(*facts)
        report = watch.report(
            result,
            sync_id=plan.sync_id,
            sync_date=plan.sync_date,
            platforms=(platform,) if platform else plan.platforms,
            route=copier.route,
            planned=planned,
            kept=kept,
            identified=inventory.identified,
            forgotten=sorted(planned.bottle.filename for planned in forgotten),
            plan=plan,
            run_id=run_id,
            run_url=run_url,
        )
        # To the microsecond: a second try may follow within the second, and what it says is the newer word.
        name = f"{platform or 'all'}-{clock.now():%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
        self._keep_report(f"{REPORT_PREFIX}{plan.sync_id}/{name}.json", report)
        _log.info("sync ends", extra=named | figures(report) | {"held": folded.entries})
        return report, folded

    def _forget(
        self, candidates: list[PlannedBottle], result: TransferResult, manifest: Manifest
    ) -> list[PlannedBottle]:
        """What of the candidates nobody has any more: that is no failure."""
        ports = self.ports
        gone = really_gone(
            candidates, ports.blobs, self.store, ports.stop, manifest=manifest, downloaded=result.downloaded
        )
        names = {planned.bottle.filename for planned in gone}
        result.failed = [failure for failure in result.failed if failure.name not in names]
        return gone

    def _keep_report(self, key: str, report: Report) -> None:
        try:
            self.store.write(key, encode_report(report))
        except StoreError as error:
            # All is stored and recorded; who reads the report later has to do without.
            _log.error("the report is not kept", extra={"key": key, "error": str(error)})

    def local_copier(self, route: str = "local") -> LocalCopier:
        """This process as the copier, under the name of the route that brought the run here."""
        remake = self._remake
        return LocalCopier(
            _transfer_ports(self.ports),
            slots=self.options.workers_in_ecs if route == "ecs" else self.options.workers,
            batch_size=self.options.batch_size,
            retry=self.options.retry,
            # A Lambda has one core to itself, and its memory is what the owner pays for.
            processes=1 if route == "lambda" else self.options.processes,
            remake=(lambda stop: _transfer_ports(remake(stop))) if remake is not None else None,
            route=route,
        )

    def _wait_for_orphaned_invocations(self, plan: Plan, fetches: list[Fetch], copier: Copier) -> bool:
        ports = self.ports
        return wait_for_orphaned_invocations(
            ports.store, ports.clock, ports.stop, plan=plan, fetches=fetches, log=copier.log
        )

    def _help(self, run: PlanCopy, rest: list[Fetch], companions: Companions, inventory: Inventory) -> int:
        """How many names of the rest were held; the others were copied, a few at a time.

        Between them the runs that own them are looked for: one that has come meanwhile is let do its work.
        """
        companions.help()
        companions.wait_while_they_get_on(rest)
        # Of a run that was ended meanwhile the workers are still there.
        self._wait_for_orphaned_invocations(run.plan, rest, run.copier)
        held = inventory.still_held(read_held(self.store).entries)
        kept = 0
        for start in range(0, len(rest), run.copier.chunk_size):
            part = rest[start : start + run.copier.chunk_size]
            if start and not run.result.aborted:
                companions.wait_while_they_get_on(part)
            if run.result.aborted:
                for fetch in part:
                    run.result.leave(fetch.names)
            else:
                kept += run.copy(part, held, look_first=not run.plan.force)
        return kept

    def fold(self, *, gone: Mapping[str, str] | None = None) -> FoldResult:
        """All receipts are in the manifest; one that is missing beside filled folders is rebuilt first.

        `gone` are entries to forget: entry key -> the key of the object that it names.
        """
        self.store.prepare()
        if not any(listed.key == MANIFEST_KEY for listed in self.store.listing(MANIFEST_KEY)):
            self.take_inventory()
        return fold(self.store, self.ports.clock, gone=gone)

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


def _transfer_ports(ports: MirrorPorts) -> TransferPorts:
    return TransferPorts(blobs=ports.blobs, store=ports.store, clock=ports.clock, stop=ports.stop)
