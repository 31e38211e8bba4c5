"""What the alarms must look at, and how an alarm is read from Terraform's state and from the account."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from brew_assets.domain.metrics import Metric, gauges, sync_metrics

OWN = "HomebrewSync"


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One metric under an alarm: `dimensions` are pairs in the order of their names."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm looks at, when it is raised and where it is told."""

    watched: frozenset[Watched]
    raised: str
    missing: str
    actions: tuple[str, ...]
    expression: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The names that alarms are about."""

    name: str
    environment: str
    alerts: str
    security: str
    function: str
    database: str

    def alarms(self) -> dict[str, Alarm]:
        """Every alarm that a deployment can have, but the one that is made of others."""
        own = {"Environment": self.environment}
        queues = {key: {"QueueName": f"{self.name}-{key}"} for key in ("triggers", "triggers-dead-letters")}
        function = {"FunctionName": self.function}
        runs = {"ClusterName": self.name, "TaskDefinitionFamily": f"{self.name}-run"}
        found = {
            "sync-failed": self._alarm(_watched(OWN, "SyncsFailed", own, "Sum"), ">="),
            "sync-partial": self._alarm(_watched(OWN, "SyncsPartial", own, "Sum"), ">="),
            "no-sync": self._alarm(_watched(OWN, "LastGoodSyncAge", own, "Maximum"), missing="breaching"),
            "lambda-errors": self._alarm(
                _watched("AWS/Lambda", "Errors", function, "Sum"),
                _watched("AWS/Lambda", "Invocations", function, "Sum"),
                expression="IF(invocations > 0, 100 * errors / invocations, 0)",
            ),
            "run-memory": self._alarm(
                _watched("ECS/ContainerInsights", "MemoryUtilized", runs, "Sum"),
                _watched("ECS/ContainerInsights", "MemoryReserved", runs, "Sum"),
                expression="100 * used / reserved",
            ),
            "daemon-silent": self._alarm(
                _watched("AWS/ECS", "CPUUtilization", self._service("daemon"), "SampleCount"),
                "<",
                missing="breaching",
            ),
            "database-storage": self._alarm(
                _watched("AWS/RDS", "FreeStorageSpace", {"DBInstanceIdentifier": self.database}, "Minimum"),
                "<",
                missing="missing",
            ),
            "dead-letters": self._alarm(
                _watched(
                    "AWS/SQS",
                    "ApproximateNumberOfMessagesVisible",
                    queues["triggers-dead-letters"],
                    "Maximum",
                )
            ),
            "events-waiting": self._alarm(
                _watched("AWS/SQS", "ApproximateAgeOfOldestMessage", queues["triggers"], "Maximum")
            ),
            "security": self._alarm(
                _watched(f"{OWN}/{self.name}", "SecurityEvents", {}, "Sum"), actions=(self.security,)
            ),
            "charges": self._alarm(
                _watched("AWS/Billing", "EstimatedCharges", {"Currency": "USD"}, "Maximum")
            ),
        }
        for service in ("webserver", "daemon", "code"):
            for short, metric in (("cpu", "CPUUtilization"), ("memory", "MemoryUtilization")):
                watched = _watched("AWS/ECS", metric, self._service(service), "Average")
                found[f"{service}-{short}"] = self._alarm(watched)
        return {f"{self.name}-{key}": alarm for key, alarm in found.items()}

    def _service(self, name: str) -> dict[str, str]:
        return {"ClusterName": self.name, "ServiceName": f"{self.name}-{name}"}

    def _alarm(
        self,
        *parts: Watched | str,
        missing: str = "notBreaching",
        actions: tuple[str, ...] = (),
        expression: str = "",
    ) -> Alarm:
        return Alarm(
            watched=frozenset(part for part in parts if isinstance(part, Watched)),
            raised=next((part for part in parts if isinstance(part, str)), ">"),
            missing=missing,
            actions=actions or (self.alerts,),
            expression=expression,
        )


_RAISED = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
    "LessThanThreshold": "<",
}


def from_state(values: dict[str, Any]) -> Alarm:
    """The alarm as Terraform's state has it."""
    return _read(
        [
            (query["expression"], metric)
            for query in values["metric_query"]
            for metric in query["metric"] or [{}]
        ]
        or [("", values | {"stat": values["statistic"]})],
        ("namespace", "metric_name", "dimensions", "stat"),
        (values["comparison_operator"], values["treat_missing_data"], values["alarm_actions"]),
    )


def from_account(alarm: dict[str, Any]) -> Alarm:
    """The alarm as CloudWatch describes it."""
    queries = []
    for query in alarm.get("Metrics", ()):
        told = query.get("MetricStat", {})
        metric = told.get("Metric", {}) | {"Stat": told.get("Stat")} if told else {}
        queries.append((query.get("Expression"), metric))
    return _read(
        queries or [("", alarm | {"Stat": alarm["Statistic"]})],
        ("Namespace", "MetricName", "Dimensions", "Stat"),
        (alarm["ComparisonOperator"], alarm["TreatMissingData"], alarm["AlarmActions"]),
    )


def _read(
    queries: list[tuple[str | None, dict[str, Any]]], names: tuple[str, ...], rest: tuple[str, str, list[str]]
) -> Alarm:
    watched = set()
    for _, metric in queries:
        if metric:
            namespace, name, dimensions, statistic = (metric.get(key) for key in names)
            if isinstance(dimensions, list):
                dimensions = {pair["Name"]: pair["Value"] for pair in dimensions}
            watched.add(_watched(str(namespace), str(name), dimensions or {}, str(statistic)))
    return Alarm(
        watched=frozenset(watched),
        raised=_RAISED[rest[0]],
        missing=rest[1],
        actions=tuple(rest[2]),
        expression="".join(expression for expression, _ in queries if expression),
    )


def _watched(namespace: str, name: str, dimensions: dict[str, str], statistic: str) -> Watched:
    return Watched(
        namespace=namespace, name=name, dimensions=tuple(sorted(dimensions.items())), statistic=statistic
    )


def published(environment: str) -> list[Metric]:
    """Every metric that the project publishes."""
    return sync_metrics(
        environment=environment,
        sync_date="2026-11-22",
        route="ecs",
        downloaded=1,
        bytes_downloaded=1,
        duration_s=1.0,
        failed=0,
        outcome="success",
    ) + gauges(environment=environment, pending=0, last_good_age_s=1.0)


def counts(pattern: str, line: dict[str, Any]) -> bool:
    """Whether a metric filter counts the line; of CloudWatch's patterns it knows those that are used.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    inner = re.fullmatch(r"\{ (.+) \}", pattern)
    assert inner, pattern
    return any(all(_holds(term, line) for term in _terms(any_of, "&&")) for any_of in _terms(inner[1], "||"))


def _terms(text: str, operator: str) -> Iterable[str]:
    return (term.strip() for term in text.split(operator))


def _holds(term: str, line: dict[str, Any]) -> bool:
    if found := re.fullmatch(r"\$\.(\w+) IS TRUE", term):
        return line.get(found[1]) is True
    found = re.fullmatch(r'\$\.(\w+) = "(.*)"', term)
    assert found, term
    value = line.get(found[1])
    return isinstance(value, str) and (found[2] == "*" or value == found[2])
