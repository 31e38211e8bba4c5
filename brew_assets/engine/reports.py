"""Reports of what a transfer did, for a run and for a worker's batch alike."""

from collections.abc import Sequence

from brew_assets.domain.left_out import LISTED, LeavesOut, LeftOut
from brew_assets.domain.report import Report
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import Clock


class Stopwatch:
    """When a piece of work began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started, self._begin = clock.now(), clock.monotonic()

    def report(
        self,
        result: TransferResult,
        *,
        sync_id: str,
        sync_date: str,
        platforms: Sequence[str],
        route: str,
        planned: int,
        kept: int = 0,
        identified: int = 0,
        forgotten: Sequence[str] = (),
        name_undone: bool = False,
        plan: LeavesOut | None = None,
        run_id: str = "",
        run_url: str = "",
    ) -> Report:
        """What was done until now. `identified` are those before the transfer; undone names can be many.

        What the plan leaves out is the report's too.
        """
        return Report(
            sync_id=sync_id,
            sync_date=sync_date,
            platforms=tuple(platforms),
            route=route,
            started_at=self._started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ended_at=self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            duration_s=round(self._clock.monotonic() - self._begin, 3),
            planned=planned,
            kept=kept,
            stored=result.stored,
            downloaded=result.downloaded,
            duplicated=result.duplicated,
            identified=result.found + identified,
            found=result.found,
            left=result.left,
            left_bottles=tuple(result.undone[:LISTED]),
            skipped=plan.skipped if plan else 0,
            left_out=plan.left_out if plan else LeftOut(),
            retries=result.retries,
            bytes_downloaded=result.bytes_downloaded,
            bytes_stored=result.bytes_stored,
            failed=tuple(result.failed),
            undone=tuple(result.undone) if name_undone else (),
            forgotten=tuple(forgotten),
            aborted=result.aborted,
            aborted_reason=result.aborted_reason,
            run_id=run_id,
            run_url=run_url,
        )
