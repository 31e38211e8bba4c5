"""`make screenshots`: the pictures of the README, taken anew.

Runs the demo into a temporary directory, serves Dagster's UI on it on a free port of this machine, and has
Chromium photograph it. Whatever is started here is ended here. Exit codes: 0 done, 2 cannot run.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from tools.browser import (
    HOW_TO_GET,
    SETTLE_MS,
    find_chromium,
    go_to_graph,
    go_to_plots,
    open_report,
    opened,
)
from tools.demo_ui import ROOT, CannotRun, run_demo, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = ROOT / "docs" / "images"
ASSETS = ("formula_catalog", "pending_bottles", "bottles", "hash_manifest", "publication")

EXIT_CANNOT_RUN = 2
_WIDTH, _HEIGHT = 1400, 560


@click.command()
@click.option("--chromium", help="The browser's executable; default: the one that is installed.")
@click.option(
    "--output", default=IMAGES, type=click.Path(file_okay=False, path_type=Path), show_default=False
)
def main(chromium: str | None, output: Path) -> None:
    """Run the demo and photograph it into docs/images/."""
    browser = chromium or find_chromium()
    if browser is None or shutil.which(browser) is None:
        cannot_run(HOW_TO_GET)
    with tempfile.TemporaryDirectory(prefix="brew-assets-pictures-") as folder:
        try:
            environment = run_demo(Path(folder))
            with served(environment, log=Path(folder) / "webserver.log") as url:
                take_pictures(url, browser, profile=Path(folder) / "profile", output=output)
        except CannotRun as error:
            cannot_run(str(error))


def cannot_run(message: str) -> NoReturn:
    """Ends the program with exit code 2."""
    click.echo(message, err=True)
    sys.exit(EXIT_CANNOT_RUN)


def take_pictures(url: str, browser: str, *, profile: Path, output: Path) -> None:
    """The pictures stand in `output`.

    Raises:
        CannotRun: Playwright is missing, or the browser did not show what it has to.
    """
    try:
        from playwright.sync_api import Error
    except ImportError as error:
        raise CannotRun("playwright is needed: make dev-install") from error
    output.mkdir(parents=True, exist_ok=True)
    try:
        with opened(browser, profile=profile, width=_WIDTH, height=_HEIGHT) as page:
            photograph_graph(page, url, output / "asset-graph.png")
            photograph_plots(page, url, output / "plots.png")
            photograph_report(page, url, output / "report.png")
    except Error as error:
        raise CannotRun(f"{browser} could not take the pictures: {error.message}") from error


def photograph_graph(page: "Page", url: str, path: Path) -> None:
    """The picture of all assets."""
    go_to_graph(page, url)
    page.get_by_text("Hide navigation").click()
    page.locator("button:right-of([placeholder^='Jump to'])").first.click()
    # A double click on the empty ground fits the graph into the room that it has now.
    page.mouse.dblclick(_WIDTH / 2, _HEIGHT - 60)
    page.wait_for_timeout(SETTLE_MS)
    picture(page, ASSETS, path)


def photograph_plots(page: "Page", url: str, path: Path) -> None:
    """The picture of what the bottles' figures became over the platforms."""
    page.set_viewport_size({"width": _WIDTH, "height": 1036})
    go_to_plots(page, url, "bottles")
    picture(page, ("bytes_downloaded", "bytes_per_second"), path)


def photograph_report(page: "Page", url: str, path: Path) -> None:
    """The picture of a sync's report: the dialogue alone, in its whole height."""
    page.set_viewport_size({"width": _WIDTH, "height": 1500})
    dialogue = open_report(page, url)
    page.wait_for_timeout(SETTLE_MS)
    dialogue.screenshot(path=path)
    click.echo(f"{path.name}: {path.stat().st_size // 1024} KB")


def picture(page: "Page", words: tuple[str, ...], path: Path) -> None:
    """The page as a file, once all the words are on it and no dialogue is."""
    for word in words:
        page.get_by_text(word, exact=True).first.wait_for(state="visible")
    page.mouse.move(_WIDTH / 2, _HEIGHT - 10)
    page.wait_for_timeout(SETTLE_MS)
    if page.get_by_role("dialog").count():
        raise CannotRun("A dialogue of Dagster's UI is in the way; no picture was taken.")
    page.screenshot(path=path)
    click.echo(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
