"""What copies the bottles of a run: this process, or Lambdas."""

import dagster as dg

from brew_assets.defs.lambda_route import lambda_copier
from brew_assets.defs.tags import ROUTE_TAG
from brew_assets.domain.plan import Plan
from brew_assets.domain.routing import ROUTES
from brew_assets.engine.planner import route_of
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier
from brew_assets.errors import PlanInvalid
from brew_assets.settings import Settings


def copier_of_run(
    context: dg.AssetExecutionContext, engine: Mirror, plan: Plan, settings: Settings
) -> Copier:
    """What copies the run's bottles: the route of its tag, else its plan's, else what its size asks for.

    Raises:
        PlanInvalid: the tag names no route.
        SettingsInvalid: it names Lambda, and none can be invoked.
    """
    tagged = context.run.tags.get(ROUTE_TAG, "")
    decision = route_of(engine, plan)
    route, reason = tagged or plan.route or decision.route, plan.route_reason or decision.reason
    if tagged and tagged != plan.route:
        reason = f"the run's tag {ROUTE_TAG}"
    if route not in ROUTES:
        raise PlanInvalid(f"{ROUTE_TAG}: expected one of {', '.join(ROUTES)}, found {route[:40]!r}")
    context.log.info(f"{context.partition_key}: copies for sync {plan.sync_id}; route {route}: {reason}")
    if route == "lambda":
        return lambda_copier(context, engine, settings)
    return LocalCopier(engine.ports, engine.options, route=route)
