"""Dagster's daemon that looks at backfills every two seconds; Dagster's own does so every thirty."""

import runpy

from dagster._daemon import controller

# No setting has it (dagster/_daemon/backfill.py, execute_backfill_iteration_loop).
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2

if __name__ == "__main__":
    runpy.run_module("dagster._daemon", run_name="__main__", alter_sys=True)
