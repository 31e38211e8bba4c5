"""What clients are served, as Dagster publishes it: by its condition, and by a week with nothing to copy."""

import json
import shutil
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from brew_assets.definitions import defs
from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.defs.pages.publication import publication_metadata
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.publication import condition_to_publish
from brew_assets.domain.object_keys import INDEX_PREFIX
from brew_assets.domain.publication import POINTER_KEY, Lacking, Pointer, Publication
from brew_assets.engine.publication_walk import walk_publication
from brew_assets.engine.publish import PublishResult, publish
from brew_assets.engine.published import newest_ids, read_pointer, read_record
from brew_assets.settings import read_settings
from brew_assets.simulator import Fault
from brew_assets.simulator.packages import packages_path
from brew_assets_tests.defs.announced import COMPLETE, FAILED, START, Announced
from brew_assets_tests.defs.automation import Automation
from brew_assets_tests.defs.backfilled import ALL, PLANNING, Backfilled
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, checks_of, metadata_of
from brew_assets_tests.worlds import digest_of

SONOMA = PLATFORMS[-1]
KEY = dg.AssetKey("publication")


@pytest.fixture
def automation(deployment: Deployment) -> Automation:
    """The sensor, which has looked before anything was."""
    found = Automation(deployment)
    assert found.asks() == []
    return found


def current(deployment: Deployment) -> Publication:
    """What clients are served."""
    store = deployment.mirror().store
    pointer = read_pointer(store).pointer
    assert pointer is not None
    return read_record(store, pointer.publication_id, sha256=pointer.sha256)


def records(deployment: Deployment) -> list[str]:
    return newest_ids(deployment.mirror().store, 100)


def observed(deployment: Deployment) -> dict[str, Any]:
    """What was last seen of it by a run that has not published."""
    record, *_ = deployment.instance.fetch_observations(KEY, limit=1).records
    assert record.asset_observation is not None
    return {name: value.value for name, value in record.asset_observation.metadata.items()}


def is_materialized(result: dg.ExecuteInProcessResult) -> bool:
    return any(event.asset_key == KEY for event in result.get_asset_materialization_events())


def publish_here(deployment: Deployment, automation: Automation) -> dg.ExecuteInProcessResult:
    """The run that the condition asks for now, which succeeds."""
    assert automation.asks() == ["publication"]
    return automation.run("publication")


def test_the_last_run_of_a_planned_sync_is_followed_by_its_publication_and_then_by_nothing(
    deployment: Deployment, automation: Automation
) -> None:
    assert deployment.run("weekly_sync").success
    *earlier, last = deployment.tick().run_requests
    for request in earlier:
        deployment.copy_plan([request])
        result = publish_here(deployment, automation)
        # Others still copy: that is no failure, and nothing new for clients.
        assert not is_materialized(result)
        assert observed(deployment)["outcome"] == "awaited"
        assert SONOMA in observed(deployment)["report"]
        assert not (deployment.root / POINTER_KEY).exists()
    deployment.copy_plan([last])
    result = publish_here(deployment, automation)
    found, shown = current(deployment), metadata_of(result, "publication")
    assert (shown["outcome"], shown["current"]) == ("published", found.publication_id)
    assert {name: shown[name] for name in found.counts} == found.counts
    assert found.counts["bottles"] == len(deployment.entries()) > 0
    assert (found.counts["lacking_mirror"], shown["lacking"]) == (0, "none")
    assert found.sync_id == last.tags["mirror/sync_id"]
    assert abs(datetime.now(UTC).timestamp() - found.generated_at - shown["lag_s"]) < 60
    assert checks_of(result)["published_objects_present"].passed
    # Of every name of the world, not of twenty alone.
    walk = walk_publication(deployment.mirror().store, most=10_000, seed="all")
    assert (walk.bottles, walk.finding) == (found.counts["bottles"], "")
    assert [automation.asks(), automation.asks()] == [[], []]


def test_a_week_in_which_only_the_api_moved_on_publishes_it_and_a_quiet_one_makes_no_record(
    deployment: Deployment, automation: Automation
) -> None:
    deployment.sync()
    publish_here(deployment, automation)
    before = current(deployment)
    deployment.world.publish("elsewhere", "1.0", tags=("x86_64_linux",))
    planned = deployment.run("weekly_sync")
    assert planned.success
    assert metadata_of(planned, "pending_bottles")["pending_bottles"] == 0
    assert metadata_of(planned, "publication")["outcome"] == "published"
    now = current(deployment)
    assert now.generated_at > before.generated_at
    assert (now.bottles, now.sync_id) == (
        before.bottles,
        metadata_of(planned, "pending_bottles")["sync_id"],
    )
    assert automation.asks() == []
    quiet = deployment.run("weekly_sync")
    assert metadata_of(quiet, "publication")["outcome"] == "unchanged"
    assert len(records(deployment)) == 2
    assert (current(deployment), automation.asks()) == (now, [])


