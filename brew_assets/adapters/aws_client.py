"""Clients of the small AWS services, and their errors as ours."""

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)

from brew_assets.engine.announce import UNCERTAIN_STATUSES
from brew_assets.errors import ChannelBusy, ChannelError, ChannelFailed, ChannelRefused, ChannelUncertain

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5
# For calls that do no harm when they arrive twice.
REPEATED = 2
# The connection stood when these were met (SSLError also before): the call may have arrived.
_UNCERTAIN = (HTTPClientError, SSLError)
_THROTTLED = ("Throttling", "ThrottlingException", "Throttled", "RequestLimitExceeded", "TooManyRequests")
_TOO_MANY, _SERVER_ERROR = 429, 500


def aws_client(
    service: str,
    *,
    region: str,
    endpoint_url: str | None,
    read_timeout_s: float = READ_TIMEOUT_S,
    tries: int = 1,
) -> Any:
    """A client that gives up soon: whoever waits for it has other things to do. Nothing is contacted yet.

    A call is made `tries` times at most. botocore also repeats those that may have arrived.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": tries, "mode": "standard"},
    )
    return botocore.session.get_session().create_client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )


def sending_error(what: str, error: BotoCoreError | ClientError) -> ChannelError:
    """As channel_error, for a call that must not arrive twice: uncertain where it may have arrived."""
    response = error.response if isinstance(error, ClientError) else {}
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if isinstance(error, _UNCERTAIN) or status in UNCERTAIN_STATUSES:
        return ChannelUncertain(f"{what}: {error}")
    return channel_error(what, error)


def channel_error(what: str, error: BotoCoreError | ClientError) -> ChannelError:
    """The error of a call that was for `what`: busy, failed for now, or refused."""
    if isinstance(error, ParamValidationError | NoCredentialsError):
        return ChannelRefused(f"{what}: {error}")
    if not isinstance(error, ClientError):
        return ChannelFailed(f"{what}: {error}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == _TOO_MANY or code.removesuffix("Exception") in _THROTTLED or code in _THROTTLED:
        return ChannelBusy(f"{what}: {error}")
    if status >= _SERVER_ERROR:
        return ChannelFailed(f"{what}: {error}")
    return ChannelRefused(f"{what}: {error}")
