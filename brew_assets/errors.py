"""The errors of the mirror. What is decided by an error stands on its class, never in its text.

MirrorError                       has `reason`, a few words for reports, and a message with the facts
├── SettingsInvalid               an environment variable or option is not what was expected
├── PlanInvalid                   a plan cannot be made or read (unknown formula, platform, document)
├── UpstreamError
│   ├── CatalogueUnavailable      the formulae API answered with what may pass
│   │   └── CatalogueUnreachable  it did not answer
│   ├── CatalogueRefused          another answer of it, or an address that is none
│   ├── CatalogueInvalid          it answered with something that is no catalogue
│   ├── GenerationsDiffer         its hosts showed signed files of different commits for too long
│   ├── ProxyRefused              the proxy lets nothing through to a host, or asks for credentials
│   ├── HostRefused               an address leads to a host that is not configured
│   ├── BlobNotFound              404, 410
│   ├── IndexNotFound             the registry has no index of a formula's version
│   ├── IndexUnfit                its index is one that brew refuses for a bottle
│   ├── UpstreamRefused           another answer that a retry will not change
│   │   └── DocumentTooLarge      an index or a child manifest of 4 MiB or more
│   ├── UpstreamBusy              429 and its like; carries how long to wait
│   ├── UpstreamFailed            5xx but 501 and 505, 408, 421, 425: may pass
│   ├── UpstreamUnauthorized      401 with a fresh token
│   ├── RegistryRefused           of the whole registry: it wants credentials, takes none of ours, has nothing
│   └── UpstreamInterrupted       the network: connect, a body that breaks off
│       └── UpstreamTimeout       nothing came for too long
├── ContentMismatch
│   ├── SizeMismatch
│   └── DigestMismatch
├── StoreError
│   ├── StoreUnavailable          network, 500, 503, throttling: passing, a retry may help
│   ├── StoreRefused              of the whole store: no bucket, credentials refused
│   │   └── StoreFull             of the whole store: no space, a quota
│   ├── ObjectRefused             of this object alone: permission for a key, too large, a name too long
│   │   └── ChecksumRefused       the store found other bytes than were announced
│   ├── StoreUnsupported          never, asked in this way; another way of asking may do
│   ├── KeyTaken                  an object stands under the key already
│   └── PreconditionFailed        compare-and-swap lost against another writer
├── MirrorMissing                 there is no mirror where one is to be read or mended
├── ManifestInvalid               a manifest or a receipt cannot be trusted; carries the remedy
├── PublicationInvalid            a publication's record, its pointer or an API file cannot be trusted
├── BackupInvalid                 what is to be restored is no backup of the manifest
├── HashFileInvalid               an external hash file cannot be read as one
│   └── HashFileUnreachable       the server that has it did not answer
├── EventInvalid                  a Lambda was invoked with something that it does not understand
├── InvocationError               a batch that was given to a Lambda
│   ├── InvocationThrottled       throttled: nothing was begun, ask again later
│   ├── InvocationFailed          it timed out, died or was not reached; what it stored stays
│   └── InvocationRefused         no such function, no permission: asking again will not help
├── ChannelError                  a message or metric that people or other systems should get
│   ├── ChannelBusy               429; carries how long to wait
│   ├── ChannelFailed             not reached, 5xx, throttling: a later try may help
│   ├── ChannelUncertain          it was sent and no answer came: another try may make two of it
│   └── ChannelRefused            no such webhook, topic or permission: trying again will not help
├── TriggerInvalid                an event that asks for no sync that could be started
├── QueueUnavailable              the queue of events did not answer or refused
├── PlanningStopped               a stop signal came before there was a plan: nothing was copied
└── TransferStopped               a stop signal ended the work on this bottle
"""

import msgspec

# What decoding hostile bytes raises: msgspec lets bad UTF-8 and deep nesting out as they are.
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)

_HASH_FILE = "bottles_hash.json"


class MirrorError(Exception):
    """Base of all errors of this project.

    `reason` is the short name that reports and metrics group by, `label` what messages call it, and
    `error_type` what they call a sync that failed of it, where that is something else. `retryable`
    says that the same may succeed at another time; `security`, that not something broke but something is
    not what it must be. A class has those of its base unless it says otherwise.

    `retries` of an error itself: how often the same was tried again before it, without success.
    """

    reason = "error"
    label = "Error"
    error_type = ""
    retryable = False
    security = False
    retries = 0

    def __init_subclass__(
        cls,
        *,
        reason: str = "",
        label: str = "",
        error_type: str = "",
        retryable: bool | None = None,
        security: bool | None = None,
    ) -> None:
        # Not of its base: a class below has a label of its own.
        cls.error_type = error_type
        if reason:
            cls.reason, cls.label = reason, label or reason.capitalize()
        elif label:
            cls.label = label
        if retryable is not None:
            cls.retryable = retryable
        if security is not None:
            cls.security = security


