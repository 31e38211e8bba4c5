"""Clients of the small AWS services, and their errors as ours."""

from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError, SSLError

from brew_assets.adapters.aws_answers import bound_answers
from brew_assets.adapters.aws_credentials import credentials_failure, is_of_credentials
from brew_assets.adapters.http.aws_session import ReachSession
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.addresses import with_shown_urls
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
_LONGEST = 500


def aws_client(
    service: str,
    *,
    region: str,
    endpoint_url: str | None,
    reach: Reach = PLAIN,
    read_timeout_s: float = READ_TIMEOUT_S,
    tries: int = 1,
) -> Any:
    """A client that gives up soon: whoever waits for it has other things to do. Nothing is contacted yet.

    A call is made `tries` times at most. botocore also repeats those that may have arrived. Credentials are
    loaded, and whatever their providers raise comes out: see `making_error`.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": tries, "mode": "standard"},
    )
    client = ReachSession(reach).create_client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )
    bound_answers(client)
    return client


def making_error(what: str, error: Exception) -> ChannelError:
    """The error of a client that could not be made for `what`: nothing was sent.

    Besides credentials that may come later, and a machine that has no more memory or files, it is a setting:
    an address that is none, a region, a profile.
    """
    if is_of_credentials(error):
        return _credentials_error(what, error)
    return (ChannelFailed if is_shortage(error) else ChannelRefused)(_text(what, error))


def is_shortage(error: Exception) -> bool:
    """Whether the machine lacked something, memory or open files, when a client was made."""
    return isinstance(error, OSError | MemoryError) and not isinstance(error, BotoCoreError)


def sending_error(what: str, error: Exception) -> ChannelError:
    """As channel_error, for a call that must not arrive twice: uncertain where it may have arrived.

    Not where credentials could not be had: a request goes out signed.
    """
    if is_of_credentials(error):
        return _credentials_error(what, error)
    status = _status(error) if isinstance(error, ClientError) else 0
    foreign = not isinstance(error, BotoCoreError | ClientError)
    if foreign or isinstance(error, _UNCERTAIN) or status in UNCERTAIN_STATUSES:
        return ChannelUncertain(_text(what, error))
    return channel_error(what, error)


def channel_error(what: str, error: Exception) -> ChannelError:
    """The error of a call that was for `what`: busy, failed for now, or refused.

    Of an error that is not botocore's own the text is not shown: it may have an answer in it.
    """
    if is_of_credentials(error):
        return _credentials_error(what, error)
    if isinstance(error, ParamValidationError):
        return ChannelRefused(_text(what, error))
    if isinstance(error, BotoCoreError):
        return ChannelFailed(_text(what, error))
    if not isinstance(error, ClientError):
        return ChannelFailed(f"{what}: a {type(error).__name__}")
    code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
    if status == _TOO_MANY or code.removesuffix("Exception") in _THROTTLED or code in _THROTTLED:
        return ChannelBusy(_text(what, error))
    return (ChannelFailed if status >= _SERVER_ERROR else ChannelRefused)(_text(what, error))


def _credentials_error(what: str, error: Exception) -> ChannelError:
    failure = credentials_failure(error)
    return (ChannelFailed if failure.passing else ChannelRefused)(f"{what}: {failure.message}")


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _text(what: str, error: Exception) -> str:
    own = isinstance(error, BotoCoreError | ClientError)
    return f"{what}: {'' if own else f'{type(error).__name__}: '}{with_shown_urls(str(error))[:_LONGEST]}"
