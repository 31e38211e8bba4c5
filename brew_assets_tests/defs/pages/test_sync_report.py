"""The report of a sync: what it tells, where it leads, and that it stays small."""

import datetime
import re
from collections.abc import Iterator

import dagster as dg
import msgspec
import pytest

from brew_assets.defs.pages.figures import describe_shortfall
from brew_assets.defs.pages.metadata import Metadata, manifest_metadata, report_metadata
from brew_assets.defs.pages.store_links import Places
from brew_assets.defs.pages.sync_report import Holdings, holdings_of, planned_names, run_report, sync_report
from brew_assets.domain.left_out import LeftOut
from brew_assets.domain.manifest import Entry, Manifest, entry_for
from brew_assets.domain.report import Failure, Report, decode_report, encode_report
from brew_assets.engine.reports import kept_reports
from brew_assets.settings import Settings
from brew_assets.simulator import Fault
from brew_assets_tests.defs.deployment import PLATFORMS, Deployment, figures_of, metadata_of
from brew_assets_tests.defs.pages.test_metadata import failure, report
from brew_assets_tests.worlds import catalogue_of, formula, plan_of

DIRECTORY = Places("/srv/mirror/", Settings())
MOST_BYTES_OF_AN_EVENT = 100_000
FIRST_DATE = datetime.date(2026, 1, 4)


def manifest(count: int, *, tags: int = 1, dates: int = 1) -> Manifest:
    """A manifest of so many bottles, a thousand bytes each, spread over tags and dates."""
    made = Manifest()
    for number in range(count):
        name, tag = f"formula{number // tags}", f"arm64_{number % tags}"
        date = str(FIRST_DATE + datetime.timedelta(weeks=number % dates))
        entry = Entry(
            sha256=f"{number:064x}",
            download_date=date,
            file_size=1_000,
            formula_name=name,
            formula_version="1.0",
            platform=tag,
            url="",
            s3_key=f"{date}/{name}-1.0.{tag}.bottle.tar.gz",
        )
        made.put(f"{name}-1.0-{tag}", entry)
    return made


def holdings() -> Holdings:
    return holdings_of(manifest(3))


def test_the_headline_tells_the_outcome_and_the_figures() -> None:
    text = sync_report(
        holdings(), [report(planned=2_000, stored=2_000, bytes_downloaded=15_300_000)], DIRECTORY
    )
    heading, figures = text.split("\n\n")[:2]
    assert heading == "### Sync of 2026-11-22: all that was planned is in the store"
    assert figures == (
        "**2,000 of 2,000** planned bottles are in the store. "
        "Downloaded: **15.3 MB** in 10 seconds, 1.5 MB/s."
    )


def test_the_headline_counts_a_bottle_of_several_platforms_once() -> None:
    sonoma, tahoe = "arm64_sonoma", "arm64_tahoe"
    entries = [formula(f"f{number}", tags=("all",)) for number in range(6)]
    plan = plan_of(catalogue_of(*entries, formula("own", tags=(tahoe,))), sonoma, tahoe)
    held = Manifest()
    for planned in plan.objects:
        held.put(planned.bottle.entry_key, entry_for(planned.bottle, date=plan.sync_date, size=1))
    first = report(platforms=(sonoma,), planned=6, stored=4, found=1, kept=2)
    second = report(platforms=(tahoe,), planned=7, stored=3, kept=4)

    def parts_of_page(*runs: Report, manifest: Manifest = held) -> str:
        names = planned_names(plan, manifest, runs)
        return sync_report(holdings_of(manifest), list(runs), DIRECTORY, names=names)

    def headline(*runs: Report, manifest: Manifest = held) -> str:
        return parts_of_page(*runs, manifest=manifest).split("\n\n")[1]

    assert headline(first, second).startswith("**7 of 7** planned bottles are in the store. Downloaded")
    assert "for each" not in headline(first, second)
    # As long as not every platform's run has ended, the numbers are of those that have.
    assert headline(first).startswith("**6 of 6** bottles planned for arm64_sonoma are in the store.")
    assert headline(first).endswith("For all platforms 7 are planned.")
    assert ": all that was planned for arm64_sonoma is in the store\n" in parts_of_page(first)
    assert ": all that was planned is in the store\n" in parts_of_page(first, second)
    failed = Failure(
        name=plan.objects[0].bottle.filename, digest="0" * 64, reason="not found", message="gone"
    )
    missing = msgspec.structs.replace(second, kept=3, failed=(failed,))
    assert headline(first, missing).startswith("**6 of 7** planned bottles")
    assert headline(first, second, manifest=Manifest()).startswith("**0 of 7** planned bottles")


