"""The errors of the mirror.

MirrorError                       has `reason`, a few words for reports, and a message with the facts
├── SettingsInvalid               an environment variable or option is not what was expected
├── PlanInvalid                   a plan cannot be made or read (unknown formula, platform, document)
├── UpstreamError
│   ├── CatalogueUnavailable      the formulae API answered with what may pass
│   │   └── CatalogueUnreachable  it did not answer
│   ├── CatalogueRefused          another answer of it, or an address that is none
│   ├── CatalogueInvalid          it answered with something that is no catalogue
│   ├── ProxyRefused              the proxy lets nothing through to a host, or asks for credentials
│   ├── HostRefused               an address leads to a host that is not configured
│   ├── BlobNotFound              404, 410
│   ├── UpstreamRefused           another answer that a retry will not change
│   ├── UpstreamBusy              429 and its like; carries how long to wait
│   ├── UpstreamFailed            5xx but 501 and 505, 408, 421, 425: may pass
│   ├── UpstreamUnauthorized      401 with a fresh token
│   ├── RegistryRefused           of the whole registry: it wants credentials, takes none of ours, has nothing
│   └── UpstreamInterrupted       the network: connect, time-out, a body that breaks off
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
├── BackupInvalid                 what is to be restored is no backup of the manifest
├── HashFileInvalid               an external hash file cannot be read as one
│   └── HashFileUnreachable       the server that has it did not answer
├── EventInvalid                  a Lambda was invoked with something that it does not understand
├── WorkerError                   a batch that was given to a Lambda
│   ├── WorkerBusy                throttled: nothing was begun, ask again later
│   ├── WorkerFailed              it timed out, died or was not reached; what it stored stays
│   └── WorkerRefused             no such function, no permission: asking again will not help
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


class MirrorError(Exception):
    """Base of all errors of this project.

    `reason` is the short name that reports and metrics group by.
    """

    reason = "error"


class SettingsInvalid(MirrorError):
    """An environment variable or option has a value that is not accepted."""

    reason = "invalid settings"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: expected {expected}, found {found}")
        self.name = name


class PlanInvalid(MirrorError):
    """A plan cannot be made from what was asked, or a plan document cannot be read."""

    reason = "invalid plan"


class UpstreamError(MirrorError):
    """Something between us and the upstream's bytes."""

    reason = "upstream error"


class CatalogueUnavailable(UpstreamError):
    """The formulae API gave no catalogue just now."""

    reason = "catalogue unavailable"


class CatalogueUnreachable(CatalogueUnavailable):
    """Nothing was heard of the formulae API."""


class CatalogueRefused(UpstreamError):
    """The formulae API gave no catalogue and will give none when it is asked again."""

    reason = "catalogue refused"


class CatalogueInvalid(UpstreamError):
    """The formulae API gave something that is no catalogue."""

    reason = "invalid catalogue"


class HostRefused(UpstreamError):
    """An address leads to a host that the settings do not name."""

    reason = "host refused"

    def __init__(self, *, subject: str, address: str, allowed: str = "", remedy: str = "") -> None:
        """`allowed` names the hosts that may be contacted, where the host is what is wrong."""
        facts = (f"refuses to contact {address}", f"allowed: {allowed}" if allowed else "", remedy)
        self.cause = "; ".join(filter(None, facts))
        super().__init__(f"{subject}: {self.cause}")


class ProxyRefused(UpstreamError):
    """The proxy in use lets nothing through to a host, or asks for credentials; a retry will not change it.

    Whoever was to be reached, upstream or store, has seen nothing.
    """

    reason = "refused by proxy"


class BlobNotFound(UpstreamError):
    """The registry does not have the blob."""

    reason = "not found"


class UpstreamRefused(UpstreamError):
    """An answer that a retry will not change."""

    reason = "refused by upstream"


class UpstreamBusy(UpstreamError):
    """429 and its like: `wait_s` is what the answer asks for, None when it names nothing readable."""

    reason = "rate limited"

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class UpstreamFailed(UpstreamError):
    """An answer that may pass: 5xx but 501 and 505, 408, 421, 425."""

    reason = "upstream failed"


class UpstreamUnauthorized(UpstreamError):
    """401 although the token was fresh."""

    reason = "unauthorized"


class RegistryRefused(UpstreamError):
    """What the registry refuses one bottle, it refuses all: the run ends. The message names the settings."""

    reason = "registry refused"


class UpstreamInterrupted(UpstreamError):
    """The connection failed, timed out or broke off."""

    reason = "network"


class ContentMismatch(MirrorError):
    """The bytes are not the bottle that the catalogue names."""

    reason = "content mismatch"


