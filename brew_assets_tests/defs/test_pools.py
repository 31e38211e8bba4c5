"""The first use of a pool by several runs at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from brew_assets.defs.pools import MANIFEST_POOL, make_pool_known
from brew_assets_tests.postgres import postgres


def test_runs_that_use_the_pool_first_at_the_same_time_all_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres() as server:
        monkeypatch.setenv("DATABASE", server.url())
        (tmp_path / "dagster.yaml").write_text(
            "storage: {postgres: {postgres_url: {env: DATABASE}}}\n"
            "concurrency: {pools: {default_limit: 1}}\ntelemetry: {enabled: false}\n"
        )
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            assert MANIFEST_POOL not in instance.event_log_storage.get_concurrency_keys()
            together = threading.Barrier(8, timeout=30)

            def first_use(_: int) -> None:
                together.wait()
                make_pool_known(instance)

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(first_use, range(8)))
            assert MANIFEST_POOL in instance.event_log_storage.get_concurrency_keys()
            (limit,) = [x for x in instance.event_log_storage.get_pool_limits() if x.name == MANIFEST_POOL]
            assert limit.limit == 1
