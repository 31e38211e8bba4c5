"""Concurrency, payloads and asynchronous retries have Lambda's limits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from brew_assets_tests.local_aws.conftest import Functions
from brew_assets_tests.local_aws.session import LocalAws
from brew_assets_tests.local_aws.test_functions import ECHO, FAIL, WAIT

MB = 1024 * 1024
REPEAT = "def handler(event, context):\n    return 'x' * event['length']\n"


def error_of(client: object, **arguments: object) -> tuple[str, int]:
    """The code and status of the error that Invoke answers."""
    with pytest.raises(ClientError) as caught:
        client.invoke(**arguments)  # type: ignore[attr-defined]
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def once(aws: LocalAws) -> object:
    """A client that tries once."""
    return aws.client("lambda", config=Config(retries={"total_max_attempts": 1}))


def test_busy_environments_are_joined_by_new_ones(
    aws: LocalAws, functions: Functions, tmp_path: Path
) -> None:
    name = functions.create(WAIT)
    event = {"until": str(tmp_path / "go")}
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(functions.invoke, name, event) for _ in range(3)]
        aws.wait_for_invocations(3, function=name, ended=False)
        (tmp_path / "go").touch()
        assert len({one.result()[0] for one in running}) == 3
    assert functions.invoke(name, event)[0] in {one.result()[0] for one in running}


def test_reserved_concurrency_is_the_most_that_run_at_once(
    aws: LocalAws, functions: Functions, once: object, tmp_path: Path
) -> None:
    name = functions.create(WAIT)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    event = {"until": str(tmp_path / "go")}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.invoke, name, event)
        aws.wait_for_invocations(1, function=name, ended=False)
        assert error_of(once, FunctionName=name) == ("TooManyRequestsException", 429)
        (tmp_path / "go").touch()
        running.result()
    functions.invoke(name, event)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert error_of(once, FunctionName=name) == ("TooManyRequestsException", 429)


@pytest.fixture(scope="module")
def small_account() -> Iterator[Functions]:
    """An account in which one function runs at a time."""
    with LocalAws(account_concurrency=1) as aws:
        aws.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")
        yield Functions(aws)


def test_the_account_has_a_limit_for_all_functions(small_account: Functions, tmp_path: Path) -> None:
    first, second = (small_account.create(WAIT) for _ in range(2))
    once = small_account.aws.client("lambda", config=Config(retries={"total_max_attempts": 1}))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(small_account.invoke, first, {"until": str(tmp_path / "go")})
        small_account.aws.wait_for_invocations(1, ended=False)
        assert error_of(once, FunctionName=second) == ("TooManyRequestsException", 429)
        (tmp_path / "go").touch()
        running.result()
    assert small_account.invoke(second, {"until": "/"})[1]["StatusCode"] == 200


def test_a_synchronous_request_has_6_mb_at_most(functions: Functions) -> None:
    name = functions.create("def handler(event, context):\n    return len(event)\n")
    assert functions.invoke(name, "x" * (6 * MB - 2))[0] == 6 * MB - 2
    payload = b'"' + b"x" * (6 * MB - 1) + b'"'
    assert error_of(functions.client, FunctionName=name, Payload=payload) == ("RequestTooLargeException", 413)


def test_a_response_has_6_mb_at_most(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(REPEAT)
    assert len(functions.invoke(name, {"length": 6 * MB})[0]) == 6 * MB
    payload, answer = functions.invoke(name, {"length": 6 * MB + 200})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(functions.invoke(name, {"length": 1})[0]) == 1
    assert [record.result for record in aws.invocations(name)] == ["ok", "error", "ok"]


def test_an_event_has_1_mb_at_most(functions: Functions) -> None:
    name = functions.create(ECHO)
    payload = b'"' + b"x" * MB + b'"'
    error = error_of(functions.client, FunctionName=name, InvocationType="Event", Payload=payload)
    assert error == ("RequestTooLargeException", 413)


def test_what_is_not_json_is_refused(functions: Functions) -> None:
    error = error_of(functions.client, FunctionName=functions.create(ECHO), Payload=b"{not json")
    assert error == ("InvalidRequestContentException", 400)


def test_an_event_is_accepted_and_tried_three_times_with_one_request_id(
    aws: LocalAws, functions: Functions
) -> None:
    name = functions.create(FAIL)
    payload, answer = functions.invoke(name, {"n": 1}, InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, None)
    records = aws.wait_for_invocations(3, function=name)
    assert [(record.type, record.result) for record in records] == [("Event", "error")] * 3
    assert len({record.request_id for record in records}) == 1


def test_an_event_that_succeeds_runs_once_and_retries_can_be_switched_off(
    aws: LocalAws, functions: Functions
) -> None:
    good, bad = functions.create(ECHO), functions.create(FAIL)
    functions.client.put_function_event_invoke_config(FunctionName=bad, MaximumRetryAttempts=0)
    for name in (good, bad):
        functions.invoke(name, {}, InvocationType="Event")
        aws.wait_for_invocations(1, function=name)
    # Later than any retry of theirs would be: this one takes three tries.
    late = functions.create(FAIL)
    functions.invoke(late, {}, InvocationType="Event")
    aws.wait_for_invocations(3, function=late)
    assert [len(aws.invocations(name)) for name in (good, bad)] == [1, 1]


def test_a_dry_run_runs_nothing(aws: LocalAws, functions: Functions) -> None:
    name = functions.create(ECHO)
    assert functions.invoke(name, {}, InvocationType="DryRun")[1]["StatusCode"] == 204
    assert aws.invocations(name) == []