class SettingsInvalid(MirrorError, reason="invalid settings"):
    """An environment variable or option has a value that is not accepted."""

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: expected {expected}, found {found}")
        self.name = name


class PlanInvalid(MirrorError, reason="invalid plan"):
    """A plan cannot be made from what was asked, or a plan document cannot be read."""


class UpstreamError(MirrorError, reason="upstream error"):
    """Something between us and the upstream's bytes."""


class CatalogueUnavailable(UpstreamError, reason="catalogue unavailable", retryable=True):
    """The formulae API gave no catalogue just now."""


class CatalogueUnreachable(CatalogueUnavailable):
    """Nothing was heard of the formulae API."""


class CatalogueRefused(UpstreamError, reason="catalogue refused"):
    """The formulae API gave no catalogue and will give none when it is asked again."""


class CatalogueInvalid(UpstreamError, reason="invalid catalogue"):
    """The formulae API gave something that is no catalogue."""


class GenerationsDiffer(UpstreamError, reason="API files differ", retryable=True):
    """Hosts of the formulae API showed signed files of different commits; that passes by itself."""


class HostRefused(UpstreamError, reason="host refused", security=True):
    """An address leads to a host that the settings do not name."""

    def __init__(self, *, subject: str, address: str, allowed: str = "", remedy: str = "") -> None:
        """`allowed` names the hosts that may be contacted, where the host is what is wrong."""
        facts = (f"refuses to contact {address}", f"allowed: {allowed}" if allowed else "", remedy)
        self.cause = "; ".join(filter(None, facts))
        super().__init__(f"{subject}: {self.cause}")


class ProxyRefused(UpstreamError, reason="refused by proxy"):
    """The proxy in use lets nothing through to a host, or asks for credentials; a retry will not change it.

    Whoever was to be reached, upstream or store, has seen nothing.
    """


class BlobNotFound(UpstreamError, reason="not found", label="File not found"):
    """The registry does not have the blob."""


class IndexNotFound(UpstreamError, reason="no index"):
    """The registry has no index of the formula's version."""


class IndexUnfit(UpstreamError, reason="unfit index"):
    """The registry's index is one with which brew would not install a bottle."""


class UpstreamRefused(UpstreamError, reason="refused by upstream"):
    """An answer that a retry will not change."""


class DocumentTooLarge(UpstreamRefused, reason="document too large"):
    """An index or a child manifest that is as large as brew uploads none."""


class UpstreamBusy(UpstreamError, reason="rate limited", retryable=True):
    """429 and its like: `wait_s` is what the answer asks for, None when it names nothing readable."""

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class UpstreamFailed(UpstreamError, reason="upstream failed", label="Server error", retryable=True):
    """An answer that may pass: 5xx but 501 and 505, 408, 421, 425."""


class UpstreamUnauthorized(UpstreamError, reason="unauthorized"):
    """401 although the token was fresh."""


class RegistryRefused(UpstreamError, reason="registry refused"):
    """What the registry refuses one bottle, it refuses all: the run ends. The message names the settings."""


class UpstreamInterrupted(UpstreamError, reason="network", label="Connection failed", retryable=True):
    """The connection failed or broke off."""


class UpstreamTimeout(
    UpstreamInterrupted, reason="timed out", label="Connection timeout", error_type="Network Timeout"
):
    """Nothing came over a connection for too long."""


class ContentMismatch(MirrorError, reason="content mismatch", security=True):
    """The bytes are not the bottle that the catalogue names."""


