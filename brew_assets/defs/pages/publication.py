"""What the page of the publication shows: what clients are served, how old that is, and what lacks."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from brew_assets.defs.backfills import PUBLICATION
from brew_assets.defs.pages.markdown import escaped
from brew_assets.defs.pages.metadata import Metadata, figures_with_report, table
from brew_assets.defs.pages.store_links import Places
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.plan import Plan
from brew_assets.domain.publication import POINTER_KEY, Lacking, Pointer, record_key
from brew_assets.domain.publication_rules import MOST_NAMED, in_order, named
from brew_assets.engine.publish import PublishResult, is_shortfall
from brew_assets.engine.sync import Mirror
from brew_assets.settings import Settings


def publication_metadata(result: PublishResult, now: datetime, places: Places) -> Metadata:
    """What became of a try to publish; `lag_s` is how old the API is that clients are served by `now`.

    Counts are those of the publication that was made, or would have been.
    """
    found, current = result.publication, result.current
    figures = {
        "outcome": result.outcome,
        **(found.counts if found is not None else {}),
        "lacking": _table_of(found.lacking if found is not None else ()),
        **({"generated_at": _time(result.generated_at)} if result.generated_at else {}),
        **(_served(current, now, places) if current is not None else {}),
    }
    report = f"### Publication: {result.outcome}\n\n{escaped(result.why, most=1000)}"
    return figures_with_report("publication", figures, report, {})


def record_publication(
    context: dg.AssetExecutionContext,
    engine: Mirror,
    settings: Settings,
    plan: Plan,
    result: PublishResult | None,
) -> list[str]:
    """The step of another asset has the publication materialized where clients are served what is held now.

    Else it is observed, and what somebody should know comes back as warnings: clients are served what they
    were. None: PUBLISH=off.
    """
    if result is None:
        return []
    metadata = publication_metadata(result, engine.ports.clock.now(), Places(engine.store.url, settings))
    if result.is_current and result.current is not None:
        tags = {"dagster/data_version": result.current.sha256}
        context.log_event(dg.AssetMaterialization(PUBLICATION, metadata=metadata, tags=tags))
        return []
    context.log_event(dg.AssetObservation(PUBLICATION, metadata=metadata))
    if is_shortfall(result, plan, engine.options) or result.outcome == "older":
        return [describe_unpublished(result)]
    context.log.info(describe_unpublished(result))
    return []


def describe_unpublished(result: PublishResult) -> str:
    """Why nothing was published, the first of what lacks, and what clients are served meanwhile."""
    lacking = named(result.publication.lacking) if result.publication is not None else []
    parts = [f"Not published: {result.why}."]
    if lacking:
        parts.append(f"Lacking: {'; '.join(lacking)}.")
    if result.current is not None:
        parts.append(f"Clients are served {result.current.publication_id} on.")
    return printable(" ".join(parts))


def _served(current: Pointer, now: datetime, places: Places) -> dict[str, object]:
    """What the pointer says, and where it and its record lie."""
    return {
        "current": current.publication_id,
        "current_since": current.current_since,
        "lag_s": int(now.timestamp()) - current.generated_at,
        "record": places.document(record_key(current.publication_id)),
        "pointer": places.document(POINTER_KEY),
    }


def _table_of(lacking: Sequence[Lacking]) -> dg.MarkdownMetadataValue:
    rows = [(one.name, one.tag, one.reason, one.fault) for one in in_order(lacking)]
    return table(("formula", "tag", "what it lacks", "whose fault"), rows, most=MOST_NAMED)


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