def test_what_this_mirror_lacks_fails_the_publication_alone_and_clients_are_served_on(
    announced: Announced,
) -> None:
    deployment, automation = announced.deployment, Automation(announced.deployment)
    automation.asks()
    deployment.sync()
    publish_here(deployment, automation)
    before = current(deployment)
    announced.tick()
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.server_error(times=None))
    assert not any(run.success for run in deployment.sync())
    announced.tick()
    assert announced.slack.texts == [START, COMPLETE, START, FAILED]
    downloads = dict(deployment.simulator.downloads)
    assert automation.asks() == ["publication"]
    failed = automation.run("publication", fails=True)
    why = deployment.failure(failed, "publication").description or ""
    assert "1 bottles that the API names to clients are not servable" in why
    assert f"wget ({SONOMA}): {bottle.filename}: 500 from upstream" in why
    assert f"Clients are served {before.publication_id} on." in why
    assert failed.retry_attempts_for_node("publication") == 0
    seen = observed(deployment)
    assert (seen["outcome"], seen["lacking_mirror"], seen["current"]) == (
        "incomplete",
        1,
        before.publication_id,
    )
    assert "| wget | arm64_sonoma |" in seen["lacking"]
    assert (current(deployment), len(records(deployment))) == (before, 1)
    # It is asked for once, downloads nothing, and is no news of a sync.
    assert automation.asks() == []
    assert dict(deployment.simulator.downloads) == downloads
    announced.tick()
    assert (len(announced.slack.texts), announced.open) == (4, 0)
    deployment.simulator.clear_faults()
    deployment.sync()
    assert metadata_of(publish_here(deployment, automation), "publication")["outcome"] == "published"
    assert bottle.filename in {one.filename for one in current(deployment).bottles}