class SizeMismatch(ContentMismatch, reason="size mismatch"):
    """The number of bytes differs from what was announced."""

    def __init__(self, *, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected {expected} bytes, found {actual}")


class DigestMismatch(ContentMismatch, reason="digest mismatch", label="SHA mismatch"):
    """The SHA-256 differs from the catalogue's."""

    def __init__(self, *, subject: str, expected: str, actual: str) -> None:
        super().__init__(f"{subject}: expected sha256 {expected}, found {actual}")


class StoreError(MirrorError, reason="store error"):
    """Something between us and the store; `status` and `code` are a server's, 0 and "" without an answer."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StoreUnavailable(StoreError, reason="store unavailable", retryable=True):
    """The store did not answer, failed or throttles; trying again may help."""


class StoreRefused(StoreError, reason="store refused"):
    """The store refuses everything: the bucket is gone, the credentials are not accepted."""


class StoreFull(StoreRefused, reason="store full"):
    """The store has no room, or a quota is used up; it may still take small objects."""


class ObjectRefused(StoreError, reason="object refused"):
    """The store refuses this object: no permission for its key, too large, a name that it cannot have."""


class ChecksumRefused(ObjectRefused, reason="checksum refused by store", security=True):
    """The store found other bytes than the announced checksum and kept nothing."""


class StoreUnsupported(StoreError, reason="not supported by store"):
    """The store never does what it was asked for in this way."""


class KeyTaken(StoreError, reason="key taken"):
    """A create-only write found an object under the key."""

    def __init__(self, key: str, found: str = "") -> None:
        super().__init__(f"{key}: an object stands there already{f' ({found})' if found else ''}")
        self.key = key


class NotRecorded(StoreError, reason="not recorded"):
    """A bottle is stored, and what was written to record it is not found again."""


class PreconditionFailed(StoreError, reason="lost a race"):
    """Another writer changed the object first."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: changed by another writer meanwhile")
        self.key = key


class MirrorMissing(MirrorError, reason="no mirror"):
    """A store that should hold a mirror holds none. Only a sync makes one, and a plan that is kept."""

    def __init__(self, *, place: str, url: str) -> None:
        """`place` is what the operator wrote, `url` where that leads."""
        leads = "" if place.rstrip("/") == url.rstrip("/") else f" ({url})"
        super().__init__(
            f"there is no mirror at {place}{leads}: expected bottles_hash.json, receipts or date folders, "
            "found none. Check MIRROR_URL, S3_BUCKET_NAME or --mirror; `brew-mirror sync` makes a mirror."
        )


class ManifestInvalid(MirrorError, reason="invalid manifest", security=True):
    """The manifest, or what `document` names, cannot be trusted; the message has finding and remedy."""

    def __init__(self, finding: str, *, remedy: str = "", document: str = _HASH_FILE) -> None:
        remedy = remedy or (
            "Nothing was changed. Restore a backup with `brew-mirror manifest restore`, "
            "or rebuild the manifest from the stored bottles with `brew-mirror manifest rebuild`."
        )
        # Of the hash file in the specification's words (overview, troubleshooting 4).
        what = (
            f"Invalid hash file format: {document}" if document == _HASH_FILE else f"{document} is not valid"
        )
        super().__init__(f"{what}: {finding}. {remedy}")
        self.finding = finding


class BackupInvalid(MirrorError, reason="invalid backup"):
    """There is no backup that could be restored; nothing was changed."""


class PublicationInvalid(MirrorError, reason="invalid publication", security=True):
    """A publication's record, the pointer to it, or an API file is not what it must be."""


class HashFileInvalid(MirrorError, reason="invalid hash file"):
    """An external hash file is not of a shape that can be read."""


class HashFileUnreachable(HashFileInvalid):
    """Nothing was heard of the server that has it."""


class EventInvalid(MirrorError, reason="invalid event"):
    """The event of an invocation names no work that a Lambda of this project does."""


class InvocationError(MirrorError, reason="worker failed"):
    """A batch that was given to a Lambda did not come back as done."""


class InvocationThrottled(InvocationError, reason="worker busy"):
    """The invocation was throttled; nothing was begun."""


class InvocationFailed(InvocationError, retryable=True):
    """The invocation timed out, died or was not reached. What it stored stays, with or without receipts."""


class InvocationRefused(InvocationError, reason="worker refused"):
    """The invocation was refused for good: no such function, no permission."""


class ChannelError(MirrorError, reason="channel error"):
    """A message or metric was not taken. The text names the channel and never a webhook's address."""


class ChannelBusy(ChannelError, reason="channel busy"):
    """429: `wait_s` is what the answer asks for, None when it names nothing readable."""

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class ChannelFailed(ChannelError, reason="channel failed"):
    """The channel was not reached or said that it failed; a later try may help."""


class ChannelUncertain(ChannelError, reason="channel uncertain"):
    """It was sent, and nobody knows whether it was taken; another try may make two of it."""


class ChannelRefused(ChannelError, reason="refused by channel"):
    """The channel will not take it, now or later."""


class TriggerInvalid(MirrorError, reason="invalid trigger"):
    """An event asks for no sync that could be started; the message says why."""


class QueueUnavailable(MirrorError, reason="queue unavailable"):
    """The queue of events did not answer, or refused."""


class PlanningStopped(MirrorError, reason="stopped"):
    """The stop signal came before there was a plan."""

    def __init__(self) -> None:
        super().__init__("stopped before there was a plan; nothing was copied, the next sync begins anew")


class TransferStopped(MirrorError, reason="stopped"):
    """The stop signal ended this piece of work before it was whole."""
