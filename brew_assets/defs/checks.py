"""Facts about what is stored: the catalogue, the manifest, and the objects that it names."""

import random
from collections.abc import Iterable
from typing import Any

import dagster as dg

from brew_assets.defs.assets import formula_catalog, hash_manifest, pending_bottles
from brew_assets.defs.pages.markdown import escaped
from brew_assets.defs.pages.metadata import recorded_plan, table
from brew_assets.defs.resources import MirrorResource
from brew_assets.defs.tags import SYNC_ID_TAG
from brew_assets.domain.manifest import Manifest, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.domain.plan_summary import PlanSummary
from brew_assets.domain.platforms import newer_macos
from brew_assets.engine.catalogue_cache import KeptCatalogue, kept_catalogue, load_catalogue
from brew_assets.engine.kept_plans import load_plan
from brew_assets.engine.record.fold import read_manifest
from brew_assets.engine.record.verify import certify
from brew_assets.engine.sync import Mirror
from brew_assets.errors import ManifestInvalid, PlanInvalid, StoreError

SAMPLE_SIZE = 20
# Bad bottles that the description names; the table has all.
MOST_NAMED = 3
_FOUND_CHARACTERS = 1000
MAX_SHRINK = 0.10
_NO_MANIFEST = (
    f"There is no {MANIFEST_KEY} yet: no sync has ended in this store. Launch the job `weekly_sync`."
)
_MEND = "Mend it: launch the job `repair`, or run `brew-mirror verify --deep --repair`."
_UNUSABLE_CATALOGUE = "The kept catalogue is damaged or cannot be used: materialize formula_catalog."
_NO_CATALOGUE = "No catalogue is kept in this store yet: materialize formula_catalog."


def escaped_text(found: object) -> str:
    """What a description says in foreign words: pages render descriptions as Markdown."""
    return escaped(str(found), most=_FOUND_CHARACTERS)


def _described(error: ManifestInvalid) -> str:
    """The finding without markup, then the remedy, in which the commands are code."""
    what, _, remedy = str(error).partition(error.finding)
    return f"{escaped_text(f'{what}{error.finding}')}{remedy}"


def check_result(
    passed: bool, description: str, *, warn: bool = False, **metadata: Any
) -> dg.AssetCheckResult:
    """What a check found; a finding is an error unless it is to `warn`."""
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(passed=passed, severity=severity, description=description, metadata=metadata)


@dg.asset_check(
    asset=formula_catalog,
    blocking=True,
    description=f"Formulae and bottles fell by at most {MAX_SHRINK:.0%} since the last plan.",
)
def catalogue_not_shrunk(
    context: dg.AssetCheckExecutionContext, mirror: MirrorResource
) -> dg.AssetCheckResult:
    with mirror.engine() as engine:
        kept = kept_catalogue(engine.store)
    if kept is None:
        return check_result(False, _NO_CATALOGUE)
    record = context.instance.get_latest_materialization_event(pending_bottles.key)
    made = record.asset_materialization if record else None
    formulae, bottles = catalogue_before(kept, recorded_plan(made.metadata) if made else None)
    counted = (("formulae", kept.formulae, formulae), ("bottles", kept.bottles, bottles))
    shrunk = [
        f"from {before:,} to {now:,} {name}" if before else f"to no {name} at all"
        for name, now, before in counted
        if not now or now < before * (1 - MAX_SHRINK)
    ]
    description = f"{kept.formulae} formulae, {kept.bottles} bottles"
    if shrunk:
        description = (
            f"the catalogue shrank {' and '.join(shrunk)}. No plan was made. If upstream really shrank, "
            "materialize pending_bottles by itself once."
        )
    return check_result(
        not shrunk,
        description,
        formulae=kept.formulae,
        bottles=kept.bottles,
        formulae_before=formulae,
        bottles_before=bottles,
    )


def catalogue_before(kept: KeptCatalogue, plan: PlanSummary | None) -> tuple[int, int]:
    """Formulae and bottles of the catalogue that the last plan was made from.

    Upstream publishes every half hour: the catalogue kept before this one may be as short as this one.
    Without a plan in Dagster's history it is all there is to compare with.
    """
    if plan is not None and plan.catalogue_formulae:
        return plan.catalogue_formulae, plan.catalogue_bottles
    return kept.previous_formulae, kept.previous_bottles