def test_the_runs_say_what_each_stored_itself_and_why_their_sum_is_more_than_the_headline() -> None:
    first = report(platforms=("arm64_tahoe",), planned=6, stored=4, found=1, kept=2)
    text = sync_report(holdings(), [first, report(planned=7, stored=3, kept=4)], DIRECTORY)
    assert "| planned for it | held before | found | stored |" in text
    assert "| success | 6 | 2 | 1 | 3 |" in text
    assert "A bottle that serves several platforms is planned in the run of each." in text
    assert "is planned in the run of each" not in sync_report(holdings(), [first], DIRECTORY)


def test_the_worst_run_names_the_outcome_until_a_later_one_mends_it() -> None:
    good = report(platforms=("arm64_tahoe",), planned=1, stored=1)
    bad = report(planned=2, stored=1, failed=(failure(7),), run_id="0badcafe-1")
    mended = report(planned=2, stored=1, kept=1)
    broken = sync_report(holdings(), [good, bad], DIRECTORY)
    assert broken.startswith("### Sync of 2026-11-22: some bottles failed")
    assert "**2 of 3** planned bottles" in broken
    assert "| b7.tar.gz | network | b7: broke off |" in broken
    whole = sync_report(holdings(), [good, bad, mended], DIRECTORY)
    assert whole.startswith("### Sync of 2026-11-22: all that was planned is in the store")
    assert "**3 of 3** planned bottles" in whole
    assert "b7.tar.gz" not in whole
    assert "| [0badcafe](/runs/0badcafe-1) | partial |" in whole


def test_runs_side_by_side_count_their_time_once_and_a_pause_counts_not() -> None:
    first = report(platforms=("arm64_tahoe",), planned=1, stored=1, bytes_downloaded=500_000)
    beside = report(planned=1, stored=1, started_at="2026-11-22T03:00:05Z", bytes_downloaded=500_000)
    later = report(planned=1, kept=1, started_at="2026-11-25T03:00:00Z", duration_s=5.0)
    text = sync_report(holdings(), [first, beside, later], DIRECTORY)
    assert "Downloaded: **1.0 MB** in 20 seconds, 50.0 KB/s." in text


def test_a_run_that_was_given_up_says_why_and_its_words_stay_words() -> None:
    text = run_report(report(aborted="no <space> | left", planned=3, left=3))
    assert text.startswith("### Sync of 2026-11-22: failed")
    assert r"**arm64_sonoma was given up:** no \<space\> \| left" in text


def test_what_the_plan_left_out_is_said_once_and_its_words_stay_words() -> None:
    left_out = LeftOut(
        catalogue_formulae=9,
        rejected=1,
        rejections=("<b>|x: " + "why " * 40,),
        disabled_formulae=("off",),
        disabled=1,
    )
    first = report(platforms=("arm64_tahoe",), left_out=left_out)
    text = sync_report(holdings(), [first, report(left_out=left_out)], DIRECTORY)
    assert text.count("#### Notes") == 1
    assert "1 of 9 formulae; first: \\<b\\>\\|x: why why" in text
    assert "1 formula; first: off" in text
    metadata = report_metadata(first, DIRECTORY)
    shown, figures = metadata["report"].value, metadata["figures"].value
    for figure in ("| rejected | 1 |", "| skipped | 0 |", "| disabled | 1 |"):
        assert figure in figures
    assert "1 of 9 formulae" in shown
    assert len([line for line in shown.splitlines() if line.startswith("- ")]) == 2
    assert "Left out" not in sync_report(holdings(), [report()], DIRECTORY)
    assert "#### Notes" not in report_metadata(report(), DIRECTORY)["report"].value


