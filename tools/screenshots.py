"""`make screenshots`: the pictures of the README, taken anew.

Runs the demo into a temporary directory, serves Dagster's UI on it on a free port of this machine, and has
Chromium photograph it. Whatever is started here is ended here. Exit codes: 0 done, 2 cannot run.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
ASSETS = ("formula_catalog", "pending_bottles", "bottles", "hash_manifest")
PLATFORM = "arm64_sonoma"

EXIT_CANNOT_RUN = 2
_WIDTH, _HEIGHT = 1400, 720
_PATIENCE_S = 120.0
_GRACE_S = 15.0
# The layout of the graph and the plots come after the page itself.
_SETTLE_MS = 2500

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
_HOW_TO_GET = (
    "Chromium is needed and was not found.\n"
    "Debian: apt-get install chromium   macOS: brew install --cask chromium\n"
    "If it stands elsewhere: python -m tools.screenshots --chromium /path/to/chromium"
)
# Without it the first visit of a browser meets a dialogue about newsletters.
_NO_DIALOGUE = "nux:\n  enabled: false\n"


def cannot_run(message: str) -> NoReturn:
    """Ends the program with exit code 2."""
    click.echo(message, err=True)
    sys.exit(EXIT_CANNOT_RUN)


def find_chromium() -> str | None:
    """The path of a Chromium, None when there is none in the usual places."""
    for name in _BROWSERS:
        if path := shutil.which(name):
            return path
    return next((path for path in _MAC_BROWSERS if Path(path).exists()), None)


@click.command()
@click.option("--chromium", help="The browser's executable; default: the one that is installed.")
@click.option(
    "--output", default=IMAGES, type=click.Path(file_okay=False, path_type=Path), show_default=False
)
def main(chromium: str | None, output: Path) -> None:
    """Run the demo and photograph it into docs/images/."""
    browser = chromium or find_chromium()
    if browser is None or shutil.which(browser) is None:
        cannot_run(_HOW_TO_GET)
    with tempfile.TemporaryDirectory(prefix="brew-assets-pictures-") as folder:
        environment = run_demo(Path(folder))
        with served(environment, log=Path(folder) / "webserver.log") as url:
            take_pictures(url, browser, profile=Path(folder) / "profile", output=output)


def run_demo(folder: Path) -> dict[str, str]:
    """The environment in which Dagster shows the demo's runs; mirror and instance are in the folder."""
    home, mirror = folder / "home", folder / "mirror"
    home.mkdir()
    instance = (ROOT / "infra" / "dagster" / "laptop" / "dagster.yaml").read_text()
    if "nux:" not in instance:
        instance += _NO_DIALOGUE
    (home / "dagster.yaml").write_text(instance)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MIRROR_URL": str(mirror),
    }
    demo = [sys.executable, "-m", "brew_assets.demo", "--mirror", str(mirror), "--home", str(home)]
    done = subprocess.run(demo, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        cannot_run(f"The demo failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return environment


@contextlib.contextmanager
def served(environment: dict[str, str], *, log: Path) -> Iterator[str]:
    """The address of Dagster's UI while the block lasts."""
    port = free_port()
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        if not answers(f"{url}/server_info", process):
            cannot_run(f"Dagster's UI did not start:\n{log.read_text()[-2000:]}")
        yield url
    finally:
        end(process)


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Whether the process serves the address before it ends or the patience does."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return True
        time.sleep(0.3)
    return False


def end(process: "subprocess.Popen[bytes]") -> None:
    """The process and those that it started are gone; they share a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)


def take_pictures(url: str, browser: str, *, profile: Path, output: Path) -> None:
    """The pictures stand in `output`."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        cannot_run("playwright is needed: make dev-install")
    output.mkdir(parents=True, exist_ok=True)
    try:
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                profile,
                executable_path=browser,
                headless=True,
                viewport={"width": _WIDTH, "height": _HEIGHT},
                args=list(_FLAGS),
            )
            page = context.new_page()
            picture(page, show_graph(page, url), output / "asset-graph.png")
            picture(page, show_bottles(page, url), output / "bottles.png")
            context.close()
    except Error as error:
        cannot_run(f"{browser} could not take the pictures: {error.message}")


def show_graph(page: "Page", url: str) -> tuple[str, ...]:
    """The graph of all assets, with its groups open; what has to be seen on it."""
    page.goto(f"{url}/asset-groups?expanded=global@global:mirror,global@global:upstream")
    page.get_by_text("Hide navigation").click()
    page.locator("button:right-of([placeholder^='Jump to'])").first.click()
    # A double click on the empty ground fits the graph into the room that it has now.
    page.mouse.dblclick(_WIDTH / 2, _HEIGHT - 60)
    page.wait_for_timeout(_SETTLE_MS)
    return ASSETS


def show_bottles(page: "Page", url: str) -> tuple[str, ...]:
    """What was recorded with one platform's bottles; what has to be seen on it."""
    page.goto(f"{url}/assets/bottles?view=partitions&partition={PLATFORM}")
    return (PLATFORM, "sync_id", "downloaded")


def picture(page: "Page", words: tuple[str, ...], path: Path) -> None:
    """The page as a file, once all the words are on it and no dialogue is."""
    for word in words:
        page.get_by_text(word, exact=True).first.wait_for(state="visible", timeout=60_000)
    page.mouse.move(_WIDTH / 2, _HEIGHT - 10)
    page.wait_for_timeout(_SETTLE_MS)
    if page.get_by_role("dialog").count():
        cannot_run("A dialogue of Dagster's UI is in the way; no picture was taken.")
    page.screenshot(path=path)
    click.echo(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
