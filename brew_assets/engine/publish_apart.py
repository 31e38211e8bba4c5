"""Publishing apart from the end of a sync: a run of its own publishes what others have stored.

Syncs overlap. A sync of a part that ended last was planned by a newer API, whose other bottles nobody has
copied; then the sync of all before it still has what it takes, by the API of its own plan.
"""

import contextlib
from collections.abc import Iterator

import msgspec

from brew_assets.domain.manifest import Manifest
from brew_assets.domain.plan import Plan
from brew_assets.engine.kept_plans import load_plan, newest_plans
from brew_assets.engine.publish import PublishResult, is_of_all, publish, publish_by_plan
from brew_assets.engine.reports import kept_reports
from brew_assets.engine.sync import Mirror
from brew_assets.errors import PlanInvalid

# Plans that nobody has begun to copy are passed over, such as those of `brew-mirror plan`.
_PLANS_READ = 20


class ApartResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication of its own; `of_all`: it was expected that nothing lacks."""

    result: PublishResult
    of_all: bool = True

    @property
    def is_failure(self) -> bool:
        """Whether somebody has to look, as `brew-mirror publish` says with exit code 1.

        Not after a sync of a part, for what that was not asked to bring.
        """
        return self.of_all and self.result.outcome in ("incomplete", "older")


def publish_apart(mirror: Mirror, manifest: Manifest) -> ApartResult:
    """What is held is published by the newest sync that has begun, as that would have done at its end.

    By the API of its plan: upstream's own may name bottles that nobody has planned yet. Without a sync, as
    after an import, it is upstream's own.

    Raises:
        MirrorError: as `publish`.
    """
    plans = _begun_plans(mirror)
    newest = next(plans, None)
    if newest is None:
        return ApartResult(result=publish(mirror, manifest))
    found = _publish_of_sync(mirror, newest, manifest)
    if found.of_all or found.result.outcome not in ("incomplete", "awaited"):
        return found
    whole = next((plan for plan in plans if is_of_all(plan, mirror.options)), None)
    if whole is None:
        return found
    before = _publish_of_sync(mirror, whole, manifest)
    return before if before.result.is_current else found


def _publish_of_sync(mirror: Mirror, plan: Plan, manifest: Manifest) -> ApartResult:
    result = publish_by_plan(mirror, plan, manifest)
    current = result.current
    if result.outcome == "older" and current is not None and plan.created_at <= current.current_since:
        # Upstream has not gone back: somebody has published since the plan was made.
        why = f"{current.publication_id} was published after sync {plan.sync_id} was planned, and is newer"
        result = msgspec.structs.replace(result, outcome="superseded", why=why)
    return ApartResult(result=result, of_all=is_of_all(plan, mirror.options))


def _begun_plans(mirror: Mirror) -> Iterator[Plan]:
    """The newest plans of which a run has ended, the newest first."""
    for sync_id in newest_plans(mirror.store, _PLANS_READ):
        if kept_reports(mirror.store, sync_id, most=1):
            # One that cannot be believed is copied by nobody any more.
            with contextlib.suppress(PlanInvalid):
                yield load_plan(mirror.ports, sync_id)
