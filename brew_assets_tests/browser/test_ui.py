"""What a person sees and clicks in Dagster's UI after `make demo`."""

import pytest
from playwright.sync_api import Locator, Page, expect

from brew_assets_tests.browser.conftest import DemoUi
from tools.browser import go_to_graph, go_to_plots, open_report

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

PAGE_MS = 90_000
# The daemon looks twice: to start the runs, and to find them done.
BACKFILL_MS = 240_000
ASSETS = {
    "formula_catalog": "Homebrew's formulae as upstream shows them now",
    "pending_bottles": "What has to be copied:",
    "bottles": "The bottles that serve one platform",
    "hash_manifest": "the one record of what is held",
    "publication": "What clients are served",
}
PLOTTED = ("stored", "bytes_downloaded", "bytes_per_second", "duration_s", "failed")


@pytest.fixture(scope="module")
def backfill(browser_page: Page, demo_ui: DemoUi) -> str:
    """The address of a backfill of two platforms, started by clicks; it goes on while other pages show."""
    page = browser_page
    page.goto(f"{demo_ui.url}/assets/bottles?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    dialogue = page.get_by_role("dialog").filter(has_text="Launch runs to materialize bottles")
    dialogue.get_by_text("Select a partition").click()
    for platform in ("arm64_sonoma", "arm64_sequoia"):
        page.get_by_role("menuitem", name=platform).click()
    page.get_by_text("Launch runs to materialize bottles").click()
    expect(dialogue).to_contain_text("2 partitions", timeout=PAGE_MS)
    dialogue.get_by_role("button", name="Launch backfill").click()
    # What tells of it, and leads there, stands for four seconds only.
    page.get_by_text("Created backfill").wait_for(timeout=PAGE_MS)
    page.get_by_text("View", exact=True).click()
    page.wait_for_url("**/runs/b/**", timeout=PAGE_MS)
    return page.url


def test_materialize_downloads_what_upstream_has_new_and_the_asset_shows_it(
    page: Page, demo_ui: DemoUi
) -> None:
    assert len(demo_ui.lacking("arm64_tahoe")) >= 3
    page.goto(f"{demo_ui.url}/assets/bottles?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    dialogue = page.get_by_role("dialog").filter(has_text="Launch runs to materialize bottles")
    dialogue.get_by_text("Select a partition").click()
    page.get_by_role("menuitem", name="arm64_tahoe").click()
    page.get_by_text("Launch runs to materialize bottles").click()
    expect(dialogue).to_contain_text("1 partition", timeout=PAGE_MS)
    dialogue.get_by_role("button", name="Launch").click()
    page.get_by_text("Launched run").wait_for(timeout=PAGE_MS)
    page.get_by_text("View", exact=True).click()
    page.wait_for_url("**/runs/*", timeout=PAGE_MS)
    # Progress, while it goes on.
    expect(page.get_by_text("bottles_done", exact=True).first).to_be_attached(timeout=BACKFILL_MS)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=BACKFILL_MS)
    assert demo_ui.lacking("arm64_tahoe") == []
    page.goto(f"{demo_ui.url}/assets/bottles?view=events&partition=arm64_tahoe")
    expect(page.get_by_role("heading", name="all that was planned is in the store").first).to_be_visible(
        timeout=PAGE_MS
    )
    expect(page.get_by_text("materialized in run").first).to_be_visible(timeout=PAGE_MS)


def test_a_backfill_of_two_platforms_is_started_by_clicks(page: Page, backfill: str) -> None:
    page.goto(backfill)
    expect(page.get_by_text("arm64_sonoma").first).to_be_visible(timeout=PAGE_MS)


def test_the_graph_shows_the_five_assets(page: Page, demo_ui: DemoUi) -> None:
    go_to_graph(page, demo_ui.url)
    for name in ASSETS:
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=PAGE_MS)


@pytest.mark.parametrize("name", ASSETS)
def test_a_click_on_an_asset_of_the_graph_tells_what_it_is_and_whose(
    page: Page, demo_ui: DemoUi, name: str
) -> None:
    go_to_graph(page, demo_ui.url)
    page.get_by_text(name, exact=True).filter(visible=True).last.click()
    expect(page.get_by_text(ASSETS[name]).first).to_be_visible(timeout=PAGE_MS)
    page.goto(f"{demo_ui.url}/assets/{name}")
    definition = page.get_by_text("Definition", exact=True).locator("xpath=ancestor::*[4]")
    for word in ("mirror", "homebrew:", "File"):
        expect(definition.get_by_text(word).first).to_be_visible(timeout=PAGE_MS)


def test_the_figures_of_the_bottles_are_plotted_by_platform(page: Page, demo_ui: DemoUi) -> None:
    go_to_plots(page, demo_ui.url, "bottles")
    for figure in PLOTTED:
        expect(page.get_by_text(figure, exact=True).first).to_be_visible(timeout=PAGE_MS)
        assert _is_drawn(_plot(page, figure))


def test_the_total_that_is_held_is_plotted_over_time(page: Page, demo_ui: DemoUi) -> None:
    go_to_plots(page, demo_ui.url, "hash_manifest")
    for figure in ("total_bottles", "total_size_bytes"):
        assert _is_drawn(_plot(page, figure))


def _plot(page: Page, figure: str) -> Locator:
    """The canvas under the figure's name."""
    title = page.get_by_text(figure, exact=True).first
    return title.locator("xpath=following::canvas[1]")


def _is_drawn(canvas: Locator) -> bool:
    canvas.scroll_into_view_if_needed(timeout=PAGE_MS)
    canvas.page.wait_for_function(DRAWN, arg=canvas.element_handle(), timeout=PAGE_MS)
    return True


# Some of the canvas has colour: more than the grey of the axes.
DRAWN = """canvas => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && data[i + 2] - data[i + 1] > 80) return true;
    return false;
}"""


# A picture that is there, and of a chart's size.
LARGE = "image => image.complete && image.naturalWidth > 500 && image.naturalHeight > 50"


def test_the_report_of_a_sync_opens_and_its_charts_are_drawn(page: Page, demo_ui: DemoUi) -> None:
    dialogue = open_report(page, demo_ui.url)
    expect(dialogue.get_by_role("heading", name="Sync of ")).to_contain_text(
        "all that was planned is in the store", timeout=PAGE_MS
    )
    for word in ("Runs", "Held: ", "By date", "The largest of ", "Where to look"):
        expect(dialogue.get_by_role("heading", name=word)).to_be_visible(timeout=PAGE_MS)
    for title in ("Held by tag", "Held by date"):
        chart = dialogue.get_by_role("img", name=title)
        page.wait_for_function(LARGE, arg=chart.element_handle(), timeout=PAGE_MS)
    run = dialogue.locator("a[href*='/runs/']").first
    run.click()
    expect(page.get_by_text("Success").first).to_be_visible(timeout=PAGE_MS)


def test_the_backfill_ends_green_and_its_bottle_is_held(page: Page, demo_ui: DemoUi, backfill: str) -> None:
    page.goto(backfill)
    # A column's title and, once it is so, the green tag of the status.
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(2, timeout=BACKFILL_MS)
    expect(page.get_by_text("100% completed")).to_be_visible(timeout=PAGE_MS)
    assert demo_ui.lacking("arm64_sonoma", "arm64_sequoia") == []