def test_a_run_that_was_stopped_names_the_first_bottles_that_it_left() -> None:
    names = tuple(f"b{number}.tar.gz" for number in range(20))
    stopped = report(left=21, left_bottles=names, planned=21)
    text = run_report(stopped)
    assert "**Not begun or not finished for arm64_sonoma:** b0.tar.gz; b1.tar.gz" in text
    assert "and 16 others" in text
    assert "21 not begun or not finished (b0.tar.gz; " in describe_shortfall(stopped)


def test_failures_are_counted_by_reason_and_the_first_hundred_named() -> None:
    failed = tuple(failure(number, "network" if number % 3 else "not found") for number in range(1_234))
    text = run_report(report(failed=failed, planned=2_000))
    assert "#### Failures: 822 network, 412 not found" in text
    assert text.count("broke off") == 100
    assert "… and 1,134 more" in text


def test_the_largest_formulae_and_the_newest_dates_are_shown() -> None:
    made = manifest(600, dates=30)
    _, some = next(iter(made.entries()))
    big = msgspec.structs.replace(
        some, formula_name="b~g", file_size=10**9, s3_key=some.s3_key.replace("formula0", "b~g")
    )
    made.put("b~g-1.0-arm64_0", big)
    text = sync_report(holdings_of(made), [], DIRECTORY)
    assert text.startswith("### What is held")
    assert "#### Held: 601 bottles, 1.0 GB" in text
    assert text.count("](data:image/svg+xml;base64,") == 2
    assert "#### By date, the last 12 of 30" in text
    assert "| b\\~g | 1 | 1.0 GB | 99.9% |" in text
    assert text.count("| formula") == 9 + 1


def test_events_stay_small_whatever_the_size_of_the_mirror() -> None:
    figures = holdings_of(manifest(100_000, tags=200, dates=200))
    assert (len(figures.by_platform), len(figures.by_date)) == (200, 200)
    failed = tuple(
        msgspec.structs.replace(failure(number), message="connection reset by peer " * 40, name="n" * 90)
        for number in range(10_000)
    )
    runs = [report(platforms=(f"arm64_{number}",), planned=20_000, failed=failed) for number in range(50)]
    shown = manifest_metadata(
        figures, DIRECTORY, report=sync_report(figures, runs, DIRECTORY), sync_id=runs[-1].sync_id
    )
    assert _event_bytes(shown) < MOST_BYTES_OF_AN_EVENT
    own = report_metadata(runs[0], DIRECTORY, key="state/reports/x/y.json")
    assert _event_bytes(own) < MOST_BYTES_OF_AN_EVENT


def _event_bytes(metadata: Metadata) -> int:
    event = dg.AssetMaterialization("bottles", metadata=metadata)
    return len(dg.serialize_value(event))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "https://s3.console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
    ],
)
def test_links_lead_to_the_bucket_in_the_console_of_its_region(region: str, host: str) -> None:
    places = Places("s3://our-bottles/brew/", Settings(aws_region=region))
    asked = f"region={region}&prefix=brew%2F"
    shown = report_metadata(report(), places, key="state/reports/one/two.json")["figures"].value
    for name, address in (
        ("store", f"buckets/our-bottles?{asked}"),
        ("bottles folder", f"buckets/our-bottles?{asked}2026-11-22%2F"),
        ("manifest", f"object/our-bottles?{asked}bottles_hash.json"),
        ("report document", f"object/our-bottles?{asked}state%2Freports%2Fone%2Ftwo.json"),
    ):
        assert re.search(rf"\| {name} \| \[[^]|]+\]\({re.escape(f'{host}/s3/{address}')}\) \|", shown), name
    held = manifest_metadata(holdings(), places, report="")
    assert held["manifest"].url == f"{host}/s3/object/our-bottles?{asked}bottles_hash.json"
    assert f"]({host}/s3/object/our-bottles?{asked}bottles_hash.json)" in sync_report(holdings(), [], places)


