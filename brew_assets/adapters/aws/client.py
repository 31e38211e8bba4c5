"""The one place where clients of AWS's services are made, S3's too; the small services' errors as ours.

boto3 resolves credentials, region, endpoint and addressing: from the environment and the AWS profile.
"""

import contextlib
import functools
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import boto3.session
import botocore.loaders
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError, SSLError
from botocore.utils import parse_timestamp

from brew_assets.adapters.aws.answers import bound_answers
from brew_assets.adapters.aws.credentials import credentials_failure, is_of_credentials
from brew_assets.adapters.http.aws_session import ReachSession
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.addresses import with_shown_urls
from brew_assets.engine.notifier import UNCERTAIN_STATUSES
from brew_assets.errors import ChannelBusy, ChannelError, ChannelFailed, ChannelRefused, ChannelUncertain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5
# For calls that do no harm when they arrive twice.
REPEATED = 2
DEFAULT_REGION = "us-east-1"
# botocore would describe the machine, and put that together anew for each call.
USER_AGENT = "brew-mirror"
# The connection stood when these were met (SSLError also before): the call may have arrived.
_UNCERTAIN = (HTTPClientError, SSLError)
_THROTTLED = ("Throttling", "ThrottlingException", "Throttled", "RequestLimitExceeded", "TooManyRequests")
_TOO_MANY, _SERVER_ERROR = 429, 500
_LONGEST = 500
# What names the endpoint of one service goes before what names that of all. S3's is a setting of ours.
_OWN_ENDPOINTS = {
    service: f"AWS_ENDPOINT_URL_{service.upper() if service != 'secretsmanager' else 'SECRETS_MANAGER'}"
    for service in ("cloudwatch", "lambda", "secretsmanager", "sns", "sqs")
}


def aws_session(reach: Reach = PLAIN) -> boto3.session.Session:
    """A session as the environment and the AWS profile have it. Nothing is read or contacted yet."""
    core = ReachSession(reach)
    for service, name in _OWN_ENDPOINTS.items():
        core.session_var_map[f"{service}_endpoint"] = (None, name, None, None)
    core.register_component("data_loader", _models())
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time_of)
    return boto3.session.Session(botocore_session=core)


def resolved_region(session: boto3.session.Session, region: str) -> str:
    """The region that is used: the given one, else boto3's (AWS_DEFAULT_REGION, the profile), else us-east-1.

    Raises:
        Exception: whatever botocore raises for a profile that is not there or cannot be read.
    """
    if found := region or session.region_name:
        return found
    # Behind an empty AWS_DEFAULT_REGION, which the library takes for a value.
    core: Any = session._session
    return core.get_scoped_config().get("region") or DEFAULT_REGION


def session_reach(session: boto3.session.Session, reach: Reach) -> Reach:
    """The same, where the AWS profile names a bundle of certificates with what that has."""
    try:
        core: Any = session._session
        own: Reach = core.own_reach()
    except (
        BotoCoreError
    ):  # a profile that is not there or cannot be read: said when credentials are asked for
        return reach
    return own


def aws_client(
    service: str,
    *,
    region: str,
    endpoint_url: str | None,
    reach: Reach = PLAIN,
    read_timeout_s: float = READ_TIMEOUT_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    tries: int = 1,
    connections: int = 10,
    tcp_keepalive: bool = False,
) -> Any:
    """A client that gives up soon: whoever waits for it has other things to do. Nothing is contacted yet.

    A call is made `tries` times at most. botocore also repeats those that may have arrived. An empty region
    is boto3's own.

    Raises:
        Exception: whatever providers of credentials raise, which are loaded here, or botocore for a setting
            that is none: see `making_error`.
    """
    session = aws_session(reach)
    config = Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": tries, "mode": "standard"},
        max_pool_connections=connections,
        tcp_keepalive=tcp_keepalive,
        user_agent=USER_AGENT,
    )
    client: Any = _made(session, service, region=region, endpoint_url=endpoint_url, config=config)
    bound_answers(client, context=session_reach(session, reach).aws_context)
    return client


def s3_client(
    session: boto3.session.Session,
    *,
    region: str,
    endpoint_url: str | None,
    addressing_style: str,
    accelerate: bool,
    connections: int,
    connect_timeout_s: float,
    timeout_s: float,
) -> "S3Client":
    """The client of a bucket. What is not given is as the AWS profile has it.

    Raises:
        Exception: whatever providers of credentials raise, or botocore for a setting that is none.
    """
    given: Any = {}
    if accelerate:
        given["use_accelerate_endpoint"] = True
    if addressing_style != "auto":
        given["addressing_style"] = addressing_style
    config = Config(
        max_pool_connections=connections,
        connect_timeout=min(connect_timeout_s, timeout_s),
        read_timeout=timeout_s,
        # Tried again by us: the library knows of no 409 that passes.
        retries={"total_max_attempts": 1},
        user_agent=USER_AGENT,
        # The thin connection signs in no other way.
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        # Our own hash is stricter; the library would raise where the bytes have to be judged.
        response_checksum_validation="when_required",
        s3=given or None,
    )
    client: S3Client = _made(session, "s3", region=region, endpoint_url=endpoint_url, config=config)
    return client


def _made(
    session: boto3.session.Session, service: str, *, region: str, endpoint_url: str | None, config: Config
) -> Any:
    core = session._session
    region = resolved_region(session, region)
    # For STS, which a profile with a role asks while the client is made.
    core.set_config_variable("region", region)
    # What our settings read from the environment has the same place among boto3's own sources.
    if core.get_config_variable("ignore_configured_endpoint_urls"):
        endpoint_url = None
    elif service in _OWN_ENDPOINTS and (own := core.get_config_variable(f"{service}_endpoint")):
        endpoint_url = own
    make: Any = session.client
    return make(service, region_name=region, endpoint_url=endpoint_url, config=config)


def _time_of(value: Any) -> Any:
    """As botocore's, which asks dateutil for the date of each answer: a tenth of a call's processor time."""
    if isinstance(value, str) and value.endswith("GMT"):
        with contextlib.suppress(ValueError):
            return parsedate_to_datetime(value)
    return parse_timestamp(value)


@functools.cache
def _models() -> botocore.loaders.Loader:
    """The service models, which take long to read: once per process and its forks."""
    return botocore.loaders.Loader()


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
