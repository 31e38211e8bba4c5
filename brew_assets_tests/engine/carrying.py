"""A transfer with everything it needs, for the stories about it."""

from dataclasses import dataclass, field

from brew_assets.domain.downloads import CopyJob, Fetch
from brew_assets.domain.manifest import Receipt, decode_receipts
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.options import Options
from brew_assets.engine.ports import ProgressListener
from brew_assets.engine.record.journal import RECEIPT_PREFIX
from brew_assets.engine.retry import RetryPolicy
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets_tests.fakes import FakeClock, FakeStop, MemoryStore, ScriptedBlobs, fake_ports
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
    ) -> TransferResult:
        options = Options(
            platforms=(),
            workers=slots or workers,
            batch_size=batch_size,
            retry=RetryPolicy(attempts=attempts, delay_s=delay_s),
        )
        job = CopyJob(
            sync_id=SYNC_ID, sync_date=DATE, fetches=list(fetches), force=replace, look_first=look_first
        )
        ports = fake_ports(blobs=self.blobs, store=self.store, clock=self.clock, stop=self.stop)
        return LocalCopier(ports, options, threads=workers).copy(job, progress=self.progress)

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
