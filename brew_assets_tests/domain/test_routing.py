"""Routes: where a plan goes and why, and how large its tasks are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brew_assets.configured import routing_rules, task_sizes
from brew_assets.domain.routing import (
    GB,
    ROUTES,
    Load,
    RoutingRules,
    choose_route,
    decode_task_sizes,
    goes_to_spot,
    load_of,
    task_size,
)
from brew_assets.errors import SettingsInvalid
from brew_assets.settings import Settings, read_settings
from brew_assets_tests.worlds import bottle, planned

BOTH = RoutingRules(no_lambda="", cluster=True)


def load(gb: float, *, known: int = 10, unknown: int = 0) -> Load:
    return Load(downloads=known + unknown, known_bytes=int(gb * GB), unknown=unknown)


@pytest.mark.parametrize(
    ("gb", "rules", "route"),
    [
        (19.999, BOTH, "lambda"),
        (20.0, BOTH, "ecs"),
        (300.0, BOTH, "ecs"),
        (0.0, BOTH, "lambda"),
        (4.9, RoutingRules(threshold_gb=5, no_lambda="", cluster=True), "lambda"),
        (5.0, RoutingRules(threshold_gb=5, no_lambda="", cluster=True), "ecs"),
        (1.0, RoutingRules(no_lambda="no function", cluster=True), "ecs"),
        (1.0, RoutingRules(no_lambda="no function", cluster=False), "local"),
        (1.0, RoutingRules(no_lambda="", cluster=False), "lambda"),
        (30.0, RoutingRules(no_lambda="", cluster=False), "local"),
        (0.0, RoutingRules(threshold_gb=0, no_lambda="", cluster=True), "ecs"),
    ],
)
def test_a_route_follows_the_total_and_what_is_configured(gb: float, rules: RoutingRules, route: str) -> None:
    assert choose_route(load(gb), rules).route == route


def test_the_reason_has_the_facts() -> None:
    assert choose_route(load(2.3), BOTH).reason == (
        "2.3 GB to download in 10 downloads, under the threshold of 20 GB"
    )
    assert choose_route(load(25), BOTH).reason == (
        "25 GB to download in 10 downloads, not under the threshold of 20 GB for Lambda"
    )
    assert choose_route(load(1), RoutingRules(no_lambda="the mirror is a directory")).reason.endswith(
        "; the mirror is a directory"
    )


def test_unknown_sizes_count_as_the_mean_of_the_known_ones_and_are_named() -> None:
    half_unknown = load(15, known=10, unknown=10)
    assert half_unknown.bytes == 30 * GB
    decision = choose_route(half_unknown, BOTH)
    assert decision.route == "ecs"
    assert "10 of unknown size, each counted as 1.5e+03 MB, the mean of the others" in decision.reason


def test_nothing_known_never_goes_through_lambda() -> None:
    decision = choose_route(load(0, known=0, unknown=3), BOTH)
    assert decision.route == "ecs"
    assert "none of known size" in decision.reason


@given(st.integers(0, 100 * GB), st.integers(0, 50), st.integers(0, 50), st.floats(0, 100), st.booleans())
def test_every_load_has_a_route_and_a_reason(
    size: int, known: int, unknown: int, threshold: float, cluster: bool
) -> None:
    amount = Load(downloads=known + unknown, known_bytes=size if known else 0, unknown=unknown)
    decision = choose_route(amount, RoutingRules(threshold_gb=threshold, no_lambda="", cluster=cluster))
    assert decision.route in ROUTES
    assert decision.reason
    if decision.route == "lambda":
        assert amount.bytes < threshold * GB
    else:
        assert decision.route == ("ecs" if cluster else "local")


def test_a_load_counts_digests_and_what_must_be_downloaded() -> None:
    same = [bottle(tag=tag, content="same") for tag in ("arm64_tahoe", "arm64_sonoma")]
    objects = [
        planned(same[0], size=500),
        planned(same[1], size=500),
        planned(bottle("jq"), size=None),
        planned(bottle("curl"), size=7000, source="2026-08-15/curl"),
    ]
    assert load_of(objects) == Load(downloads=2, known_bytes=500, unknown=1)


def test_rules_come_from_the_settings() -> None:
    settings = read_settings(
        {"LAMBDA_SYNC_FUNCTION": "copy", "S3_BUCKET_NAME": "bottles-prod", "SIZE_THRESHOLD_GB": "5"}
    )
    assert settings.mirror_url == "s3://bottles-prod"
    assert routing_rules(settings) == RoutingRules(threshold_gb=5.0, no_lambda="", cluster=False)
    in_directory = msgspec.structs.replace(settings, mirror_url="mirror/", ecs_cluster_name="sync")
    assert "directory" in routing_rules(in_directory).no_lambda
    assert routing_rules(in_directory).cluster
    assert "LAMBDA_SYNC_FUNCTION" in routing_rules(Settings()).no_lambda


def test_task_sizes_follow_the_pending_bytes() -> None:
    sizes = task_sizes(Settings())
    found = [
        (s.cpu, s.memory_mib, s.storage_gib) for s in (task_size(sizes, gb * GB) for gb in (1, 25, 26, 999))
    ]
    assert found == [(1024, 2048, 21), (1024, 2048, 21), (2048, 4096, 21), (4096, 8192, 21)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected up-to-GB"),
        ("10:512:1024:21", "a last row for '*'"),
        ("*:512:1024:21,20:512:1024:21", "nothing after the row"),
        ("20:512:1024:21,10:512:1024:21,*:512:1024:21", "more GB than"),
        ("*:500:1024:21", "CPU units of"),
        ("*:256:1536:21", "with 256 CPU units Fargate has 512, 1024, 2048 MiB"),
        ("*:512:512:21", "with 512 CPU units Fargate has 1024 to 4096 MiB in steps of 1024"),
        ("*:512:1500:21", "steps of 1024"),
        ("*:512:1024:20", "21 to 200 GiB"),
        ("nan:512:1024:21,*:512:1024:21", "a positive number"),
        ("*:512:1024", "expected up-to-GB"),
    ],
)
def test_a_table_that_fargate_does_not_have_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Fargate") as caught:
        decode_task_sizes(text)
    assert words in str(caught.value)
    if text:
        with pytest.raises(SettingsInvalid, match="ECS_TASK_SIZES"):
            task_sizes(msgspec.structs.replace(Settings(), ecs_task_sizes=text))


@given(st.text(max_size=40), st.integers(0, 100), st.integers(1, 300))
def test_spot_has_its_share_of_the_runs_of_any_plan(sync_id: str, percent: int, runs: int) -> None:
    spot = sum(goes_to_spot(sync_id, number, percent) for number in range(runs))
    assert runs * percent // 100 <= spot <= -(-runs * percent // 100)


@pytest.mark.parametrize("runs", [1, 3, 8])
@pytest.mark.parametrize("percent", [0, 1, 10, 33, 50, 67, 99, 100])
def test_spot_has_its_share_of_many_small_plans(runs: int, percent: int) -> None:
    plans = 4000
    spot = sum(
        goes_to_spot(f"20261122T030000Z-{plan:08x}", number, percent)
        for plan in range(plans)
        for number in range(runs)
    )
    assert abs(100 * spot / (plans * runs) - percent) < 3
    assert spot or not percent
