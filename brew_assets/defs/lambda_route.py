"""What copies the bottles of a run: this process, or Lambdas.

A run of the Lambda route invokes batches of its plan through Dagster Pipes, several at a time.

What only an invocation needs is imported there: boto3 and dagster_aws take longer to import than all else
of ours that a code server loads.
"""

from typing import Any

import dagster as dg

from brew_assets.compose.store import reach_of
from brew_assets.defs.tags import ROUTE_TAG
from brew_assets.domain.addresses import with_shown_urls
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.plan import Plan
from brew_assets.domain.routing import ROUTES
from brew_assets.engine.lambda_copier import DispatchOptions, LambdaCopier
from brew_assets.engine.planner import route_of
from brew_assets.engine.sync import Mirror
from brew_assets.engine.transfer.local_copier import Copier, LocalCopier
from brew_assets.errors import (
    InvocationFailed,
    InvocationRefused,
    InvocationThrottled,
    PlanInvalid,
    SettingsInvalid,
)
from brew_assets.settings import Settings

# A Lambda lives 900 s at most; the answer may take a little longer than that.
READ_TIMEOUT_S = 960
CONNECT_TIMEOUT_S = 5
_THROTTLED = 429
_SERVER_ERROR = 500
# The function is being created or changed.
_PASSING = ("ResourceConflictException", "ResourceNotReadyException")


def copier_of_run(
    context: dg.AssetExecutionContext, engine: Mirror, plan: Plan, settings: Settings
) -> Copier:
    """What copies the run's bottles: the route of its tag, else its plan's, else what its size asks for.

    Raises:
        PlanInvalid: the tag names no route.
        SettingsInvalid: it names Lambda, and none can be invoked.
    """
    tagged = context.run.tags.get(ROUTE_TAG, "")
    decision = route_of(engine, plan)
    route, reason = tagged or plan.route or decision.route, plan.route_reason or decision.reason
    if tagged and tagged != plan.route:
        reason = f"the run's tag {ROUTE_TAG}"
    if route not in ROUTES:
        raise PlanInvalid(f"{ROUTE_TAG}: expected one of {', '.join(ROUTES)}, found {route[:40]!r}")
    context.log.info(f"{context.partition_key}: copies for sync {plan.sync_id}; route {route}: {reason}")
    if route == "lambda":
        return lambda_copier(context, engine, settings)
    return LocalCopier(engine.ports, engine.options, route=route)


def lambda_client(settings: Settings) -> Any:
    """The one client of a run's invocations.

    It tries once: a try that botocore repeats by itself would be a second execution of the same batch, and
    a read timeout under the function's own would start one while the first goes on. Keep-alive, because a
    NAT forgets a connection that is silent for 350 s.

    Raises:
        InvocationFailed: there are no credentials just now.
        InvocationRefused: there are none, or a setting is none that a client can be made of.
    """
    from brew_assets.adapters.aws.client import aws_client, is_shortage
    from brew_assets.adapters.aws.credentials import is_of_credentials

    try:
        return aws_client(
            "lambda",
            region=settings.aws_region,
            endpoint_url=settings.aws_endpoint_url or None,
            reach=reach_of(settings),
            read_timeout_s=READ_TIMEOUT_S,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            connections=settings.lambda_concurrency,
            tcp_keepalive=True,
        )
    except Exception as error:  # loading credentials raises anything, an address that is none a ValueError
        what = f"the client of {settings.lambda_sync_function or 'Lambda'}"
        if is_of_credentials(error):
            raise _credentials_error(what, error) from error
        kind = InvocationFailed if is_shortage(error) else InvocationRefused
        raise kind(f"{what} cannot be made: {type(error).__name__}: {with_shown_urls(str(error))}") from error


class PipesInvoker:
    """Invokes the function of LAMBDA_SYNC_FUNCTION through Pipes; what it logs comes into the run's log."""

    def __init__(self, context: dg.AssetExecutionContext, client: Any, function_name: str) -> None:
        self._context = context
        self._client = client
        self._function_name = function_name

    def invoke(self, batch_key: str) -> None:
        """Returns when a Lambda has ended well with the batch at that key.

        Raises:
            InvocationThrottled: throttled; nothing was begun.
            InvocationFailed: the Lambda timed out, died or was not reached.
            InvocationRefused: it cannot be invoked, now or later.
        """
        # Its import takes half a second of processor time; code servers and most runs invoke nothing.
        from dagster_aws.pipes import PipesLambdaClient, PipesLambdaLogsMessageReader

        # A reader serves one invocation at a time. The log's tail costs a second and leaves nothing in the
        # bucket; it may lack messages, which are for people only.
        pipes = PipesLambdaClient(client=self._client, message_reader=PipesLambdaLogsMessageReader())
        try:
            pipes.run(
                function_name=self._function_name, event={"batch_key": batch_key}, context=self._context
            )
        except Exception as error:  # Pipes has no class of its own for a function's error
            raise _invocation_error(batch_key, error) from error

    def log(self, message: str) -> None:
        """Writes what became of a batch into the log of the run."""
        self._context.log.warning(printable(message))


def _invocation_error(
    key: str, error: Exception
) -> InvocationThrottled | InvocationFailed | InvocationRefused:
    from botocore.exceptions import BotoCoreError, ClientError

    from brew_assets.adapters.aws.credentials import is_of_credentials

    if is_of_credentials(error):
        return _credentials_error(key, error)
    text = with_shown_urls(str(error))
    if isinstance(error, BotoCoreError):
        return InvocationFailed(f"{key}: the Lambda was not reached or did not answer: {text}")
    if not isinstance(error, ClientError):
        return InvocationFailed(f"{key}: {text[:1000] or type(error).__name__}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == _THROTTLED or code in _PASSING:
        return InvocationThrottled(f"{key}: {text}")
    if status >= _SERVER_ERROR:
        return InvocationFailed(f"{key}: {text}")
    return InvocationRefused(f"{key}: the Lambda cannot be invoked: {text}")


def _credentials_error(what: str, error: Exception) -> InvocationFailed | InvocationRefused:
    from brew_assets.adapters.aws.credentials import credentials_failure

    failure = credentials_failure(error)
    return (InvocationFailed if failure.passing else InvocationRefused)(f"{what}: {failure.message}")


def lambda_copier(context: dg.AssetExecutionContext, engine: Mirror, settings: Settings) -> LambdaCopier:
    """The copier of the Lambda route; what Lambdas cannot finish this process does.

    Raises:
        SettingsInvalid: no function is configured, or it could not reach the mirror.
        InvocationFailed, InvocationRefused: there is no client to invoke it with.
    """
    if reason := engine.options.routing.no_lambda:
        raise SettingsInvalid(name="LAMBDA_SYNC_FUNCTION", expected="a function for this run", found=reason)
    return LambdaCopier(
        PipesInvoker(context, lambda_client(settings), settings.lambda_sync_function),
        engine.ports,
        fallback=LocalCopier(engine.ports, engine.options),
        options=DispatchOptions(concurrency=settings.lambda_concurrency),
    )
