"""Lambda functions really run: awslambdaric, warm environments, errors, logs, and planned faults."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from brew_assets_tests.local_aws.conftest import Functions, zipped
from brew_assets_tests.local_aws.session import LocalAws, Refused, wait_for

ECHO = """
import os
def handler(event, context):
    print("heard", event)
    return {"event": event, "pid": os.getpid(), "left_ms": context.get_remaining_time_in_millis()}
"""
# Waits until a file is there: the test decides for how long it runs.
WAIT = """
import os, time
def handler(event, context):
    print("waiting")
    while not os.path.exists(event["until"]):
        time.sleep(0.02)
    return os.getpid()
"""
FAIL = 'def handler(event, context):\n    raise ValueError("no such bottle")\n'
COUNT_CALLS = "calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n"
FOREVER = {"until": "/nowhere"}


def test_a_function_answers_under_the_real_runtime(functions: Functions) -> None:
    payload, answer = functions.invoke(functions.create(ECHO), {"n": 1})
    assert payload["event"] == {"n": 1}
    assert 5_000 < payload["left_ms"] <= 10_000
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


def test_an_environment_stays_warm_and_keeps_its_modules_state(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(COUNT_CALLS)
    assert [functions.invoke(name)[0] for _ in range(3)] == [1, 2, 3]
    records = aws.invocations(name)
    assert [record.cold for record in records] == [True, False, False]
    assert len({record.environment_pid for record in records}) == 1


def test_new_code_and_new_configuration_get_new_environments(functions: Functions) -> None:
    name = functions.create(COUNT_CALLS)
    functions.invoke(name)
    functions.client.update_function_code(FunctionName=name, ZipFile=zipped(COUNT_CALLS + "# new\n"))
    assert functions.invoke(name)[0] == 1
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"A": "b"}})
    assert functions.invoke(name)[0] == 1


def test_a_function_sees_its_variables_and_nothing_of_ours(functions: Functions) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    seen, _ = functions.invoke(functions.create(source, Environment={"Variables": {"MINE": "1"}}))
    assert (seen["MINE"], seen["AWS_ENDPOINT_URL"]) == ("1", functions.aws.url)
    assert (seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], seen["_HANDLER"]) == ("128", "app.handler")
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST_CURRENT_TEST" not in seen


def test_an_image_function_runs_the_command_of_its_image_config(functions: Functions) -> None:
    name = functions.create_image(["json.tool.main"])
    payload, answer = functions.invoke(name)
    assert answer["FunctionError"] == "Unhandled"
    assert "takes 0 positional arguments but 2 were given" in payload["errorMessage"]
    functions.client.update_function_configuration(
        FunctionName=name, ImageConfig={"Command": ["os.path.exists"]}
    )
    assert "exists() takes 1" in functions.invoke(name)[0]["errorMessage"]


def test_an_exception_of_the_handler_comes_back(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(FAIL)
    payload, answer = functions.invoke(name)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "no such bottle")
    functions.invoke(name)
    assert [(record.result, record.cold) for record in aws.invocations(name)] == [
        ("error", True),
        ("error", False),
    ]


def test_a_module_that_cannot_be_imported_is_the_callers_error(functions: Functions) -> None:
    name = functions.create("import no_such_module\n")
    for _ in range(2):
        payload, answer = functions.invoke(name)
        assert answer["FunctionError"] == "Unhandled"
        assert payload["errorType"] == "Runtime.ImportModuleError"
        assert "no_such_module" in payload["errorMessage"]


def test_a_runtime_that_exits_is_replaced(aws: LocalAws, functions: Functions) -> None:
    source = "import os\ndef handler(event, context):\n    if event: os._exit(event)\n    return 'fine'\n"
    name = functions.create(source)
    payload, answer = functions.invoke(name, 3)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("Runtime exited with error: exit status 3")
    assert functions.invoke(name, 0)[0] == "fine"
    assert [(record.result, record.cold) for record in aws.invocations(name)] == [
        ("exit", True),
        ("ok", True),
    ]


def test_a_function_over_its_time_is_killed_and_says_so(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(WAIT, timeout_s=1)
    payload, answer = functions.invoke(name, FOREVER, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in payload["errorMessage"]
    assert "Status: timeout" in base64.b64decode(answer["LogResult"]).decode()
    (record,) = aws.invocations(name)
    assert record.result == "timeout"
    assert "waiting" in record.log
    assert functions.invoke(name, {"until": "/"})[0] != record.environment_pid


def test_an_environment_that_is_killed_half_way_is_an_exit_error(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(WAIT)
    aws.kill_next_invocation(on_output="waiting", function=name)
    payload, answer = functions.invoke(name, FOREVER)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in payload["errorMessage"]
    aws.kill_next_invocation(after_s=0.1, function=name)
    assert functions.invoke(name, FOREVER)[0]["errorType"] == "Runtime.ExitError"
    assert isinstance(functions.invoke(name, {"until": "/"})[0], int)


def test_a_running_invocation_is_seen_and_can_be_killed(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(WAIT)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.invoke, name, FOREVER)
        (record,) = aws.wait_for_invocations(1, function=name, ended=False)
        assert (record.result, record.ended) == ("running", None)
        wait_for(lambda: "waiting" in aws.invocations(name)[0].log, what="its output")
        aws.kill_invocation(record.request_id)
        assert running.result()[0]["errorType"] == "Runtime.ExitError"
    with pytest.raises(Refused, match="NotRunning"):
        aws.kill_invocation(record.request_id)


def test_the_tail_is_4096_bytes_and_cloudwatch_has_everything(functions: Functions) -> None:
    source = "def handler(event, context):\n    for n in range(200): print('line', n, 'x' * 40)\n"
    name = functions.create(source)
    _, answer = functions.invoke(name, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"])
    assert len(tail) == 4096
    assert b"line 199 " in tail
    assert b"line 2 " not in tail
    logs = functions.aws.client("logs")
    group = f"/aws/lambda/{name}"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    lines = [event["message"] for event in events]
    assert lines[0].startswith("START RequestId: ")
    assert lines[1].startswith("line 0 ")
    assert lines[-2].startswith("END RequestId: ")
    assert "Memory Size: 128 MB" in lines[-1]
    assert "Init Duration" in lines[-1]
    assert functions.invoke(name)[1].get("LogResult") is None


def test_output_of_one_invocation_is_not_in_the_next_ones_tail(functions: Functions) -> None:
    name = functions.create(ECHO)
    tails = [
        base64.b64decode(functions.invoke(name, {"n": n}, LogType="Tail")[1]["LogResult"]) for n in range(2)
    ]
    assert b"heard {'n': 0}" in tails[0]
    assert b"heard {'n': 1}" in tails[1]
    assert b"heard {'n': 0}" not in tails[1]


def test_planned_throttles_come_first_and_botocore_sees_them_as_such(
    aws: LocalAws, functions: Functions
) -> None:
    name = functions.create(ECHO)
    once = aws.client("lambda", config=Config(retries={"total_max_attempts": 1}))
    aws.throttle_invokes(1, retry_after_s=7)
    with pytest.raises(ClientError) as caught:
        once.invoke(FunctionName=name)
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Reason"]) == (
        429,
        "CallerRateLimitExceeded",
    )
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    once.invoke(FunctionName=name)
    assert len(aws.invocations(name)) == 1


def test_a_deleted_function_is_gone_with_its_environments(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(ECHO)
    pid = functions.invoke(name)[0]["pid"]
    functions.client.delete_function(FunctionName=name)
    with pytest.raises(ClientError, match="Function not found"):
        functions.invoke(name)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), what="the environment's end")
