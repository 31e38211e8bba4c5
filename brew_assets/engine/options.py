"""What the engine is made of: the outside as compose.py chose it, and how it works, from the settings."""

import msgspec

from brew_assets.domain.routing import RoutingRules
from brew_assets.engine.ports import (
    Blobs,
    CatalogueSource,
    Clock,
    HashFileSource,
    Indexes,
    StopSignal,
    Store,
)
from brew_assets.engine.retry import RetryPolicy


class MirrorPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The outside, as compose.py chose it."""

    catalogue: CatalogueSource
    blobs: Blobs
    indexes: Indexes
    store: Store
    hash_files: tuple[HashFileSource, ...]
    clock: Clock
    stop: StopSignal


class MirrorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the mirror works, from the settings.

    `max_download_gb` 0 means no limit; `exclude_formulae` are left out of every plan.
    """

    platforms: tuple[str, ...]
    workers: int = 10
    workers_in_ecs: int = 10
    processes: int = 1
    batch_size: int = 50
    retry: RetryPolicy = RetryPolicy()
    include_disabled: bool = False
    exclude_formulae: tuple[str, ...] = ()
    routing: RoutingRules = RoutingRules()
    max_download_gb: float = 0.0
