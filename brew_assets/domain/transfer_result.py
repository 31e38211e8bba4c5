"""What a transfer did: counted by the bottle, added up by the run."""

from collections.abc import Iterable

import msgspec

from brew_assets.domain.manifest import Receipt
from brew_assets.domain.plan import PlannedBottle
from brew_assets.domain.report import Counts, Failure


class TransferResult(Counts, kw_only=True):
    """What a transfer, or one fetch of it, did.

    `put_there` are the entry keys of what was stored and not found there whole; `undone` are the file names
    that were not begun or not finished; `aborted` is the error that ended the transfer early, and
    `aborted_reason` its reason.
    """

    receipts: list[Receipt] = msgspec.field(default_factory=list)
    put_there: list[str] = msgspec.field(default_factory=list)
    failed: list[Failure] = msgspec.field(default_factory=list)
    undone: list[str] = msgspec.field(default_factory=list)
    aborted: str = ""
    aborted_reason: str = ""

    @property
    def left(self) -> int:
        """How many names were not begun or not finished."""
        return len(self.undone)

    def leave(self, names: Iterable[PlannedBottle]) -> None:
        """Counts the names as not begun or not finished."""
        self.undone.extend(planned.bottle.filename for planned in names)

    def add(self, other: "TransferResult") -> None:
        """Adds the other's counts, failures and undone names; receipts and `put_there` are not kept."""
        self.failed.extend(other.failed)
        self.undone.extend(other.undone)
        self.count(other)
        self.abort(other.aborted, other.aborted_reason)

    def abort(self, why: str, reason: str) -> None:
        """Remembers why the transfer is given up, unless that is known or there is no why."""
        if why and not self.aborted:
            self.aborted, self.aborted_reason = why, reason

    def count(self, other: Counts) -> None:
        """Adds the other's counts alone."""
        for name in Counts.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
