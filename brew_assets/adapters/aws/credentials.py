"""Why AWS credentials could not be had: the one table of what botocore's providers raise.

Much of it is outside botocore's own base class. By provider (botocore's credentials.py, tokens.py, utils.py):

any                         ProfileNotFound, ConfigParseError, InvalidConfigError, PartialCredentialsError;
                            NoCredentialsError, when a request is signed
credential_process          CredentialRetrievalError: exit code, version, a key that is missing
                            JSONDecodeError, UnicodeDecodeError, AttributeError, ParserError: what it printed
                            RuntimeError: what it printed has run out; TypeError: keys that are no text
                            OSError: no such program
assume role, web identity   ClientError of STS; ResponseParserError, KeyError, ValueError: its answer
                            ParamValidationError: a role or token that is none; OSError: no token file
                            EOFError, RefreshWithMFAUnsupportedError: MFA without a person
SSO, login                  SSOError, LoginError, TokenRetrievalError, ClientError, MissingDependencyException
container, instance         CredentialRetrievalError, MetadataRetrievalError, InvalidIMDSEndpointError
                            KeyError, ValueError: the answer, or an address that is none
STS, SSO, metadata          connection errors and time-outs

Status and code decide, never text: texts are for people, and change.
"""

import errno
import re
from types import TracebackType

import msgspec
from botocore import exceptions as raised
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from brew_assets.adapters.http.response import may_pass
from brew_assets.domain.addresses import with_shown_urls

# Operations that are called for nothing but credentials: of STS, SSO, SSO's tokens and `aws login`.
OPERATIONS = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "CreateOAuth2Token",
        "CreateToken",
        "GetFederationToken",
        "GetRoleCredentials",
        "GetSessionToken",
    }
)
# Of other codes the status decides: 408, 425, 429 and 5xx pass. STS says InvalidIdentityToken also when it
# could not fetch the keys of the identity provider.
PASSING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "IDPCommunicationError",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InvalidIdentityToken",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "SlowDownException",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsError",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
# These are refusals also in an answer whose status got lost.
REFUSED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "ForbiddenException",
        "IDPRejectedClaim",
        "IncompleteSignature",
        "InvalidClientException",
        "InvalidClientTokenId",
        "InvalidGrantException",
        "InvalidIdentityTokenException",
        "InvalidRequestException",
        "InvalidScopeException",
        "MalformedPolicyDocument",
        "MissingAuthenticationToken",
        "OptInRequired",
        "PackedPolicyTooLarge",
        "RegionDisabledException",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "UnauthorizedClientException",
        "UnauthorizedException",
        "UnrecognizedClientException",
        "UnsupportedGrantTypeException",
        "ValidationError",
        "ValidationException",
    }
)
# Nothing that waiting mends: the configuration, or a login that a person has to make anew.
REFUSED: tuple[type[BaseException], ...] = (
    raised.ConfigNotFound,
    raised.ConfigParseError,
    raised.InvalidConfigError,
    raised.InvalidIMDSEndpointError,
    raised.InvalidIMDSEndpointModeError,
    raised.LoginError,
    raised.MissingDependencyException,
    raised.NoAuthTokenError,
    raised.NoCredentialsError,
    raised.NoRegionError,
    raised.ParamValidationError,
    raised.PartialCredentialsError,
    raised.ProfileNotFound,
    raised.RefreshWithMFAUnsupportedError,
    raised.SSOError,
    raised.TokenRetrievalError,
    raised.UnknownCredentialError,
    raised.ValidationError,
    EOFError,
)
# Of an OSError: a file or program that is not there, or is none.
_REFUSED_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOEXEC,
        errno.ENOTDIR,
        errno.EPERM,
    }
)
# A profile's credential_source that is there or is not; an instance's metadata may only be slow.
_REFUSED_SOURCES = frozenset({"EcsContainer", "Environment"})
# What nothing but credentials raises, wherever it was met.
_OF_CREDENTIALS: tuple[type[BaseException], ...] = (
    raised.ConfigNotFound,
    raised.ConfigParseError,
    raised.CredentialRetrievalError,
    raised.InvalidIMDSEndpointError,
    raised.LoginError,
    raised.MetadataRetrievalError,
    raised.NoAuthTokenError,
    raised.NoCredentialsError,
    raised.PartialCredentialsError,
    raised.ProfileNotFound,
    raised.RefreshWithMFAUnsupportedError,
    raised.SSOError,
    raised.TokenRetrievalError,
    EOFError,
)
# The last one signs: what it stumbles over are keys that are no text, and nothing has been sent by then.
_MODULES = frozenset({"botocore.credentials", "botocore.tokens", "botocore.auth"})
_PARAMETER = re.compile(r"parameter ([\w.]+)")
_LONGEST = 500


class CredentialsFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there are no credentials; `passing` says that another try may get some, `message` has no secret."""

    passing: bool
    message: str


def credentials_failure(exc: BaseException) -> CredentialsFailure:
    """What an exception means that was met while credentials were loaded or refreshed."""
    facts = (_source(exc), _kind(exc), _what_happened(exc))
    line = ": ".join(dict.fromkeys(fact for fact in facts if fact))
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return CredentialsFailure(passing=not _is_refused(exc), message=f"AWS credentials: {line}")


def is_of_credentials(exc: BaseException) -> bool:
    """Whether the exception of a botocore client, being made or called, came from getting credentials.

    An STS that cannot be reached raises the same as the service itself would; only the way that the
    exception came says which of the two it is.
    """
    if isinstance(exc, ClientError) and exc.operation_name in OPERATIONS:
        return True
    return isinstance(exc, _OF_CREDENTIALS) or bool(_frames(exc))


def _is_refused(exc: BaseException) -> bool:
    if isinstance(exc, ClientError):
        code, status = _code(exc), _status(exc)
        if code in PASSING_CODES or may_pass(status) or status >= 500:
            return False
        return code in REFUSED_CODES or 300 <= status < 500
    if isinstance(exc, raised.CredentialRetrievalError):
        return _argument(exc, "provider") in _REFUSED_SOURCES
    if isinstance(exc, OSError) and not isinstance(exc, BotoCoreError):
        return exc.errno in _REFUSED_ERRNOS
    return isinstance(exc, REFUSED)


def _source(exc: BaseException) -> str:
    """The operation or provider that raised it, as far as it says so."""
    if isinstance(exc, ClientError):
        return str(exc.operation_name)
    if isinstance(exc, BotoCoreError) and (named := _argument(exc, "provider")):
        return named
    # The innermost: a role's provider asks that of its source profile.
    for frame in reversed(_frames(exc)):
        owner = frame.tb_frame.f_locals.get("self")
        method = getattr(owner, "METHOD", None) or getattr(owner, "method", None)
        if isinstance(method, str):
            return method
    return type(exc).__name__


def _kind(exc: BaseException) -> str:
    """Its class, where text and provider do not say as much."""
    plain = isinstance(exc, ClientError | raised.CredentialRetrievalError)
    return "" if plain else type(exc).__name__


def _what_happened(exc: BaseException) -> str:
    """The text of the exception, unless it may hold an answer or a header with keys in it."""
    if isinstance(exc, ClientError):
        error = exc.response.get("Error", {})
        return f"{_status(exc) or 'no status'} {_code(exc)}: {error.get('Message', '')}"
    if isinstance(exc, raised.CredentialRetrievalError):
        return _argument(exc, "error_msg").strip() or "failed and said nothing"
    if isinstance(exc, ResponseParserError):
        return "an answer that cannot be read"
    if isinstance(exc, raised.ParamValidationError):
        return f"expected a {', '.join(_PARAMETER.findall(str(exc))) or 'parameter'} that the service takes"
    if type(exc) is raised.HTTPClientError:
        return type(_arguments(exc).get("error")).__name__
    if isinstance(exc, EOFError):
        return "an MFA code is asked for, and there is no terminal to ask at"
    if isinstance(exc, raised.SSOTokenLoadError | raised.TokenRetrievalError):
        return f"{exc}; log in again with `aws sso login`"
    return with_shown_urls(str(exc))


def _frames(exc: BaseException) -> list[TracebackType]:
    """Where the exception passed through botocore's credentials, outermost first."""
    frames: list[TracebackType] = []
    passed = exc.__traceback__
    while passed is not None:
        if passed.tb_frame.f_globals.get("__name__") in _MODULES:
            frames.append(passed)
        passed = passed.tb_next
    return frames


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status if isinstance(status, int) else 0


def _arguments(exc: BaseException) -> dict[str, object]:
    """What a botocore error was made of: facts, where its text is a sentence."""
    found = getattr(exc, "kwargs", None)
    return found if isinstance(found, dict) else {}


def _argument(exc: BaseException, name: str) -> str:
    return str(_arguments(exc).get(name) or "")
