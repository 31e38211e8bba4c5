"""Faults that an upstream can be given, one bottle at a time.

The first scripted fault that fits a request is played; one that does not fit (a 416 without a Range) waits.
"""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

from brew_assets.simulator import oci

Host = Literal["registry", "cdn", "api"]
Kind = Literal[
    "answer",
    "break",
    "wrong",
    "truncated",
    "no_range",
    "ignore_range",
    "slow",
    "stall",
    "silent",
    "unauthorized",
    "no_entry",
    "no_digest",
    "no_ref_name",
    "no_tab",
    "no_size",
    "redirect",
    "edition",
    "other_tag",
    "wrong_key",
    "changed_byte",
]
# What an entry of an index then lacks.
ANNOTATIONS: dict[Kind, str] = {
    "no_digest": oci.DIGEST,
    "no_ref_name": oci.REF_NAME,
    "no_tab": oci.TAB,
    "no_size": oci.SIZE,
}
INDEX_KINDS: frozenset[Kind] = frozenset({"no_entry", *ANNOTATIONS})
RANGE_KINDS: frozenset[Kind] = frozenset({"no_range", "ignore_range"})
# These need a body to spoil, so a HEAD leaves them for the GET.
BODY_KINDS: frozenset[Kind] = frozenset({"break", "wrong", "truncated", "slow", "stall"})
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One scripted fault: how often it plays (times=None is for ever) and at which host.

    `editions_back` says how many changes ago the file was what a host of the API shows.
    """

    kind: Kind
    times: int | None = 1
    at: Host = "cdn"
    n_bytes: int = 0
    editions_back: int = 0
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @classmethod
    def break_after(cls, n_bytes: int, times: int | None = 1) -> Self:
        """The connection closes after n body bytes of a body announced whole."""
        return cls(kind="break", times=times, n_bytes=n_bytes)

    @classmethod
    def wrong_bytes(cls, times: int | None = 1) -> Self:
        """One byte in the middle is flipped; the length is right."""
        return cls(kind="wrong", times=times)

    @classmethod
    def truncated(cls, n_bytes: int, times: int | None = 1) -> Self:
        """Content-Length announces n bytes, and only those are sent."""
        return cls(kind="truncated", times=times, n_bytes=n_bytes)

    @classmethod
    def not_found(cls, times: int | None = None, *, at: Host = "registry") -> Self:
        """404."""
        return cls._answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}', times, at)

    @classmethod
    def too_many_requests(
        cls,
        retry_after: str | None,
        in_body: str | None = None,
        times: int | None = 1,
        *,
        at: Host = "registry",
    ) -> Self:
        """429; retry_after is the header's text, in_body the Go duration in GHCR's body, or a whole body."""
        text = "toomanyrequests: allowed: 44000/minute"
        if in_body is not None:
            text = f"toomanyrequests: retry-after: {in_body}, allowed: 44000/minute"
            if "retry-after" in in_body:
                text = in_body
        fault = cls._answer(429, text.encode(), times, at)
        wait = () if retry_after is None else (("Retry-After", retry_after),)
        return replace(fault, headers=(*fault.headers, *wait))

    @classmethod
    def server_error(cls, status: int = 500, times: int | None = 3, *, at: Host = "registry") -> Self:
        """A burst of that status."""
        return cls._answer(status, b"upstream is unwell\n", times, at)

    @classmethod
    def refusal(
        cls,
        status: int,
        code: str = "",
        times: int | None = None,
        *,
        at: Host = "registry",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Self:
        """That status with a registry's error document of that code; without a code the body is empty."""
        document = b'{"errors":[{"code":"%s","message":"said so","detail":{}}]}\n' % code.encode()
        return cls(
            kind="answer",
            times=times,
            at=at,
            status=status,
            headers=(("Content-Type", "application/json"), *headers),
            body=document if code else b"",
        )

    @classmethod
    def range_not_satisfiable(cls, times: int | None = 1) -> Self:
        """416 to a request with a Range."""
        return cls(kind="no_range", times=times)

    @classmethod
    def ignores_range(cls, times: int | None = None) -> Self:
        """200 and the whole body to a request with a Range."""
        return cls(kind="ignore_range", times=times)

    @classmethod
    def slow(cls, bytes_per_second: int, times: int | None = 1, *, at: Host = "cdn") -> Self:
        """The body, at the registry an index's, arrives at that rate, in about twenty pieces per second."""
        return cls(kind="slow", times=times, at=at, n_bytes=bytes_per_second)

    @classmethod
    def stalls_after(cls, n_bytes: int, times: int | None = 1, *, at: Host = "cdn") -> Self:
        """After n body bytes nothing more comes; the connection stays open until either side gives up."""
        return cls(kind="stall", times=times, at=at, n_bytes=n_bytes)

    @classmethod
    def no_answer(cls, times: int | None = 1) -> Self:
        """The registry takes the request and says nothing at all."""
        return cls(kind="silent", times=times, at="registry")

    @classmethod
    def html_page(cls, times: int | None = 1, *, at: Host = "cdn") -> Self:
        """200 and a login page."""
        return cls._answer(200, LOGIN_PAGE, times, at, "text/html; charset=utf-8")

    @classmethod
    def unauthorized(cls, times: int | None = 1) -> Self:
        """401 although a bearer was sent, as for an expired token; a token from /token is revoked with it."""
        return cls(kind="unauthorized", times=times, at="registry")

    @classmethod
    def index_lacks_digest(cls, times: int | None = None) -> Self:
        """The bottle's entry in the index of its version has no sh.brew.bottle.digest."""
        return cls(kind="no_digest", times=times, at="registry")

    @classmethod
    def index_lacks_entry(cls, times: int | None = None) -> Self:
        """The index of the bottle's version has no entry for this bottle."""
        return cls(kind="no_entry", times=times, at="registry")

    @classmethod
    def index_lacks_ref_name(cls, times: int | None = None) -> Self:
        """The bottle's entry in the index has no org.opencontainers.image.ref.name."""
        return cls(kind="no_ref_name", times=times, at="registry")

    @classmethod
    def index_lacks_tab(cls, times: int | None = None) -> Self:
        """The bottle's entry in the index has no sh.brew.tab."""
        return cls(kind="no_tab", times=times, at="registry")

    @classmethod
    def index_lacks_size(cls, times: int | None = None) -> Self:
        """The index has no sh.brew.bottle.size for this bottle; the child manifest still has the size."""
        return cls(kind="no_size", times=times, at="registry")

    @classmethod
    def redirects_to(cls, url: str, times: int | None = 1) -> Self:
        """307 to that address instead of the CDN."""
        return cls(kind="redirect", times=times, at="registry", status=307, headers=(("Location", url),))

    @classmethod
    def last_edition(cls, times: int | None = 1) -> Self:
        """A host of the API still shows the file as it was before the last change."""
        return cls(kind="edition", times=times, at="api", editions_back=1)

    @classmethod
    def older_edition(cls, times: int | None = 1, *, back: int = 2) -> Self:
        """A host of the API shows the file as it was so many changes ago."""
        return cls(kind="edition", times=times, at="api", editions_back=back)

    @classmethod
    def other_tag(cls, times: int | None = 1) -> Self:
        """A host of the API shows the file of another tag, well signed."""
        return cls(kind="other_tag", times=times, at="api")

    @classmethod
    def wrong_signature(cls, times: int | None = 1) -> Self:
        """The file is signed with another key that has the same name."""
        return cls(kind="wrong_key", times=times, at="api")

    @classmethod
    def changed_byte(cls, times: int | None = 1) -> Self:
        """One digit of a bottle's digest in the signed file is another; its signature is the true one's."""
        return cls(kind="changed_byte", times=times, at="api")

    @classmethod
    def _answer(
        cls, status: int, body: bytes, times: int | None, at: Host, content_type: str = "text/plain"
    ) -> Self:
        return cls(
            kind="answer",
            times=times,
            at=at,
            status=status,
            headers=(("Content-Type", content_type),),
            body=body,
        )


