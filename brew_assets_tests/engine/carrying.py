"""A transfer with everything it needs, for the stories about it."""

from dataclasses import dataclass, field
from typing import Any

from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import Receipt, decode_receipts
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.ports import ProgressListener
from brew_assets.engine.record.journal import RECEIPT_PREFIX, Journal
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.transfer.pool import TransferOptions, TransferPorts, transfer
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore, ScriptedBlobs
from brew_assets_tests.worlds import DATE, SYNC_ID


@dataclass
class Carrying:
    """One worker unless a story needs more, so that its order is known."""

    blobs: ScriptedBlobs = field(default_factory=ScriptedBlobs)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    stop: FakeStop = field(default_factory=FakeStop)
    progress: ProgressListener | None = None

    def copy(
        self,
        *fetches: Fetch,
        workers: int = 1,
        slots: int | None = None,
        attempts: int = 3,
        delay_s: float = 30.0,
        batch_size: int = 50,
        replace: bool = False,
        look_first: bool = False,
        **journal: Any,
    ) -> TransferResult:
        return transfer(
            fetches,
            ports=TransferPorts(blobs=self.blobs, store=self.store, clock=self.clock, stop=self.stop),
            journal=Journal(self.store, self.clock, sync_id=SYNC_ID, batch_size=batch_size, **journal),
            date=DATE,
            options=TransferOptions(
                workers=workers,
                slots=slots or workers,
                batch_size=batch_size,
                retry=RetryPolicy(attempts=attempts, delay_s=delay_s),
                replace=replace,
            ),
            look_first=look_first,
            progress=self.progress,
        )

    def receipts(self) -> list[Receipt]:
        """What the journal says was stored."""
        return [
            receipt
            for key in self.store.keys(RECEIPT_PREFIX)
            for receipt in decode_receipts(self.store.data(key), key=key)
        ]

    def recorded(self) -> list[str]:
        """The keys of the journal's bottles."""
        return sorted(receipt.entry.s3_key for receipt in self.receipts())
