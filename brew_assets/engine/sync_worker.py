"""What a Lambda does with the batch that it was given; its report object says how it went."""

import logging

import msgspec

from brew_assets.domain.batch import (
    Batch,
    BatchReference,
    DirectRequest,
    batch_report_key,
    decode_batch,
)
from brew_assets.domain.exclusions import excluded_of
from brew_assets.domain.named_formulae import why_excluded
from brew_assets.domain.report import Report, encode_report
from brew_assets.engine.catalogue_cache import names_in_catalogue
from brew_assets.engine.kept_plans import check_folder_date, keep_plan, new_sync_id
from brew_assets.engine.log_context import bound, figures
from brew_assets.engine.reports import Stopwatch
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets.errors import EventInvalid

ROUTE = "lambda"

_log = logging.getLogger(__name__)


def work_on(mirror: Mirror, work: BatchReference | DirectRequest) -> Report:
    """The report on the work, which stands in the store too.

    Of a batch only receipts are written: the run that cut it folds. Bottles by value are folded at once.

    Raises:
        EventInvalid: there is no such batch, a folder of the future is asked for, or an excluded formula.
        PlanInvalid: the batch cannot be believed, or names a folder of the future.
        ManifestInvalid: of bottles by value, the manifest or a receipt cannot be trusted.
        StoreError: the store ended the work; the next run finds and records what was stored.
    """
    if isinstance(work, DirectRequest):
        return _work_on_request(mirror, work)
    document = mirror.store.read(work.batch_key)
    if document is None:
        raise EventInvalid(f"{work.batch_key}: expected a batch in {mirror.store.url}, found none")
    batch = decode_batch(document.data, key=work.batch_key)
    check_folder_date(batch.sync_date, mirror.ports.clock.now(), where=work.batch_key)
    platforms = ",".join(batch.platforms())
    with bound(sync_id=batch.sync_id, batch=work.batch_key, platform=platforms, route=ROUTE):
        _log.info("batch begins", extra={"planned": len(batch.objects)})
        report = _work_on_batch(mirror, batch)
        mirror.store.write(batch_report_key(work.batch_key), encode_report(report))
        _log.info("batch ends", extra=figures(report))
    return report


def _work_on_batch(mirror: Mirror, batch: Batch) -> Report:
    watch = Stopwatch(mirror.ports.clock)
    result = LocalCopier(mirror.ports, mirror.options, route=ROUTE).copy(batch.job())
    begun = Report(
        sync_id=batch.sync_id,
        sync_date=batch.sync_date,
        platforms=batch.platforms(),
        route=ROUTE,
        started_at=watch.started_at,
        ended_at="",
        duration_s=0.0,
        planned=len(batch.objects),
        undone=tuple(result.undone),
    )
    return watch.report(begun, result)


def _work_on_request(mirror: Mirror, request: DirectRequest) -> Report:
    now, excluded = mirror.ports.clock.now(), mirror.options.exclude_formulae
    request.check_date(now.date())
    if named := sorted(excluded_of(request.objects, names_in_catalogue(mirror.store, excluded))):
        raise EventInvalid("; ".join(why_excluded(name, name) for name in named))
    plan = request.plan(sync_id=new_sync_id(now), created_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    plan = msgspec.structs.replace(plan, excludes=excluded)
    mirror.store.prepare()
    keep_plan(mirror.store, plan)
    # Somebody waits for the answer, and a Lambda's own time is short.
    copier = LocalCopier(mirror.ports, mirror.options, route=ROUTE)
    report, _ = mirror.sync(plan, copier=copier, patient=False)
    return report
