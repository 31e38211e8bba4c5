"""CloudWatch: the specification's call, few calls for many metrics, and what is not taken."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from moto.server import ThreadedMotoServer

from brew_assets.adapters.aws.client import aws_client
from brew_assets.adapters.aws.cloudwatch import MOST_BYTES, MOST_METRICS, CloudWatchMetrics
from brew_assets.compose.channels import build_metrics
from brew_assets.domain.metrics import Metric, gauges, sync_metrics
from brew_assets.errors import ChannelBusy, ChannelError, ChannelFailed, ChannelRefused, ChannelUncertain
from brew_assets.settings import Settings
from brew_assets_tests.ports import free_ports

REGION = "us-east-1"
AT = datetime(2025, 7, 21, 3, 8, 34, tzinfo=UTC)
# "Custom Metrics Examples" of the specification, without a word changed.
SPEC = [
    {
        "MetricName": "BottlesDownloaded",
        "Value": 143,
        "Unit": "Count",
        "Dimensions": [
            {"Name": "Environment", "Value": "prod"},
            {"Name": "SyncDate", "Value": "2025-07-21"},
        ],
    },
    {
        "MetricName": "SyncDuration",
        "Value": 514,
        "Unit": "Seconds",
        "Dimensions": [{"Name": "Environment", "Value": "prod"}, {"Name": "SyncType", "Value": "lambda"}],
    },
    {
        "MetricName": "DownloadSize",
        "Value": 3456789012,
        "Unit": "Bytes",
        "Dimensions": [{"Name": "Environment", "Value": "prod"}],
    },
]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture(scope="module")
def cloudwatch() -> Iterator[str]:
    """The address of a CloudWatch that keeps what it is given."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def calls() -> Iterator["Answering"]:
    with Answering() as server:
        yield server


class Answering:
    """A server that answers every call with one status and body, and keeps the calls' sizes."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.sizes: list[int] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.sizes.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(server.status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Answering":
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def of_the_spec() -> list[Metric]:
    return sync_metrics(
        environment="prod",
        sync_date="2025-07-21",
        route="lambda",
        downloaded=143,
        bytes_downloaded=3456789012,
        duration_s=514,
        failed=0,
        outcome="success",
    )


def many(count: int, *, environment: str = "prod") -> list[Metric]:
    (one,) = gauges(environment=environment, pending=1, last_good_age_s=None)
    return [one] * count


def test_the_call_for_the_specs_numbers_is_the_specs_call() -> None:
    client = aws_client("cloudwatch", region=REGION, endpoint_url=None)
    metrics = CloudWatchMetrics(region=REGION, endpoint_url=None)
    metrics._client = client
    with Stubber(client) as stub:
        expected = {
            "Namespace": "HomebrewSync",
            "MetricData": [one | {"Timestamp": AT} for one in SPEC],
        }
        stub.add_response("put_metric_data", {}, expected)
        metrics.publish(of_the_spec()[:3], AT)
        stub.add_response("put_metric_data", {}, {"Namespace": "HomebrewSync", "MetricData": ANY})
        metrics.publish(of_the_spec(), AT)
        stub.assert_no_pending_responses()


def test_what_was_published_can_be_read_back(cloudwatch: str) -> None:
    settings = Settings(enable_metrics=True, aws_region=REGION, aws_endpoint_url=cloudwatch)
    metrics = build_metrics(settings)
    assert metrics is not None
    metrics.publish([*of_the_spec(), *gauges(environment="prod", pending=8, last_good_age_s=60.0)], AT)
    client = aws_client("cloudwatch", region=REGION, endpoint_url=cloudwatch)
    listed = client.list_metrics(Namespace="HomebrewSync")["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {
        "BottlesDownloaded",
        "SyncDuration",
        "DownloadSize",
        "BottlesFailed",
        "DownloadRate",
        "SyncsSucceeded",
        "SyncsPartial",
        "SyncsFailed",
        "PendingBottles",
        "LastGoodSyncAge",
    }
    for document in SPEC:
        assert read_back(client, document) == [document["Value"]]


def read_back(client: Any, document: dict[str, Any]) -> list[float]:
    metric = {
        "Namespace": "HomebrewSync",
        "MetricName": document["MetricName"],
        "Dimensions": document["Dimensions"],
    }
    stat = {"Metric": metric, "Period": 60, "Stat": "Sum", "Unit": document["Unit"]}
    minute = timedelta(minutes=1)
    answer = client.get_metric_data(
        MetricDataQueries=[{"Id": "one", "MetricStat": stat}], StartTime=AT - minute, EndTime=AT + minute
    )
    return list(answer["MetricDataResults"][0]["Values"])


def test_nothing_is_built_unless_metrics_are_enabled() -> None:
    assert build_metrics(Settings()) is None


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (MOST_METRICS, 1), (MOST_METRICS + 1, 2)])
def test_as_few_calls_are_made_as_the_count_allows(calls: Answering, count: int, expected: int) -> None:
    CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish(many(count), AT)
    assert len(calls.sizes) == expected


def test_no_call_is_larger_than_cloudwatch_takes(calls: Answering) -> None:
    heavy = many(MOST_METRICS, environment="e" * 1024)
    CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish(heavy, AT)
    assert len(calls.sizes) == 2
    # botocore packs larger calls; unpacked they are below the limit by the estimate.
    assert max(calls.sizes) <= MOST_BYTES


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, "", ChannelBusy),
        (400, "ThrottlingException", ChannelBusy),
        (400, "Throttling", ChannelBusy),
        (500, "InternalServiceFault", ChannelFailed),
        (503, "", ChannelFailed),
        (502, "", ChannelUncertain),
        (504, "", ChannelUncertain),
        (403, "AccessDenied", ChannelRefused),
        (400, "InvalidParameterValue", ChannelRefused),
    ],
)
def test_what_cloudwatch_answers_becomes_one_of_our_errors(
    calls: Answering, status: int, error: str, expected: type[ChannelError]
) -> None:
    calls.status, calls.body = status, json.dumps({"__type": error} if error else {}).encode()
    with pytest.raises(expected, match="metrics of HomebrewSync"):
        CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish(of_the_spec(), AT)
    assert len(calls.sizes) == 1


def test_an_answer_that_nobody_can_read_may_be_of_a_call_that_was_taken(calls: Answering) -> None:
    calls.status, calls.body = 400, b"\xff\xfe a proxy's page"
    with pytest.raises(ChannelUncertain, match="metrics of HomebrewSync"):
        CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish(of_the_spec(), AT)


def test_a_cloudwatch_that_is_not_there_has_failed() -> None:
    (port,) = free_ports(1)
    metrics = CloudWatchMetrics(region=REGION, endpoint_url=f"http://127.0.0.1:{port}")
    with pytest.raises(ChannelFailed, match="metrics of HomebrewSync"):
        metrics.publish(of_the_spec(), AT)


def test_without_credentials_it_is_refused(monkeypatch: pytest.MonkeyPatch, calls: Answering) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ChannelRefused, match="redentials"):
        CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish(of_the_spec(), AT)
    assert calls.sizes == []


def test_what_botocore_itself_refuses_is_refused(calls: Answering) -> None:
    wrong = Metric(name="", value=1, unit="Count", dimensions=())
    with pytest.raises(ChannelRefused):
        CloudWatchMetrics(region=REGION, endpoint_url=calls.url).publish([wrong], AT)