class SizeMismatch(ContentMismatch):
    """The number of bytes differs from what was announced."""

    reason = "size mismatch"

    def __init__(self, *, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected {expected} bytes, found {actual}")


class DigestMismatch(ContentMismatch):
    """The SHA-256 differs from the catalogue's."""

    reason = "digest mismatch"

    def __init__(self, *, subject: str, expected: str, actual: str) -> None:
        super().__init__(f"{subject}: expected sha256 {expected}, found {actual}")


class StoreError(MirrorError):
    """Something between us and the store; `status` and `code` are a server's, 0 and "" without an answer."""

    reason = "store error"

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StoreUnavailable(StoreError):
    """The store did not answer, failed or throttles; trying again may help."""

    reason = "store unavailable"


class StoreRefused(StoreError):
    """The store refuses everything: the bucket is gone, the credentials are not accepted."""

    reason = "store refused"


class StoreFull(StoreRefused):
    """The store has no room, or a quota is used up; it may still take small objects."""

    reason = "store full"


class ObjectRefused(StoreError):
    """The store refuses this object: no permission for its key, too large, a name that it cannot have."""

    reason = "object refused"


class ChecksumRefused(ObjectRefused):
    """The store found other bytes than the announced checksum and kept nothing."""

    reason = "checksum refused by store"


class StoreUnsupported(StoreError):
    """The store never does what it was asked for in this way."""

    reason = "not supported by store"


class KeyTaken(StoreError):
    """A create-only write found an object under the key."""

    reason = "key taken"

    def __init__(self, key: str, found: str = "") -> None:
        super().__init__(f"{key}: an object stands there already{f' ({found})' if found else ''}")
        self.key = key


class NotRecorded(StoreError):
    """A bottle is stored, and what was written to record it is not found again."""

    reason = "not recorded"


class PreconditionFailed(StoreError):
    """Another writer changed the object first."""

    reason = "lost a race"

    def __init__(self, key: str) -> None:
        super().__init__(f"{key}: changed by another writer meanwhile")
        self.key = key


class MirrorMissing(MirrorError):
    """A store that should hold a mirror holds none. Only a sync makes one, and a plan that is kept."""

    reason = "no mirror"

    def __init__(self, *, place: str, url: str) -> None:
        """`place` is what the operator wrote, `url` where that leads."""
        leads = "" if place.rstrip("/") == url.rstrip("/") else f" ({url})"
        super().__init__(
            f"there is no mirror at {place}{leads}: expected bottles_hash.json, receipts or date folders, "
            "found none. Check MIRROR_URL, S3_BUCKET_NAME or --mirror; `brew-mirror sync` makes a mirror."
        )


class ManifestInvalid(MirrorError):
    """The manifest, or what `document` names, cannot be trusted; the message has finding and remedy."""

    reason = "invalid manifest"

    def __init__(self, finding: str, *, remedy: str = "", document: str = "bottles_hash.json") -> None:
        remedy = remedy or (
            "Nothing was changed. Restore a backup with `brew-mirror manifest restore`, "
            "or rebuild the manifest from the stored bottles with `brew-mirror manifest rebuild`."
        )
        super().__init__(f"{document} is not valid: {finding}. {remedy}")
        self.finding = finding


class BackupInvalid(MirrorError):
    """There is no backup that could be restored; nothing was changed."""

    reason = "invalid backup"


class HashFileInvalid(MirrorError):
    """An external hash file is not of a shape that can be read."""

    reason = "invalid hash file"


class HashFileUnreachable(HashFileInvalid):
    """Nothing was heard of the server that has it."""


class EventInvalid(MirrorError):
    """The event of an invocation names no work that a Lambda of this project does."""

    reason = "invalid event"


class InvocationError(MirrorError):
    """A batch that was given to a Lambda did not come back as done."""

    reason = "worker failed"


class InvocationThrottled(InvocationError):
    """The invocation was throttled; nothing was begun."""

    reason = "worker busy"


class InvocationFailed(InvocationError):
    """The invocation timed out, died or was not reached. What it stored stays, with or without receipts."""


class InvocationRefused(InvocationError):
    """The invocation was refused for good: no such function, no permission."""

    reason = "worker refused"


class ChannelError(MirrorError):
    """A message or metric was not taken. The text names the channel and never a webhook's address."""

    reason = "channel error"


class ChannelBusy(ChannelError):
    """429: `wait_s` is what the answer asks for, None when it names nothing readable."""

    reason = "channel busy"

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class ChannelFailed(ChannelError):
    """The channel was not reached or said that it failed; a later try may help."""

    reason = "channel failed"


class ChannelUncertain(ChannelError):
    """It was sent, and nobody knows whether it was taken; another try may make two of it."""

    reason = "channel uncertain"


class ChannelRefused(ChannelError):
    """The channel will not take it, now or later."""

    reason = "refused by channel"


class TriggerInvalid(MirrorError):
    """An event asks for no sync that could be started; the message says why."""

    reason = "invalid trigger"


class QueueUnavailable(MirrorError):
    """The queue of events did not answer, or refused."""

    reason = "queue unavailable"


class PlanningStopped(MirrorError):
    """The stop signal came before there was a plan."""

    reason = "stopped"

    def __init__(self) -> None:
        super().__init__("stopped before there was a plan; nothing was copied, the next sync begins anew")


class TransferStopped(MirrorError):
    """The stop signal ended this piece of work before it was whole."""

    reason = "stopped"
