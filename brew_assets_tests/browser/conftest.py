"""The demo's runs in Dagster's UI, with a daemon, an upstream that has news, and a page in Chromium."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Page

from brew_assets.demo import demo_world
from brew_assets.domain.manifest import MANIFEST_KEY, Entry, decode_manifest
from brew_assets.simulator import Simulator
from tools.browser import HOW_TO_GET, find_chromium, opened
from tools.demo_ui import run_demo, served, started

WIDTH, HEIGHT = 1400, 1000


class DemoUi:
    """The UI after `make demo`; upstream has one bottle that the mirror lacks."""

    def __init__(
        self, url: str, folder: Path, environment: dict[str, str], stack: contextlib.ExitStack
    ) -> None:
        self.url = url
        self._folder = folder
        self._environment = environment
        self._stack = stack

    def start_daemon(self) -> None:
        """A daemon runs as long as the UI. It looks at backfills when it starts, then every 30 seconds."""
        command = ("dagster._daemon", "run", "-w", "workspace.yaml")
        self._stack.enter_context(started(command, self._environment, log=self._folder / "daemon.log"))

    def entries(self) -> dict[str, Entry]:
        """What is held by now."""
        return dict(decode_manifest((self._folder / "mirror" / MANIFEST_KEY).read_bytes()).entries())


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
    environment = run_demo(folder)
    world = demo_world()
    world.publish("wget", "1.25.0", tags=("arm64_sonoma",))
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Simulator(world))
        # Schedules and sensors stay off: only clicks start runs.
        environment |= upstream.environment() | {"SCHEDULE_ENABLED": "false"}
        url = stack.enter_context(served(environment, log=folder / "webserver.log"))
        yield DemoUi(url, folder, environment, stack)


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
