"""Chromium on Dagster's UI: finding it, opening a page, and going to what has to be seen.

For the README's pictures and for the tests that click.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PATIENCE_MS = 90_000
# The layout of the graph and the plots come after the page itself.
SETTLE_MS = 2500

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOW_TO_GET = (
    "Chromium is needed and was not found.\n"
    "Debian: apt-get install chromium   macOS: brew install --cask chromium\n"
    "If it stands elsewhere: python -m tools.screenshots --chromium /path/to/chromium"
)


def find_chromium() -> str | None:
    """The path of a Chromium, None when there is none in the usual places."""
    for name in _BROWSERS:
        if path := shutil.which(name):
            return path
    return next((path for path in _MAC_BROWSERS if Path(path).exists()), None)


@contextlib.contextmanager
def opened(browser: str, *, profile: Path, width: int, height: int) -> "Iterator[Page]":
    """An empty page of a new headless browser, which ends with the block.

    Raises:
        ImportError: Playwright is not installed.
        playwright.sync_api.Error: the browser did not start.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=browser,
            headless=True,
            viewport={"width": width, "height": height},
            args=list(_FLAGS),
            timeout=PATIENCE_MS,
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        context.close()


def go_to_graph(page: "Page", url: str) -> None:
    """The page shows the graph of all assets: of one group, so that nothing has to be opened."""
    page.goto(f"{url}/asset-groups")


def go_to_plots(page: "Page", url: str, asset: str) -> None:
    """The page shows the plots of an asset's figures."""
    page.goto(f"{url}/assets/{asset}?view=overview")
    page.get_by_text("Plots", exact=True).click()


def open_report(page: "Page", url: str) -> "Locator":
    """The dialogue with the newest report of hash_manifest, its charts drawn."""
    page.goto(f"{url}/assets/hash_manifest?view=events")
    row = page.get_by_role("row").filter(has=page.get_by_text("report", exact=True))
    row.get_by_text("[Show Markdown]").click()
    dialogue = page.get_by_role("dialog")
    dialogue.get_by_role("img").first.wait_for()
    return dialogue