def test_a_plan_of_which_nothing_is_pending_is_none_the_worse_for_what_clients_lack(
    deployment: Deployment, automation: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH_MAX_UPSTREAM", "0")
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    deployment.simulator.fault(bottle.filename, Fault.index_lacks_tab())
    deployment.sync()
    automation.asks()
    planned = deployment.run("weekly_sync")
    assert planned.success
    assert metadata_of(planned, "pending_bottles")["pending_bottles"] == 0
    assert not is_materialized(planned)
    assert observed(deployment)["lacking_upstream"] == 1
    warnings = [log.message for log in deployment.instance.all_logs(planned.run_id) if log.level == 30]
    assert any("Not published: " in line and "wget" in line for line in warnings)
    # Whoever looks for what failed finds the run of the asset that did.
    assert automation.asks() == ["publication"]
    failed = automation.run("publication", fails=True)
    assert "(PUBLISH_MAX_UPSTREAM)" in (deployment.failure(failed, "publication").description or "")


def test_best_effort_publishes_what_there_is_and_tells_what_lacks(
    deployment: Deployment, automation: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH", "best_effort")
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=(SONOMA,))
    monkeypatch.setenv("RETRY_ATTEMPTS", "0")
    deployment.simulator.fault(bottle.filename, Fault.server_error(times=None))
    deployment.sync()
    shown = metadata_of(publish_here(deployment, automation), "publication")
    assert (shown["outcome"], shown["lacking_mirror"]) == ("published", 1)
    assert "| wget | arm64_sonoma |" in shown["lacking"]
    assert bottle.filename not in {one.filename for one in current(deployment).bottles}


def test_with_publish_off_nobody_is_asked_for_it_and_a_click_says_why_nothing_happens(
    deployment: Deployment, automation: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert condition_to_publish(read_settings({"PUBLISH": "off"})) is None
    assert condition_to_publish(read_settings({})) is not None
    monkeypatch.setenv("PUBLISH", "off")
    deployment.sync()
    assert deployment.run("weekly_sync").success
    result = automation.run("publication")
    assert not is_materialized(result)
    lines = [log.message for log in deployment.instance.all_logs(result.run_id)]
    assert any("Nothing is published: PUBLISH=off." in line for line in lines)
    assert not (deployment.root / "published").exists()
    check = look(deployment)
    assert check.passed
    assert check.description == "Nothing is published: PUBLISH=off."


def test_a_sync_of_a_part_is_no_failure_for_what_it_was_not_asked_to_bring(
    deployment: Deployment, automation: Automation
) -> None:
    deployment.plan(formula_names=[deployment.world.formulae[0].name], include_dependencies=False)
    deployment.copy_plan(deployment.tick().run_requests)
    assert not is_materialized(publish_here(deployment, automation))
    assert observed(deployment)["outcome"] == "incomplete"
    assert observed(deployment)["lacking_mirror"] > 0
    assert not (deployment.root / POINTER_KEY).exists()


def test_a_sync_of_a_part_that_ends_last_keeps_nobody_from_what_the_whole_one_has_brought(
    deployment: Deployment, automation: Automation
) -> None:
    assert deployment.run("weekly_sync").success
    whole = deployment.tick().run_requests
    # Meanwhile upstream moves on, to a bottle that nobody has planned and to one that somebody asks for.
    deployment.world.publish("unplanned", "1.0", tags=(SONOMA,))
    deployment.world.publish("asked", "1.0", tags=(SONOMA,))
    deployment.plan(formula_names=["asked"])
    deployment.copy_plan([*whole, *deployment.tick().run_requests])
    shown = metadata_of(publish_here(deployment, automation), "publication")
    assert (shown["outcome"], shown["lacking_mirror"]) == ("published", 0)
    found = current(deployment)
    assert found.sync_id == whole[0].tags["mirror/sync_id"]
    assert "asked" in {bottle.image for bottle in found.bottles}


def test_upstream_that_goes_back_fails_it_and_what_somebody_else_has_published_does_not(
    deployment: Deployment, automation: Automation
) -> None:
    deployment.sync()
    publish_here(deployment, automation)
    deployment.world.publish("elsewhere", "1.0", tags=("x86_64_linux",))
    # As `brew-mirror publish` does between two syncs.
    engine = deployment.mirror()
    assert publish(engine, engine.fold().manifest).outcome == "published"
    newer = current(deployment)
    assert not is_materialized(automation.run("publication"))
    assert observed(deployment)["outcome"] == "superseded"
    for tag in PLATFORMS:
        deployment.simulator.fault(packages_path(tag), Fault.last_edition(times=None))
    # The next plan is made a while after that.
    path = deployment.root / POINTER_KEY
    pointer = json.loads(path.read_bytes())
    path.write_text(json.dumps(pointer | {"current_since": "2026-01-01T00:00:00Z"}))
    planned = deployment.run("weekly_sync")
    assert planned.success
    assert observed(deployment)["outcome"] == "older"
    assert automation.asks() == ["publication"]
    failed = automation.run("publication", fails=True)
    assert "its plan was made with the API of" in (
        deployment.failure(failed, "publication").description or ""
    )
    assert current(deployment) == newer


def look(deployment: Deployment) -> dg.AssetCheckEvaluation:
    """The check by itself."""
    wanted = dg.AssetSelection.checks(dg.AssetCheckKey(KEY, "published_objects_present"))
    job = dg.define_asset_job("alone", selection=wanted)
    found = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=defs.resources
    )
    result = found.resolve_job_def("alone").execute_in_process(instance=deployment.instance)
    return checks_of(result)["published_objects_present"]


def said(check: dg.AssetCheckEvaluation) -> str:
    # A name that could be an address stands there as code.
    return without_escapes(check.description or "").replace("`", "")


def test_the_check_finds_what_a_client_would_not_get(
    deployment: Deployment, automation: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = look(deployment)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"{POINTER_KEY}: expected the pointer to a publication, found nothing yet" in said(check)
    monkeypatch.setenv("PUBLISH", "best_effort")
    # A few bottles: each is in the sample.
    names = [formula.name for formula in deployment.world.formulae[:2]]
    deployment.plan(formula_names=names, platforms=[SONOMA], include_dependencies=False)
    deployment.copy_plan(deployment.tick().run_requests)
    assert is_materialized(publish_here(deployment, automation))
    found = current(deployment)
    check = look(deployment)
    assert check.passed
    assert check.metadata["sampled"].value == len(found.bottles) > 0
    assert check.metadata["seed"].value
    for key, finding in (
        (found.bottles[0].key, "bytes, found nothing"),
        (found.indexes[0].key, "expected an index with the SHA-256 of its name, found nothing"),
        (found.api[0].key, "bytes, found nothing"),
        (found.key, "expected a publication's record, found nothing"),
    ):
        path, away = deployment.root / key, deployment.root / "away"
        path.rename(away)
        check = look(deployment)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert f"{key}: expected" in said(check)
        assert finding in said(check)
        away.rename(path)
    for key, finding in (
        (found.bottles[0].key, "expected the SHA-256"),
        (found.indexes[0].key, "expected an index with the SHA-256 of its name, found"),
        (found.key, "expected a record with sha256"),
    ):
        path = deployment.root / key
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        check = look(deployment)
        assert not check.passed
        assert f"{key}: {finding}" in said(check)
        path.unlink()
        path.write_bytes(data)
    assert look(deployment).passed


def lose_indexes(deployment: Deployment) -> None:
    shutil.rmtree(deployment.root / INDEX_PREFIX)


def test_a_backfill_that_has_stored_all_is_a_success_though_its_publication_fails(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
    lose_indexes(deployment)
    last = backfill.run("hash_manifest", "publication")
    assert not last.success
    assert deployment.failure(last, "publication").description
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert (announced.slack.texts, announced.open) == ([START, COMPLETE], 0)


@pytest.mark.parametrize(("mode", "outcome"), [("off", "off"), ("strict", "incomplete")])
def test_a_backfill_is_no_failure_for_want_of_what_nobody_was_to_publish(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, mode: str, outcome: str
) -> None:
    monkeypatch.setenv("PUBLISH", mode)
    deployment.tick()
    backfill = Backfilled(deployment, ALL, [SONOMA])
    backfill.run(*PLANNING)
    assert backfill.run("bottles", platform=SONOMA).success
    # An asset that its run leaves out makes a whole backfill one that Dagster calls failed.
    shown = metadata_of(backfill.run("hash_manifest", "publication"), "publication")
    assert shown["outcome"] == outcome
    assert shown.get("report") or shown["why"]
    assert not (deployment.root / POINTER_KEY).exists()


def test_a_backfill_whose_manifest_fails_is_still_reported_as_failed(announced: Announced) -> None:
    deployment = announced.deployment
    backfill = Backfilled(deployment, ALL, PLATFORMS)
    backfill.run(*PLANNING)
    for platform in PLATFORMS:
        assert backfill.run("bottles", platform=platform).success
    (deployment.root / "bottles_hash.json").write_bytes(b"{")
    assert not backfill.run("hash_manifest", "publication").success
    backfill.end(BulkActionStatus.COMPLETED_FAILED)
    announced.tick()
    assert announced.slack.texts == [START, FAILED]


def test_a_run_of_one_platform_that_fails_by_its_publication_alone_has_stored_its_platform(
    announced: Announced,
) -> None:
    deployment = announced.deployment
    deployment.tick()
    for tag in PLATFORMS:
        deployment.simulator.fault(packages_path(tag), Fault.changed_byte(times=None))
    # As `dagster asset materialize --select "bottles*" --partition …` starts it.
    keys = [dg.AssetKey(name) for name in ("bottles", "hash_manifest", "publication")]
    job = defs.resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    result = job.execute_in_process(
        instance=deployment.instance, partition_key=SONOMA, asset_selection=keys, raise_on_error=False
    )
    assert not result.success
    assert "signed" in (deployment.failure(result, "publication").description or "")
    announced.tick()
    assert (announced.slack.texts, announced.open) == ([START, COMPLETE], 0)


def test_the_page_shows_the_lag_of_what_is_served_and_the_first_twenty_that_lack() -> None:
    lacking = tuple(
        Lacking(name=f"n{number:02}", tag=SONOMA, reason="a|b", fault="upstream" if number < 5 else "mirror")
        for number in range(30)
    )
    found = Publication(
        publication_id="20260823T000002Z-0badcafe",
        created_at="2026-08-23T03:00:00Z",
        generated_at=2_000,
        tap_git_head="abcdef0",
        api=(),
        bottles=(),
        indexes=(),
        lacking=lacking,
        counts={"bottles": 7, "bytes": 70, "indexes": 3, "lacking_upstream": 5, "lacking_mirror": 25},
    )
    served = Pointer(
        publication_id="20260823T000001Z-0badcafe",
        sha256=digest_of("record"),
        current_since="2026-08-22T03:00:00Z",
        generated_at=1_000,
    )
    result = PublishResult(
        outcome="incomplete", why="30 lack", generated_at=2_000, publication=found, current=served
    )
    now = datetime.fromtimestamp(87_400, tz=UTC)
    shown = publication_metadata(result, now, Places("/mirror/", read_settings({})))
    assert (shown["outcome"], shown["lag_s"]) == ("incomplete", 86_400)
    assert (shown["bottles"], shown["bytes"], shown["indexes"]) == (7, 70, 3)
    assert (shown["lacking_upstream"], shown["lacking_mirror"]) == (5, 25)
    report = shown["report"].value
    assert "30 lack" in report
    assert "1970-01-01T00:33:20Z" in report
    assert f"/mirror/published/{served.publication_id}.json" in report
    lines = shown["lacking"].value.splitlines()
    rows = [line for line in lines if line.startswith("| n")]
    # Those that this mirror could have come first.
    assert len(rows) == 20
    assert rows[0] == rf"| n05 | {SONOMA} | a\|b | mirror |"
    assert lines[-1] == "… and 10 more"
