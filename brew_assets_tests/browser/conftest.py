"""What `make demo-ui` starts, after `make demo`, and a page in Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Page

from brew_assets.demo_upstream import demo_world, move_on
from brew_assets.domain.manifest import Entry, decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.simulator.model import SimulatedBottle
from brew_assets_tests.ports import free_ports
from tools.browser import HOW_TO_GET, find_chromium, opened
from tools.demo_ui import playing, run_demo

WIDTH, HEIGHT = 1400, 1000


class DemoUi:
    """What `make demo-ui` has started after `make demo`; its upstream has moved on by a week."""

    def __init__(self, url: str, folder: Path, new: list[SimulatedBottle]) -> None:
        self.url = url
        self.new = new
        self._folder = folder

    def entries(self) -> dict[str, Entry]:
        """What is held by now."""
        return dict(decode_manifest((self._folder / "mirror" / MANIFEST_KEY).read_bytes()).entries())

    def lacking(self, *platforms: str) -> list[str]:
        """The new bottles with these tags that are not held."""
        held = {entry.s3_key.rsplit("/", 1)[1] for entry in self.entries().values()}
        return [b.filename for b in self.new if b.tag in platforms and b.filename not in held]


@pytest.fixture(scope="session")
def chromium() -> str:
    return find_chromium() or _without_chromium()


def _without_chromium() -> NoReturn:
    """Skips on a person's machine, fails in CI."""
    if os.environ.get("CI"):
        pytest.fail(HOW_TO_GET)
    pytest.skip(HOW_TO_GET)


@pytest.fixture(scope="module")
def demo_ui(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoUi]:
    """One for all stories; the browser is looked for first, before anything is started."""
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder)
    new = move_on(demo_world(), 1)
    (port,) = free_ports(1)
    with playing(folder, port=port) as running:
        yield DemoUi(running.url(), folder, new)


@pytest.fixture(scope="module")
def browser_page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Of a module: Playwright has an event loop in this thread, which other tests may want for themselves."""
    profile = tmp_path_factory.mktemp("profile")
    with opened(chromium, profile=profile, width=WIDTH, height=HEIGHT) as page:
        yield page


@pytest.fixture
def page(browser_page: Page, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page; after a failure its picture stands in the test's folder."""
    before = request.session.testsfailed
    yield browser_page
    if request.session.testsfailed > before:
        browser_page.screenshot(path=tmp_path / "page.png")