def test_a_directory_and_a_compatible_server_have_paths_instead() -> None:
    assert DIRECTORY.folder("2026-11-22/").metadata() == dg.MetadataValue.path("/srv/mirror/2026-11-22/")
    server = Places("s3://our-bottles/brew/", Settings(aws_endpoint_url="http://127.0.0.1:9"))
    assert server.document("a").metadata() == dg.MetadataValue.path("s3://our-bottles/brew/a")
    assert server.document("a b|c").markdown() == r"s3://our-bottles/brew/a b\|c"


def test_a_report_leads_back_to_its_run_and_an_older_one_still_reads() -> None:
    parts_of_page = report(run_id="0badcafe-1", run_url="https://dagster.example/runs/0badcafe-1")
    assert decode_report(encode_report(parts_of_page)) == parts_of_page
    older = msgspec.json.decode(encode_report(parts_of_page))
    del older["run_id"], older["run_url"]
    read = decode_report(msgspec.json.encode(older))
    assert (read.run_id, read.run_url) == ("", "")
    text = sync_report(holdings(), [parts_of_page, read], DIRECTORY)
    assert "[0badcafe](https://dagster.example/runs/0badcafe-1)" in text


def reports_of(deployment: Deployment, sync_id: str) -> dict[str, Report]:
    return kept_reports(deployment.mirror().store, sync_id)


def test_a_sync_in_dagster_is_told_on_both_pages_and_its_reports_lead_back(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_URL", "https://dagster.example/")
    results = deployment.sync()
    own, held = metadata_of(results[-1], "bottles"), metadata_of(results[-1], "hash_manifest")
    kept = reports_of(deployment, own["sync_id"])
    assert {run.platforms[0] for run in kept.values()} == set(PLATFORMS)
    assert {run.run_url for run in kept.values()} == {
        f"https://dagster.example/runs/{result.run_id}" for result in results
    }
    leads_to = figures_of(own["figures"])
    (key,) = [key for key in kept if leads_to["report document"].endswith(key)]
    assert kept[key].run_id == results[-1].run_id
    assert held["sync_id"] == own["sync_id"]
    assert held["total_bottles"] == len(deployment.entries())
    assert held["total_size_bytes"] == sum(entry.file_size for entry in deployment.entries().values())
    for result in results:
        assert f"](https://dagster.example/runs/{result.run_id})" in held["report"]
    assert own["report"].startswith("### Sync of ")
    for place in ("store", "bottles folder", "manifest", "plan", "report document"):
        assert (deployment.root / leads_to[place]).exists(), place


def test_a_failed_run_tells_its_failures_on_both_pages(deployment: Deployment) -> None:
    (bottle,) = deployment.world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    deployment.simulator.fault(bottle.filename, Fault.not_found())
    assert not deployment.run("mirror_platform", platform="arm64_sonoma").success
    observation = deployment.observations()[-1]
    event = deployment.instance.get_latest_materialization_event(dg.AssetKey("hash_manifest"))
    assert event is not None
    assert event.asset_materialization is not None
    for shown in (observation.metadata, event.asset_materialization.metadata):
        text = str(shown["report"].value)
        assert ": some bottles failed" in text
        assert f"| {bottle.filename} | not found |" in text


def test_a_large_manifest_is_summed_up_in_one_pass() -> None:
    class Counting(Manifest):
        passes = 0

        def entries(self) -> Iterator[tuple[str, Entry]]:
            self.passes += 1
            yield from manifest(100).entries()

    counted = Counting()
    sync_report(holdings_of(counted), [report()], DIRECTORY)
    assert counted.passes == 1
