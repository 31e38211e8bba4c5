"""How the mirror works, from the settings."""

import msgspec

from brew_assets.domain.routing import RoutingRules
from brew_assets.engine.retry import RetryPolicy


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the mirror works: handed on whole to whatever plans, copies or records.

    `workers` are the bottles that come at the same time, and the threads that look at the store;
    `workers_in_ecs` are those bottles in a task of ECS. `max_download_gb` 0 means no limit;
    `exclude_formulae` are left out of every plan. `api_tags` are those whose signed API files are mirrored;
    hosts that show different generations of them are asked for `api_consistency_wait_s`.
    """

    platforms: tuple[str, ...]
    workers: int = 10
    workers_in_ecs: int = 10
    batch_size: int = 50
    retry: RetryPolicy = RetryPolicy()
    include_disabled: bool = False
    exclude_formulae: tuple[str, ...] = ()
    routing: RoutingRules = RoutingRules()
    max_download_gb: float = 0.0
    api_tags: tuple[str, ...] = ()
    api_consistency_wait_s: float = 120.0
