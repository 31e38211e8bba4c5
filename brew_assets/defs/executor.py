"""How runs are executed: all steps in one process, whose exit code says when it was interrupted."""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

import dagster as dg
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig

# Set by EcsRunLauncher.
TASK_TAG = "ecs/task_arn"


class InterruptibleExecutor(dg.Executor):
    """Another executor, after whose interruption an ECS task counts as lost.

    Every interrupt that Dagster raises in a run that is STARTED passes through here: in a step's own work, or
    at the start of a resource or of a step, where it raises a signal that came between steps.
    """

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> RetryMode:
        """As the other one's."""
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As the other one's."""
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """The other one's events.

        Raises:
            dagster.DagsterExecutionInterruptedError: the process was asked to end meanwhile.
        """
        try:
            yield from self._executor.execute(plan_context, execution_plan)
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
            if plan_context.dagster_run.tags.get(TASK_TAG):
                exit_as_interrupted()
            raise


# One process: the store is the only thing that steps share, and a second one would cost seconds and memory.
@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema.as_field())
def interruptible_executor(init_context: dg.InitExecutorContext) -> InterruptibleExecutor:
    """All steps in one process, in an ECS task too."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return InterruptibleExecutor(create(init_context))


def exit_as_interrupted() -> None:
    """This process will end with the exit code of a SIGTERM, once Dagster has written what it has to.

    A run worker that was interrupted leaves its run to be resumed (dagster/_core/execution/api.py,
    "not treating as failure because run will be resumed") and exits with 0. The monitoring takes a task that
    stopped with 0 for done, and the run would stay STARTED for ever.
    """
    atexit.register(_exit_now, 128 + signal.SIGTERM)


def _exit_now(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
