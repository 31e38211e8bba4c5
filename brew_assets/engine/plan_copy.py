"""Copies what is still missing of a plan, by the copier that it is given."""

import operator

import msgspec

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import HeldEntry
from brew_assets.domain.plan import Plan, PlannedBottle
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import ProgressListener
from brew_assets.engine.record.fold import Held
from brew_assets.engine.transfer.local_copier import Copier, CopyJob


class PlanCopy:
    """A plan that is being copied: by whom, and the result so far."""

    def __init__(
        self, plan: Plan, copier: Copier, result: TransferResult, progress: ProgressListener | None
    ) -> None:
        self.plan = plan
        self.copier = copier
        self.result = result
        self._progress = progress

    def copy(self, fetches: list[Fetch], held: dict[str, HeldEntry], *, look_first: bool) -> int:
        """How many names were held already; the others were copied as the result says."""
        missing, kept = still_missing(fetches, held, force=self.plan.force)
        if missing:
            job = CopyJob(
                sync_id=self.plan.sync_id,
                sync_date=self.plan.sync_date,
                fetches=missing,
                force=self.plan.force,
                look_first=look_first,
            )
            self.result.add(self.copier.copy(job, progress=self._progress))
        return kept


def still_missing(
    fetches: list[Fetch], held: dict[str, HeldEntry], *, force: bool
) -> tuple[list[Fetch], int]:
    """The fetches without the names that are held by now, with a source where the digest is held."""
    if force:
        return fetches, 0
    kept = 0
    missing: list[Fetch] = []
    places = Held(held).places({fetch.digest for fetch in fetches})
    for fetch in fetches:
        names: list[PlannedBottle] = []
        place = places.get(fetch.digest)
        for planned in fetch.names:
            known = held.get(planned.bottle.entry_key)
            if known is not None and known.sha256 == planned.bottle.digest:
                kept += 1
            elif place is not None:
                names.append(msgspec.structs.replace(planned, source=place.s3_key, size=place.file_size))
            elif planned.source is not None:
                names.append(msgspec.structs.replace(planned, source=None))
            else:
                names.append(planned)
        if names:
            whole = len(names) == len(fetch.names) and all(map(operator.is_, names, fetch.names))
            missing.append(fetch if whole else Fetch(digest=fetch.digest, names=tuple(names)))
    return missing, kept
