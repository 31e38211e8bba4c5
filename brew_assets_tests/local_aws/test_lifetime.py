"""Nothing that Local AWS started outlives it, whichever way it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brew_assets_tests.local_aws.conftest import Cluster, Functions
from brew_assets_tests.local_aws.session import LocalAws, NotInTime, wait_for
from brew_assets_tests.local_aws.test_functions import ECHO
from brew_assets_tests.local_aws.test_tasks import DEAF

# A test run that starts Local AWS and one deaf task, tells their process ids, and is then killed.
TEST_RUN = """
import sys
from brew_assets_tests.local_aws.conftest import Cluster
from brew_assets_tests.local_aws.session import LocalAws
with LocalAws() as aws:
    task_id = Cluster(aws).run_shell("sleep 300 & echo $!; trap '' TERM; echo ready; sleep 300")
    task = aws.wait_for_output(task_id, "ready")
    print(aws.pid, task.pid, task.log.split()[0], aws.state, flush=True)
    sys.stdin.read()
"""


def gone(pid: int) -> bool:
    """Whether the process has ended; nobody may have asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def end_by_close(aws: LocalAws) -> None:
    aws.__exit__(None, None, None)


def end_by_interrupt(aws: LocalAws) -> None:
    os.kill(aws.pid, signal.SIGINT)


def end_by_kill(aws: LocalAws) -> None:
    os.kill(aws.pid, signal.SIGKILL)


@pytest.mark.parametrize("end", [end_by_close, end_by_interrupt, end_by_kill])
def test_tasks_and_environments_end_with_local_aws(end: Callable[[LocalAws], None]) -> None:
    with LocalAws() as aws:
        aws.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")
        task_id = Cluster(aws).run_shell(f"sleep 300 & echo $!; {DEAF}")
        functions = Functions(aws)
        environment = functions.invoke(functions.create(ECHO))[0]["pid"]
        task = aws.wait_for_output(task_id, "ready")
        assert task.pid is not None
        pids = [aws.pid, task.pid, int(task.log.split()[0]), environment]
        assert not any(map(gone, pids))
        end(aws)
        wait_for(lambda: all(map(gone, pids)), what="the end of all", timeout_s=60)
    assert not aws.state.exists()


def test_everything_ends_with_a_test_run_that_is_killed() -> None:
    run = subprocess.Popen([sys.executable, "-c", TEST_RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdout is not None
    words = run.stdout.readline().split()
    run.kill()
    run.wait()
    pids = [int(word) for word in words[:3]]
    assert len(pids) == 3
    wait_for(lambda: all(map(gone, pids)), what="the end of all", timeout_s=60)
    # What a killed run cannot do itself.
    subprocess.run(["rm", "-r", words[3].decode()], check=True)


def test_waiting_has_an_end() -> None:
    with pytest.raises(NotInTime, match="the impossible"):
        wait_for(lambda: None, what="the impossible", timeout_s=0.1)
