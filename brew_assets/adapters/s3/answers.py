"""What an answer of an S3 server means: one table for codes and statuses. Its text decides nothing.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and those that MinIO, Ceph, B2 and
Wasabi add for the same things. A code says more than its status, so a known code decides alone.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from brew_assets.engine.ports import Clock
from brew_assets.engine.retry import Backoff, retrying
from brew_assets.errors import (
    ChecksumRefused,
    KeyTaken,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

Answer = type[StoreError]

_TRIES = 5
_BACKOFF = Backoff(first_s=0.4)

_T = TypeVar("_T")

_OBJECT = (
    "AccessDenied",
    "CustomerKeyHasExpired",
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidArgument",
    "InvalidObjectState",
    "InvalidRange",
    "InvalidRequest",
    "InvalidURI",
    "KeyTooLong",
    "KeyTooLongError",
    "MaxMessageLengthExceeded",
    "MetadataTooLarge",
    "NoSuchKey",
    "NoSuchVersion",
    "ObjectLocked",
    "ObjectNotInActiveTierError",
    "RequestHeaderSectionTooLarge",
    "RestoreAlreadyInProgress",
    "UnexpectedContent",
    "XMinioInvalidObjectName",
    "XMinioObjectExistsAsDirectory",
    "XMinioParentIsObject",
)
_CHECKSUM = (
    "BadDigest",
    "InvalidDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
)
_STORE = (
    "AccessControlListNotSupported",
    "AccessPointNotFound",
    "AccountProblem",
    "AccountSuspended",
    "AllAccessDisabled",
    "AuthFailure",
    "AuthorizationHeaderMalformed",
    "CredentialsNotSupported",
    "ExpiredToken",
    "ExpiredTokenException",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
    "IncorrectRegion",
    "InvalidAccessKeyId",
    "InvalidAccessPoint",
    "InvalidAccessPointAliasError",
    "InvalidBucketName",
    "InvalidBucketState",
    "InvalidClientTokenId",
    "InvalidEncryptionAlgorithmError",
    "InvalidPayer",
    "InvalidRegion",
    "InvalidSecurity",
    "InvalidSignature",
    "InvalidToken",
    "KMS.AccessDeniedException",
    "KMS.DisabledException",
    "KMS.InvalidKeyUsageException",
    "KMS.KMSInvalidStateException",
    "KMS.NotFoundException",
    "MissingAuthenticationToken",
    "MissingSecurityHeader",
    "NoSuchAccessPoint",
    "NoSuchBucket",
    "NoSuchTenant",
    "NotSignedUp",
    "PermanentRedirect",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenCodeInvalidError",
    "TokenRefreshRequired",
    "TransactionCapExceeded",
    "UnauthorizedAccess",
    "UnauthorizedAccessError",
    "UnsupportedSignature",
    "UserSuspended",
)
_FULL = (
    "InsufficientStorage",
    "InsufficientStorageSpace",
    "OverQuota",
    "QuotaExceeded",
    "StorageCapExceeded",
    "StorageQuotaExceeded",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioStorageFull",
)
_PASSING = (
    "BandwidthLimitExceeded",
    "BandwidthQuotaExceeded",
    "Busy",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "InternalServerError",
    "OperationAborted",
    "OperationTimedOut",
    "ReadQuorum",
    "Redirect",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServerBusy",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "TemporaryRedirect",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "WriteQuorum",
    "XMinioServerNotInitialized",
    "503 SlowDown",
)
_NEVER = (
    "InvalidHttpMethod",
    "MalformedPOSTRequest",
    "MalformedXML",
    "MethodNotAllowed",
    "MissingContentLength",
    "NotImplemented",
    "UnsupportedArgument",
    "UnsupportedOperation",
)

CODES: Mapping[str, Answer] = {
    code: answer
    for codes, answer in (
        (_OBJECT, ObjectRefused),
        (_CHECKSUM, ChecksumRefused),
        (_STORE, StoreRefused),
        (_FULL, StoreFull),
        (_PASSING, StoreUnavailable),
        (_NEVER, StoreUnsupported),
        (("PreconditionFailed",), KeyTaken),
    )
    for code in codes
}

# For an answer whose code is unknown or that has none. 401 and 407 are about who asks, 402 about who pays;
# 409 is passing only where a code says so.
STATUSES: Mapping[int, Answer] = {
    **dict.fromkeys((301, 308, 401, 402, 407, 511), StoreRefused),
    507: StoreFull,
    **dict.fromkeys((0, 302, 303, 307, 408, 421, 425, 429), StoreUnavailable),
    **dict.fromkeys((405, 411, 501, 505, 510), StoreUnsupported),
    412: KeyTaken,
}


_REGION = "set AWS_REGION to the bucket's own"
_CLOCK = "set this machine's clock"
_CODE_REMEDIES = {
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "IncorrectRegion": _REGION,
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "InvalidObjectState": "it is archived: restore it",
}
_STATUS_REMEDIES = {301: _REGION, 308: _REGION, 407: "the proxy asks for credentials"}
# With these a server may say that the bucket is in another region than the one it was asked in. A HEAD's 400
# has no code.
_ELSEWHERE = frozenset({301, 302, 307, 308})
_ELSEWHERE_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "IncorrectRegion",
        "InvalidRegion",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
_REGION_NAME = re.compile(r"[a-z0-9-]{1,63}")
_UNENCRYPTED = ("NotImplemented", "InvalidEncryptionAlgorithmError", "UnsupportedEncryption")


class Sent(NamedTuple):
    """What a request carried besides its object, which not every server takes."""

    encrypts: bool = False
    has_checksum: bool = False
    acl: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, object], *, has_checksum: bool = False) -> "Sent":
        """Of the arguments of a call of boto3."""
        return cls("ServerSideEncryption" in arguments, has_checksum, str(arguments.get("ACL", "")))

    @classmethod
    def with_headers(cls, headers: Mapping[str, str]) -> "Sent":
        """Of a request's headers."""
        return cls(
            "x-amz-server-side-encryption" in headers,
            "x-amz-checksum-sha256" in headers,
            headers.get("x-amz-acl", ""),
        )


