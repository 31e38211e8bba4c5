"""What boto3's calls of a bucket raise, and broken connections, as our errors."""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from brew_assets.adapters.aws.answers import AnswerMalformed, AnswerRefused
from brew_assets.adapters.aws.credentials import is_of_credentials
from brew_assets.adapters.http.aws_session import FailedAtProxy, RefusedByProxy
from brew_assets.adapters.http.tunnel import ProxyFailure
from brew_assets.adapters.s3.answers import Sent, answer_error
from brew_assets.adapters.s3.signing import credentials_error
from brew_assets.domain.addresses import shown_url, with_shown_urls
from brew_assets.errors import ObjectRefused, SettingsInvalid, StoreError, StoreRefused, StoreUnavailable

_LONGEST = 500
_VARIABLES = "check AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3, AWS_REGION, the AWS profile)"
_ALL = (
    "check S3_ACCELERATE, S3_ADDRESSING_STYLE, AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3), AWS_REGION and the "
    "AWS profile"
)
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN)
_NESTED = 8


def client_error(subject: str, exc: Exception, client: Any, *, url: str, sent: Sent) -> StoreError:
    """Our error for what a call of the client about `subject` raised; `url` is the store's."""
    if is_of_credentials(exc):
        return credentials_error(exc)
    _raise_setting(exc)
    if isinstance(exc, ClientError):
        return _answered(subject, exc, sent, own_region=client.meta.region_name)
    if isinstance(exc, AnswerRefused):
        return ObjectRefused(f"{subject}: {exc}")
    if isinstance(exc, AnswerMalformed):
        return StoreUnavailable(f"{subject}: {exc}")
    return connection_error(subject, exc, url=url, endpoint=client.meta.endpoint_url)


def setting_error(exc: Exception, *, url: str) -> StoreError:
    """Our error for a client that cannot be made: of credentials, or of a setting."""
    _raise_setting(exc)
    if is_of_credentials(exc) or not isinstance(exc, BotoCoreError | ValueError):
        return credentials_error(exc)
    return StoreRefused(f"{url}: boto3 takes no such setting: {with_shown_urls(str(exc))[:_LONGEST]}; {_ALL}")


def _raise_setting(exc: BaseException) -> None:
    """Returns unless it came from a setting of ours, a proxy's or a certificate's, found wrong when used.

    Raises:
        SettingsInvalid: it did.
    """
    for cause in _causes(exc):
        if isinstance(cause, SettingsInvalid):
            raise cause


def connection_error(
    subject: str, exc: BaseException, *, url: str, endpoint: str, way: str = ""
) -> StoreError:
    """Our error for a connection that was not made or broke: where to, `way` how, and what to look at."""
    place = shown_url(endpoint)
    if isinstance(exc, ProxyFailure | FailedAtProxy | RefusedByProxy):
        kind = StoreRefused if isinstance(exc, RefusedByProxy) else StoreUnavailable
        return kind(f"{url.rstrip('/')}: {place} cannot be reached: {exc}")
    if why := _why_not_reached(exc, place):
        ways = [
            way,
            *(str(cause.kwargs.get("way", "")) for cause in _causes(exc) if hasattr(cause, "kwargs")),
        ]
        facts = "; ".join((why, *filter(None, ways)))
        return StoreUnavailable(f"{url.rstrip('/')}: {place} cannot be reached: {facts}")
    return StoreUnavailable(f"{subject}: {place}: {_what_broke(exc)}")


def _what_broke(exc: BaseException) -> str:
    """What became of a connection that stood, or of an answer that came."""
    causes = list(_causes(exc))
    if any(isinstance(cause, TimeoutError | ReadTimeoutError) for cause in causes):
        return "no answer in time (DOWNLOAD_TIMEOUT_SECONDS)"
    if isinstance(exc, ConnectionClosedError):
        return f"the connection broke off ({with_shown_urls(repr(causes[-1]))[:_LONGEST]})"
    # The class behind the text: a line has one "Error:", the command line's own.
    return f"{with_shown_urls(str(exc))[:_LONGEST]} ({type(exc).__name__})".lstrip()


def _why_not_reached(exc: BaseException, place: str) -> str:
    """Why there was no connection at all, and the remedy; "" where there was one."""
    for cause in _causes(exc):
        if isinstance(cause, socket.gaierror):
            return f"the name {urlsplit(place).hostname} is not known; {_VARIABLES}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({cause.verify_message}); "
                "name the authority's file by SSL_CERT_FILE or AWS_CA_BUNDLE"
            )
        if isinstance(cause, ConnectionRefusedError):
            return f"connection refused; {_VARIABLES}"
        if isinstance(cause, ConnectTimeoutError):
            return f"no answer to a connection; {_VARIABLES}"
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return f"{(cause.strerror or 'no way to it').lower()}; {_VARIABLES}"
    return ""


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, which libraries keep in different places."""
    cause: object = exc
    for _ in range(_NESTED):
        if not isinstance(cause, BaseException):
            return
        yield cause
        inner = getattr(cause, "kwargs", None)
        named = inner.get("error") if isinstance(inner, dict) else None
        cause = named or getattr(cause, "reason", None) or cause.__cause__ or cause.__context__


def _answered(subject: str, exc: ClientError, sent: Sent, *, own_region: str) -> StoreError:
    error = exc.response.get("Error", {})
    about = exc.response.get("ResponseMetadata", {})
    code = str(error.get("Code") or "").strip()
    headers = about.get("HTTPHeaders", {})
    return answer_error(
        subject,
        int(about.get("HTTPStatusCode", 0)),
        # The library puts the status there where the answer has no code.
        "" if code.isdigit() else code[:100],
        with_shown_urls(str(error.get("Message") or ""))[:_LONGEST],
        region=str(headers.get("x-amz-bucket-region") or error.get("Region", "")),
        own_region=own_region,
        sent=sent,
    )
