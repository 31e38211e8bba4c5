"""How the mirror works, from the settings."""

import msgspec

from brew_assets.domain.publication_rules import PublicationRules
from brew_assets.domain.routing import RoutingRules
from brew_assets.engine.retry import RetryPolicy


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the mirror works: handed on whole to whatever plans, copies or records.

    `workers` are the bottles that come at the same time, and the threads that look at the store;
    `workers_in_ecs` are those bottles in a task of ECS. So many receipts as `batch_size` are written at once.
    `max_download_gb` is in units of 10^9 bytes, 0 means no limit; `exclude_formulae` are left out of every
    plan, and one that asks for no formulae is for `mirror_formulae`, or all where those are none. `api_tags`
    are those whose signed API files are mirrored; hosts that show different generations of them are asked
    for `api_consistency_wait_s`.
    """

    platforms: tuple[str, ...]
    workers: int = 10
    workers_in_ecs: int = 10
    batch_size: int = 50
    retry: RetryPolicy = RetryPolicy()
    include_disabled: bool = False
    exclude_formulae: tuple[str, ...] = ()
    mirror_formulae: tuple[str, ...] = ()
    include_dependencies: bool = True
    routing: RoutingRules = RoutingRules()
    max_download_gb: float = 0.0
    publication: PublicationRules = PublicationRules()
    api_tags: tuple[str, ...] = ()
    api_consistency_wait_s: float = 120.0
