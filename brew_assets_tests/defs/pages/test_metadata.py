"""What the tables and figures show."""

import pytest

from brew_assets.defs.pages.figures import describe_shortfall
from brew_assets.defs.pages.markdown import MAX_ROWS
from brew_assets.defs.pages.metadata import FIGURES, failure_table, report_metadata, table
from brew_assets.defs.pages.store_links import Places
from brew_assets.domain.report import Failure, Report
from brew_assets.engine.kept_plans import load_plan
from brew_assets.engine.reports import kept_reports
from brew_assets.settings import Settings
from brew_assets_tests.defs.deployment import Deployment, figures_of, metadata_of, spoil


def failure(number: int, reason: str = "network") -> Failure:
    return Failure(name=f"b{number}.tar.gz", digest="0" * 64, reason=reason, message=f"b{number}: broke off")


def report(**changes: object) -> Report:
    fields: dict[str, object] = {
        "sync_id": "20261122T030000Z-00000000",
        "sync_date": "2026-11-22",
        "platforms": ("arm64_sonoma",),
        "route": "local",
        "started_at": "2026-11-22T03:00:00Z",
        "ended_at": "2026-11-22T03:00:10Z",
        "duration_s": 10.0,
        "planned": 5,
        **changes,
    }
    return Report(**fields)  # type: ignore[arg-type]


def test_a_table_escapes_what_would_end_a_cell_or_become_markup() -> None:
    shown = table(("a", "b"), [("x|y\nz", "<script> [link](http://e) `c` \\")]).value
    assert shown == "| a | b |\n|---|---|\n| x\\|y z | \\<script\\> \\[link\\](`http://e)` \\`c\\` \\\\ |"


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    shown = failure_table([failure(number) for number in range(MAX_ROWS + 1234)]).value
    assert shown.count("broke off") == MAX_ROWS
    assert shown.endswith("… and 1,234 more")


def test_no_rows_no_table() -> None:
    assert failure_table([]).value == "none"


def test_a_report_becomes_numbers_that_plot() -> None:
    done = report(stored=3, failed=(failure(1), failure(2)), bytes_downloaded=2_000)
    shown = report_metadata(done, Places("/srv/mirror/", Settings()))
    plotted = {name: value for name, value in shown.items() if type(value) in (int, float)}
    assert (
        plotted.items()
        >= {
            "stored": 3,
            "failed": 2,
            "bytes_downloaded": 2_000,
            "bytes_per_second": 200.0,
            "duration_s": 10.0,
        }.items()
    )
    assert "#### Failures: 2 network" in shown["report"].value
    assert "given up" not in shown["report"].value


def test_the_shortfall_names_counts_reasons_and_the_first_failure() -> None:
    text = describe_shortfall(
        report(stored=1, kept=1, failed=(failure(1), failure(2, "not found")), left=1, aborted="no space")
    )
    assert text == (
        "arm64_sonoma: 2 of 5 bottles are in the store, 3 are not (1 network; 1 not found; "
        "1 not begun or not finished; given up: no space). First: b1: broke off"
    )


MOST_ENTRIES = 10
# What an event showed beside its ten figures, by where its report says it now.
IN_THE_TABLE = {
    "formula_catalog": ("etag", "key"),
    "pending_bottles": (
        *("sync date", "bytes", "asked for", "with needed", "selection", "route reason", "force download"),
        *("skipped", "disabled", "excluded", "identified", "catalogue sha256", "store", "plan"),
        "external hash entries rejected",
    ),
    "bottles": (
        *(
            "sync date",
            "route",
            "planned",
            "kept",
            "left",
            "recorded",
            "downloaded",
            "duplicated",
            "bytes stored",
        ),
        *("retries", "forgotten", "servable", "unservable", "indexes fetched", "indexes left", "rejected"),
        *(
            "skipped",
            "disabled",
            "excluded",
            "store",
            "bottles folder",
            "manifest",
            "plan",
            "report document",
        ),
    ),
    "hash_manifest": ("dates",),
}
IN_A_PART_OF_ITS_OWN = {
    "formula_catalog": ("#### Tags\n\n", "#### Not used\n\n| formula | bottle |"),
    "pending_bottles": (
        "#### Platforms\n\n| platform | bottles |",
        "#### Notes\n\n- ",
        "no-such-file.json",
        "#### External hash files: 1 findings\n\n| finding |",
        "#### Objects without a record: 1\n\n| object | why it is not recorded |",
    ),
    "bottles": ("#### Notes\n\n- ",),
    "hash_manifest": (
        "#### Every tag\n\n| tag | bottles | bytes |",
        "#### Every date\n\n| date | bottles | bytes |",
        "- Plan: ",
        "- Reports: ",
        "- Store: ",
        "- Bottles of this sync: ",
    ),
}


def test_an_event_shows_at_most_ten_entries_and_its_report_all_else(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTERNAL_HASH_FILE_PATH", str(deployment.root / "no-such-file.json"))
    deployment.sync()
    # An object of the newest date that no sync can have put there.
    folder = next(deployment.root.glob("????-??-??"))
    (folder / "astray-1.0.arm64_sonoma.bottle.tar.gz").write_bytes(b"no bottle")
    deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    spoil(deployment)
    planned = deployment.run("weekly_sync")
    copied = deployment.copy_plan(deployment.tick().run_requests)
    seen = set()
    for result in (planned, *copied):
        for event in result.get_asset_materialization_events():
            shown = {name for name in event.materialization.metadata if not name.startswith("dagster/")}
            assert len(shown) <= MOST_ENTRIES, (event.asset_key, sorted(shown))
            seen.add(event.asset_key.to_user_string() if event.asset_key else "")
    assert FIGURES.keys() - {"publication"} <= seen
    # Its own run, which a condition asks for; see test_publication.py.
    assert len(FIGURES["publication"]) < MOST_ENTRIES
    for asset, names in IN_THE_TABLE.items():
        report = metadata_of(
            planned if asset in ("formula_catalog", "pending_bottles") else copied[-1], asset
        )
        assert set(names) <= figures_of(report.get("figures", report["report"])).keys(), asset
        for part in IN_A_PART_OF_ITS_OWN[asset]:
            assert part in report["report"], (asset, part)
    own = metadata_of(copied[-1], "bottles")
    figures = figures_of(own["figures"])
    stored = list(kept_reports(deployment.mirror().store, own["sync_id"]).values())[-1]
    assert (figures["kept"], figures["servable"]) == (f"{stored.kept:,}", f"{stored.servable:,}")
    plan = load_plan(deployment.mirror().ports, own["sync_id"])
    said = figures_of(metadata_of(planned, "pending_bottles")["report"])
    assert (said["route reason"], said["catalogue sha256"]) == (plan.route_reason, plan.catalogue_sha256)