@dg.asset_check(
    asset=formula_catalog,
    description="No macOS in the catalogue is newer than every mirrored platform of its architecture.",
)
def newest_macos_covered(mirror: MirrorResource) -> dg.AssetCheckResult:
    with mirror.engine() as engine:
        kept = kept_catalogue(engine.store)
        catalogue = load_catalogue(engine.store, kept) if kept else None
        platforms = engine.options.platforms
    if catalogue is None:
        return check_result(False, _UNUSABLE_CATALOGUE if kept else _NO_CATALOGUE, warn=True)
    newer = newer_macos(catalogue.tags(), platforms)
    description = (
        f"The catalogue has bottles for {escaped_text(', '.join(newer))}: add what your machines run to "
        "TARGET_PLATFORMS."
        if newer
        else "The configured platforms are up to date."
    )
    return check_result(not newer, description, warn=True, newer=newer, platforms=list(platforms))


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "manifest_consistent",
            asset=hash_manifest,
            description="The manifest is as it was sealed, its entries are well-formed and its statistics "
            "agree.",
        ),
        dg.AssetCheckSpec(
            "sampled_objects_present",
            asset=hash_manifest,
            description=f"{SAMPLE_SIZE} bottles of the manifest, drawn at random, are stored with their "
            "digest.",
        ),
    ],
    can_subset=True,
)
def manifest_checks(
    context: dg.AssetCheckExecutionContext, mirror: MirrorResource
) -> Iterable[dg.AssetCheckResult]:
    with mirror.engine() as engine:
        found = _manifest(engine)
        if isinstance(found, str):
            consistent = check_result(False, found)
        else:
            consistent = check_result(True, f"{len(found)} entries", entries=len(found))
        sampled = look_at_a_sample(context, engine, found)
    results = {"manifest_consistent": consistent, "sampled_objects_present": sampled}
    for key in context.selected_asset_check_keys:
        yield results[key.name]._replace(check_name=key.name)


@dg.asset_check(
    asset=pending_bottles,
    description=(
        f"{SAMPLE_SIZE} bottles that are held, drawn at random, are stored with their digest; looked at also "
        "when nothing is pending."
    ),
)
def held_objects_present(
    context: dg.AssetCheckExecutionContext, mirror: MirrorResource
) -> dg.AssetCheckResult:
    with mirror.engine() as engine:
        return look_at_a_sample(context, engine, _manifest(engine))


def _manifest(engine: Mirror) -> Manifest | str:
    """The manifest, or what is wrong with it."""
    document = read_manifest(engine.store)
    if document is None:
        return _NO_MANIFEST
    try:
        return decode_manifest(document.data)
    except ManifestInvalid as error:
        return _described(error)


def look_at_a_sample(
    context: dg.AssetCheckExecutionContext, engine: Mirror, manifest: Manifest | str
) -> dg.AssetCheckResult:
    """What a look at some bottles of the manifest shows, and how to mend it.

    What cannot be read is a warning: it may be whole.
    """
    if isinstance(manifest, str):
        return check_result(False, manifest)
    # What the sync is about to bring back is known to be gone.
    keys = sorted(set(manifest.keys()) - _being_brought_back(context, engine))
    # Seeded: a run that is looked at again names the same bottles.
    drawn = set(random.Random(context.run.run_id).sample(keys, min(SAMPLE_SIZE, len(keys))))
    sample = [(key, entry) for key, entry in manifest.entries() if key in drawn]
    try:
        certificates = certify(engine.store, sample, workers=engine.options.workers)
    except StoreError as error:
        return check_result(False, f"The sample cannot be looked at: {escaped_text(error)}", warn=True)
    bad = [c for c in certificates if c.verdict != "CURRENT"]
    rows = [(c.entry.s3_key, c.verdict, c.finding) for c in bad]
    named = [escaped_text(f"{c.entry.s3_key} is {c.verdict} {c.finding}".rstrip()) for c in bad[:MOST_NAMED]]
    counted = f"{len(sample) - len(bad)} of {len(sample)} sampled bottles are as the manifest says"
    return check_result(
        not bad,
        "; ".join((counted, *named)) + (f". {_MEND}" if bad else ""),
        warn=all(c.verdict == "UNREADABLE" for c in bad),
        sampled=len(sample),
        bad=len(bad),
        findings=table(("object", "verdict", "finding"), rows),
    )


def _being_brought_back(context: dg.AssetCheckExecutionContext, engine: Mirror) -> set[str]:
    """The entry keys of what the newest plan found gone: this run's, or the one that it has just made."""
    sync_id = context.run.tags.get(SYNC_ID_TAG, "")
    if not sync_id:
        record = context.instance.get_latest_materialization_event(pending_bottles.key)
        made = record.asset_materialization if record else None
        plan = recorded_plan(made.metadata) if made else None
        sync_id = plan.sync_id if plan else ""
    try:
        objects = load_plan(engine.ports, sync_id).objects
    except (PlanInvalid, StoreError):
        return set()
    return {planned.bottle.entry_key for planned in objects if planned.again}


CHECKS = [catalogue_not_shrunk, newest_macos_covered, manifest_checks, held_objects_present]