class FaultScript:
    """Which faults are still to be played, per filename. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[tuple[Fault, int | None]]] = {}

    def add(self, key: str, faults: Iterable[Fault]) -> None:
        """These play after what was already scripted under the key."""
        with self._lock:
            self._waiting.setdefault(key, []).extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        """Nothing is scripted any more."""
        with self._lock:
            self._waiting.clear()

    def take(self, keys: Iterable[str], at: Host, *, without: Collection[Kind]) -> Fault | None:
        """The first fault under these keys that plays here and is of no excluded kind; now used up."""
        return self._first(keys, lambda fault: fault.at == at and fault.kind not in without)

    def strikes(self, key: str, kind: Kind) -> bool:
        """Whether a fault of this kind plays under the key; it is then used up."""
        return self._first((key,), lambda fault: fault.kind == kind) is not None

    def _first(self, keys: Iterable[str], fits: Callable[[Fault], bool]) -> Fault | None:
        if not self._waiting:
            return None
        with self._lock:
            for key in keys:
                waiting = self._waiting.get(key, [])
                for place, (fault, left) in enumerate(waiting):
                    if fits(fault):
                        self._use(waiting, place, left)
                        return fault
        return None

    @staticmethod
    def _use(waiting: list[tuple[Fault, int | None]], place: int, left: int | None) -> None:
        if left is None:
            return
        if left <= 1:
            del waiting[place]
        else:
            waiting[place] = (waiting[place][0], left - 1)