def classify(status: int, code: str = "") -> Answer:
    """The class of an answer that is not the one hoped for.

    Any other 4xx is about the object that was asked for; a 5xx, and a success with an error inside, passes.
    """
    known = CODES.get(code) or STATUSES.get(status)
    if known is not None:
        return known
    return ObjectRefused if 300 <= status < 500 else StoreUnavailable


def classify_head(status: int) -> Answer:
    """The same for a HEAD, which has no code: its status alone never speaks for the whole store."""
    found = classify(status)
    return found if issubclass(found, StoreUnavailable) else ObjectRefused


def answer_error(
    subject: str,
    status: int,
    code: str,
    message: str,
    *,
    of_head: bool = False,
    region: str = "",
    own_region: str = "",
    sent: Sent = Sent(),  # noqa: B008  it is immutable
) -> StoreError:
    """Our error for an answer about `subject`; `region` is where the answer says that the bucket is."""
    # That the bucket is in another region is said by a redirect, a code, or a bare 400 to a HEAD; the header
    # with the region comes with other answers too, a 403 for one, and alone says nothing. Once it is sure,
    # the answer is about the bucket whatever was asked for: it has to end the run with the setting's name,
    # for as one refused object it would fail thousands of bottles one by one.
    is_hint = status in _ELSEWHERE or code in _ELSEWHERE_CODES or (of_head and status == 400)
    elsewhere = region if is_hint and region != own_region and _REGION_NAME.fullmatch(region) else ""
    found = classify_head(status) if of_head else classify(status, code)
    if elsewhere and issubclass(found, ObjectRefused):
        # It is about the bucket, also in the answer to a HEAD, which has no code.
        found = StoreRefused
    if issubclass(found, KeyTaken):
        return KeyTaken(subject)
    facts = " ".join(part for part in (str(status), code) if part)
    remedy = _remedy(status, code, message, elsewhere, sent)
    text = ": ".join(part for part in (subject, facts, message) if part)
    return found(f"{text}; {remedy}" if remedy else text, status=status, code=code)


def _remedy(status: int, code: str, message: str, region: str, sent: Sent) -> str:
    """What to do about it. Here a text may give a hint: it decides nothing."""
    if region:
        return f"the bucket is in {region}: set AWS_REGION={region}"
    if sent.has_checksum and "x-amz-checksum" in message.lower():
        return (
            "this server does not take x-amz-checksum-sha256, by which the mirror knows what is stored: "
            "no setting leaves it out, use another server"
        )
    if sent.encrypts and (code in _UNENCRYPTED or (status == 501 and not code)):
        return "if the server cannot encrypt, set S3_SSE=bucket"
    if code == "AccessControlListNotSupported":
        return f"the bucket takes no ACL ({sent.acl}): leave S3_ACL empty" if sent.acl else ""
    return _CODE_REMEDIES.get(code) or _STATUS_REMEDIES.get(status, "")


def about_the_store(error: StoreError) -> StoreError:
    """The error of a call that was for no object, such as a listing: what it refuses, the store refuses."""
    if type(error) is not ObjectRefused:
        return error
    return StoreRefused(str(error), status=error.status, code=error.code)


def persistently(act: Callable[[], _T], clock: Clock) -> _T:
    """What the act gives, tried again with growing waits while the store is unavailable.

    No stop shortens them: receipts, manifest and report are written after it.

    Raises:
        StoreError: as of the act; StoreUnavailable only after the last try.
    """
    return retrying(act, on=StoreUnavailable, next_wait_s=_BACKOFF.for_tries(_TRIES), clock=clock)
