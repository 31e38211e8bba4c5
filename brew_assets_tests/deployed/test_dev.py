"""`make dev-aws` as a person has it: what it prints can be typed, docs/triggers.md can be followed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from brew_assets_tests.deployed.graphql import Run, Webserver
from brew_assets_tests.docs.reading import ROOT, blocks
from brew_assets_tests.local_aws.session import wait_for

pytestmark = [pytest.mark.aws, pytest.mark.timeout(900)]

TRIGGERS = ROOT / "docs" / "triggers.md"
SENSORS = ("take_sync_events", "announce_syncs", "route_pending_bottles", "record_stored_bottles")
_EXPORT = re.compile(r"^  (export \w+=\S+|aws\(\) .+)$", re.MULTILINE)
_COMMAND = re.compile(r"^  (aws .+)$", re.MULTILINE)


class DevAws:
    """The started program, and a second terminal beside it."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, aws: str) -> None:
        self.process = process
        self._log = log
        self._aws = aws

    @property
    def printed(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(encoding="utf-8")

    def is_up(self) -> bool:
        """Whether it says how it is ended, the last of its message."""
        assert self.process.poll() is None, self.printed[-4000:]
        return "Ctrl-C ends all of it." in self.printed

    def type(self, command: str, variables: Mapping[str, str] | None = None) -> str:
        """What the command writes, typed after the printed exports in the project's folder."""
        script = "\n".join([*_EXPORT.findall(self.printed), command])
        environment = {
            "PATH": f"{Path(self._aws).parent}:{os.environ['PATH']}",
            "HOME": str(self._log.parent),
            **(variables or {}),
        }
        done = subprocess.run(
            ["bash", "-ec", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevAws]:
    """Running, and ended with the module."""
    aws = _command_line()
    log = tmp_path_factory.mktemp("dev") / "dev-aws.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "brew_assets_tests.deployed.dev"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    started = DevAws(process, log, aws)
    try:
        wait_for(started.is_up, what="make dev-aws", timeout_s=240)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()


def _command_line() -> str:
    """AWS's command line: the one that the Makefile installs, else the machine's."""
    installed = ROOT / ".venv-infra" / "bin" / "aws"
    return str(installed) if installed.exists() else shutil.which("aws") or _without()


def _without() -> NoReturn:
    """Skips on a person's machine, fails in CI."""
    why = "the AWS command line is not installed: make test-aws prepares it in .venv-infra"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def webserver(dev: DevAws) -> Iterator[Webserver]:
    (url,) = re.findall(r"^Dagster: +(\S+)$", dev.printed, re.MULTILINE)
    with contextlib.closing(Webserver(url)) as found:
        yield found


def test_the_document_can_be_followed_word_for_word(dev: DevAws, webserver: Webserver) -> None:
    sending, looking = (block.strip().splitlines() for block in blocks(TRIGGERS, "bash"))
    assert len(sending) == 4
    for command in sending:
        printed = dev.type(command)
        assert '"FailedEntryCount": 0' in printed or '"MessageId"' in printed
    refused = re.findall(r"^```json refused\n(.*?)^```$", TRIGGERS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(refused) == 2
    for body in refused:
        dev.type(
            'aws sqs send-message --queue-url "$TRIGGER_QUEUE_URL" --message-body "$BODY"', {"BODY": body}
        )
    assert runs_of_events(webserver) == {
        ("Manual", "admin@company.com"): 1,
        ("Manual", ""): 2,
        ("Selective", ""): 1,
    }
    (look,) = looking
    assert_reasons(dev, look)


def runs_of_events(webserver: Webserver) -> dict[tuple[str, str], int]:
    """How many syncs the events have started, by kind and by whom; every one of them has made its plan."""

    def planned() -> list[Run] | None:
        runs = webserver.runs(job="selective_sync")
        return runs if len(runs) >= 4 and all(run.ended for run in runs) else None

    found: dict[tuple[str, str], int] = {}
    for run in wait_for(planned, what="four planning runs", timeout_s=240):
        assert run.status == "SUCCESS", webserver.events(run.id)
        key = run.tags["mirror/trigger"], run.tags.get("mirror/requested_by", "")
        found[key] = found.get(key, 0) + 1
    return found


def assert_reasons(dev: DevAws, look: str) -> None:
    """The document's look into the dead-letter queue shows why each refused event is there."""
    reasons = ""
    deadline = time.monotonic() + 120
    while not ("formulas" in reasons and "neither" in reasons) and time.monotonic() < deadline:
        reasons += dev.type(look)
    assert "formulas" in reasons
    assert '"reason"' in reasons


def test_what_it_prints_is_so(dev: DevAws, webserver: Webserver) -> None:
    for name in SENSORS:
        assert webserver.sensor_is_on(name), name
    assert re.search(r"plans every 10 minutes here, first at \d\d:\d0 UTC", dev.printed)
    assert "SIZE_THRESHOLD_GB is 0.001" in dev.printed
    commands = _COMMAND.findall(dev.printed)
    assert [command.split()[1] for command in commands] == ["s3", "events", "sqs"]
    wait_for(lambda: "state/plans/" in dev.type(commands[0]), what="a plan in the bucket", timeout_s=60)
    heard = ""
    deadline = time.monotonic() + 180
    while "Homebrew Bottles Sync" not in heard and time.monotonic() < deadline:
        heard += dev.type(commands[2])
    assert "Homebrew Bottles Sync" in heard


def test_sigterm_ends_all_of_it(dev: DevAws, webserver: Webserver) -> None:
    dev.process.send_signal(signal.SIGTERM)
    assert dev.process.wait(90) == 0, dev.printed[-4000:]
    assert not webserver.is_ready()
