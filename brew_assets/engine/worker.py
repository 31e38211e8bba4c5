"""What a worker does with the batch that it was given; its report object tells how it went."""

import contextlib
import secrets

import msgspec

from brew_assets.domain.batch import (
    Batch,
    BatchReference,
    DirectRequest,
    batch_report_key,
    decode_batch,
)
from brew_assets.domain.plan import encode_plan
from brew_assets.domain.report import Report, encode_report
from brew_assets.engine.adoption import PLAN_PREFIX
from brew_assets.engine.carrier import Consignment
from brew_assets.engine.sync import Mirror
from brew_assets.errors import EventInvalid, KeyTaken

ROUTE = "lambda"


def work_on(mirror: Mirror, work: BatchReference | DirectRequest) -> Report:
    """The report on the work, which stands in the store too.

    Of a batch only receipts are written: the run that cut it folds. Bottles by value are folded at once.

    Raises:
        EventInvalid: there is no such batch.
        PlanInvalid: the batch cannot be read.
        StoreError: the store ended the work; what was stored is adopted by whoever comes next.
    """
    if isinstance(work, DirectRequest):
        return _work_on_request(mirror, work)
    document = mirror.store.read(work.batch_key)
    if document is None:
        raise EventInvalid(f"{work.batch_key}: expected a batch in {mirror.store.url}, found none")
    report = _work_on_batch(mirror, decode_batch(document.data))
    mirror.store.write(batch_report_key(work.batch_key), encode_report(report))
    return report


def _work_on_batch(mirror: Mirror, batch: Batch) -> Report:
    clock = mirror.ports.clock
    started, begin = clock.now(), clock.monotonic()
    consignment = Consignment(
        sync_id=batch.sync_id,
        sync_date=batch.sync_date,
        fetches=batch.fetches(),
        force=batch.force,
        look_first=batch.look_first,
    )
    tally = mirror.own_carrier(ROUTE).carry(consignment)
    return Report(
        sync_id=batch.sync_id,
        sync_date=batch.sync_date,
        platforms=batch.platforms(),
        route=ROUTE,
        started_at=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ended_at=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        duration_s=round(clock.monotonic() - begin, 3),
        planned=len(batch.objects),
        stored=tally.stored,
        downloaded=tally.downloaded,
        duplicated=tally.duplicated,
        adopted=tally.adopted,
        left=tally.left,
        retries=tally.retries,
        bytes_downloaded=tally.bytes_downloaded,
        bytes_stored=tally.bytes_stored,
        failed=tuple(tally.failed),
        undone=tuple(tally.undone),
        aborted=tally.aborted,
    )


def _work_on_request(mirror: Mirror, request: DirectRequest) -> Report:
    now = mirror.ports.clock.now()
    plan = request.plan(
        sync_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        created_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    mirror.store.prepare()
    with contextlib.suppress(KeyTaken):  # our own: the answer to the first try was lost
        mirror.store.write(f"{PLAN_PREFIX}{plan.sync_id}.json", encode_plan(plan), create_only=True)
    report, _ = mirror.carry_out(plan, carrier=mirror.own_carrier(ROUTE))
    return msgspec.structs.replace(report, route=ROUTE)
