"""Alarms, filters, queries and the dashboard beside what the project really publishes and writes."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from dagster._utils.log import get_structlog_json_formatter

from brew_assets.errors import BlobNotFound, UpstreamInterrupted
from brew_assets_tests.engine.test_sync import ARM, Upstream
from brew_assets_tests.fakes import Act, MemoryStore
from brew_assets_tests.log_lines import log_lines
from brew_assets_tests.terraform.containers import assert_starts, words
from brew_assets_tests.terraform.mocked import Mocked
from brew_assets_tests.terraform.watching import OWN, Deployment, counts, from_state, published

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]

DEPLOYMENT = Deployment(
    name="mirror-wired",
    environment="wired",
    alerts="arn:aws:sns:us-west-2:123456789012:alerts",
    security="arn:aws:sns:us-west-2:123456789012:security",
    function="mirror-wired-sync-worker",
    database="mirror-wired-database",
)


@pytest.fixture(scope="module")
def written() -> Iterator[list[dict[str, Any]]]:
    """The lines of a sync in which one bottle is gone, one has wrong bytes, and one needs a second try."""
    with log_lines() as lines:
        upstream = Upstream(MemoryStore())
        for name in ("gone", "slow", "wget", "wrong"):
            upstream.publish(name, tags=ARM)
        plan = upstream.plan(*ARM)
        pending = {p.bottle.formula: p.bottle for p in plan.pending("arm64_sonoma")}
        upstream.blobs.always(pending["gone"], Act(error=BlobNotFound("404")))
        upstream.blobs.always(pending["wrong"], Act(flips=3))
        upstream.blobs.script(pending["slow"], Act(error=UpstreamInterrupted("connection reset")))
        upstream.mirror().sync(plan, "arm64_sonoma")
        yield lines.all()


def test_every_alarm_looks_at_what_it_is_for_and_tells_the_right_topic(everything: Mocked) -> None:
    found = {
        resource.values["alarm_name"]: from_state(resource.values)
        for resource in everything.of_kind("aws_cloudwatch_metric_alarm")
    }
    assert found == DEPLOYMENT.alarms()
    assert len(found) == 17


def test_alarms_and_dashboard_name_only_metrics_that_are_published(everything: Mocked) -> None:
    emitted = {
        (metric.name, tuple(sorted(name for name, _ in metric.dimensions))) for metric in published("wired")
    }
    used = {
        (watched.name, tuple(name for name, _ in watched.dimensions))
        for alarm in everything.of_kind("aws_cloudwatch_metric_alarm")
        for watched in from_state(alarm.values).watched
        if watched.namespace == OWN
    }
    dashboard = json.loads(everything.value("monitoring.aws_cloudwatch_dashboard.this", "dashboard_body"))
    for widget in dashboard["widgets"]:
        for metric in widget["properties"].get("metrics", ()):
            if metric[0] == OWN:
                _, name, *dimensions = [part for part in metric if isinstance(part, str)]
                used.add((name, tuple(sorted(dimensions[::2]))))
            elif isinstance(metric[0], dict):
                searched = re.search(r"\{(.+?)\} MetricName=\"(\w+)\"", metric[0]["expression"])
                assert searched is not None
                namespace, *names = searched[1].split(",")
                assert namespace == OWN
                used.add((searched[2], tuple(sorted(names))))
    assert used <= emitted
    assert {name for name, _ in used} >= {"SyncsFailed", "LastGoodSyncAge", "BottlesDownloaded"}


def test_the_one_light_is_made_of_what_stops_syncs(everything: Mocked) -> None:
    rule = everything.value("monitoring.aws_cloudwatch_composite_alarm.this[0]", "alarm_rule")
    named = re.findall(r'ALARM\("mirror-wired-([a-z-]+)"\)', rule)
    assert set(named) == {"sync-failed", "sync-partial", "no-sync", "daemon-silent", "database-storage"}
    assert rule.count(" OR ") == len(named) - 1


def test_filters_count_the_lines_that_the_programs_write(
    everything: Mocked, written: list[dict[str, Any]]
) -> None:
    filters = everything.of_kind("aws_cloudwatch_log_metric_filter")
    counted: dict[str, set[str]] = {}
    for found in filters:
        (made,) = found.values["metric_transformation"]
        assert made["namespace"] == f"{OWN}/mirror-wired"
        assert made["value"] == "1"
        counted.setdefault(made["name"], set()).add(found.values["log_group_name"])
    groups = {key: f"/aws/ecs/mirror-wired/{key}" for key in ("webserver", "daemon", "code", "run")}
    groups["lambda"] = "/aws/lambda/mirror-wired-sync-worker"
    assert counted == {f"Errors-{key}": {group} for key, group in groups.items()} | {
        name: {groups["run"], groups["lambda"]} for name in ("SecurityEvents", "FailedBottleLines")
    }
    patterns = {f.values["metric_transformation"][0]["name"]: f.values["pattern"] for f in filters}
    failed = [line["bottle"] for line in written if line["message"] == "not stored"]
    assert len(failed) == 2
    assert [x["bottle"] for x in written if counts(patterns["FailedBottleLines"], x)] == failed
    security = [line for line in written if counts(patterns["SecurityEvents"], line)]
    assert {line["bottle"].partition("-")[0] for line in security} == {"wrong"}
    for key in groups:
        errors = [line for line in written if counts(patterns[f"Errors-{key}"], line)]
        assert [line["level"] for line in errors] == ["ERROR", "ERROR"]
        for level, wanted in (("CRITICAL", True), ("ERROR", True), ("WARNING", False), ("INFO", False)):
            assert counts(patterns[f"Errors-{key}"], _line_of_dagster(level)) is wanted


def _line_of_dagster(level: str) -> dict[str, Any]:
    record = logging.LogRecord("dagster.daemon", logging.getLevelName(level), "", 1, "told", (), None)
    line: dict[str, Any] = json.loads(get_structlog_json_formatter().format(record))
    return line


def test_queries_ask_for_lines_and_fields_that_are_written(
    everything: Mocked, written: list[dict[str, Any]]
) -> None:
    queries = {
        found.values["name"]: found.values["query_string"]
        for found in everything.of_kind("aws_cloudwatch_query_definition")
    }
    assert len(queries) == 6
    dashboard = json.loads(everything.value("monitoring.aws_cloudwatch_dashboard.this", "dashboard_body"))
    for widget in dashboard["widgets"]:
        if widget["type"] == "log":
            queries[widget["properties"]["title"]] = widget["properties"]["query"]
    groups = {"/aws/ecs/mirror-wired/run", "/aws/lambda/mirror-wired-sync-worker"}
    for found in everything.of_kind("aws_cloudwatch_query_definition"):
        assert set(found.values["log_group_names"]) == groups
    messages: set[str] = set()
    for name, query in queries.items():
        asked = re.findall(r'message = "([^"]+)"', query)
        messages |= set(asked)
        lines = [line for line in written if not asked or line["message"] in asked]
        known = {field for line in lines for field in line}
        assert _fields(query) <= known, name
        levels = set(re.findall(r'level = "(\w+)"', query))
        assert levels <= {line["level"] for line in written}, name
    assert messages == {"stored", "sync ends", "tried again"}


def _fields(query: str) -> set[str]:
    """The fields of log lines that a query names."""
    found: set[str] = set()
    for part in re.sub(r'"[^"]*"|\'[^\']*\'', "", query).split("|"):
        command, _, rest = part.strip().partition(" ")
        # What a query makes itself, and words of the language.
        rest = re.sub(r"\bas \w+|\b(?:ispresent|count|sum|bin)\b|\b\d\w*\b|\b(?:and|by|asc|desc)\b", "", rest)
        if command in ("fields", "filter", "stats"):
            found |= set(re.findall(r"(?<![@\w])[a-z_]+\b", rest))
    return found


@pytest.mark.parametrize("variant", ["everything", "nothing"])
def test_containers_start_what_the_image_knows(variant: str, request: pytest.FixtureRequest) -> None:
    mocked: Mocked = request.getfixturevalue(variant)
    containers = {}
    for definition in mocked.of_kind("aws_ecs_task_definition"):
        (container,) = json.loads(definition.values["container_definitions"])
        containers[container["name"]] = container
    assert_starts(containers)
    assert mocked.value("lambda.aws_lambda_function.this", "image_config", 0, "command") == ["lambda"]
    assert "lambda" in words()


def test_groups_open_the_ports_on_which_somebody_listens(everything: Mocked) -> None:
    listens = {
        "code": everything.outputs["environment"]["DAGSTER_CODE_SERVER_PORT"],
        "database": everything.outputs["environment"]["DAGSTER_POSTGRES_PORT"],
    }
    opened: dict[str, set[str]] = {}
    for rule in everything.of_kind("aws_vpc_security_group_ingress_rule"):
        found = re.search(r'between\["\w+-(\w+)"\]', rule.address)
        if found and found[1] in listens:
            opened.setdefault(found[1], set()).add(str(rule.values["from_port"]))
    assert opened == {group: {port} for group, port in listens.items()}
    assert str(everything.value("database.aws_db_instance.this[0]", "port")) == listens["database"]
