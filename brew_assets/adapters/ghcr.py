"""A registry of GHCR's shape: blobs for the bulk path, indexes and child manifests for sizes.

What ghcr.io answers: 401 without Authorization, a 307 to a signed address for any bearer, which must be
followed without the header. Only the registry and the configured hosts are ever contacted.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterable
from typing import NoReturn
from urllib.parse import quote, urljoin

import msgspec

from brew_assets.adapters.origin import Origin, split_url
from brew_assets.adapters.registry_answers import ERROR_BODY_BYTES, answer_error
from brew_assets.adapters.wire import NETWORK_ERRORS, Wire
from brew_assets.adapters.wire_response import WireResponse
from brew_assets.adapters.wires import ThreadWires, answered
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.oci import CHILD_MEDIA_TYPE, INDEX_MEDIA_TYPE, MAX_INDEX_BYTES
from brew_assets.errors import (
    UNREADABLE,
    BlobNotFound,
    ContentMismatch,
    HostRefused,
    UpstreamFailed,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamUnauthorized,
)

CATALOGUE_REGISTRY = "https://ghcr.io"
# What brew itself sends; GHCR accepts any bearer for public blobs.
ANONYMOUS_TOKEN = "QQ=="  # noqa: S105
MAX_REDIRECTS = 3
_TOKEN_BODY_BYTES = 65536
_MISDIRECTED = 421
_NO_CODING = ("", "identity")
_GZIP = (["gzip"], ["x-gzip"])
_GZIP_BEGINS = b"\x1f\x8b"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# An address without user, fragment or anything else that a full parser would have to judge.
_ORIGIN = re.compile(r"(https?://[A-Za-z0-9.:-]+)(/[\x21\x24-\x7e]*)\Z")
_CHALLENGE = re.compile(r'(realm|service|scope)="([^"]*)"')


class AllowedHosts:
    """The hosts that may be contacted: the registry and those that the settings name."""

    def __init__(self, registry: Origin, hosts: Iterable[str]) -> None:
        named = {host.strip().lower().removesuffix(":443") for host in hosts if host.strip()}
        self._netlocs = {registry.netloc.lower(), *named}
        # "scheme://host:port" of addresses that were allowed before: parsing costs more than asking.
        self._allowed: dict[str, Origin] = {}

    def check(self, url: str, *, subject: str) -> tuple[Origin, str]:
        """Origin and target of an address that may be contacted.

        Raises:
            HostRefused: it leads elsewhere, or to plain http outside of this machine.
        """
        known = _ORIGIN.match(url)
        if known is not None and (origin := self._allowed.get(known[1])) is not None:
            return origin, known[2]
        try:
            origin, target = split_url(url)
        except ValueError as exc:
            raise HostRefused(subject=subject, address="an unreadable address", allowed=str(self)) from exc
        plain = origin.scheme == "http" and not origin.is_loopback
        if plain or origin.netloc.lower() not in self._netlocs:
            address = f"{origin.scheme}://{origin.netloc}"
            raise HostRefused(subject=subject, address=address, allowed=str(self))
        if known is not None:
            self._allowed[known[1]] = origin
        return origin, target

    def __str__(self) -> str:
        return ", ".join(f"https://{netloc}" for netloc in sorted(self._netlocs))


class GhcrBlob:
    """The body of a blob, on a connection that is the calling thread's until the body is closed."""

    def __init__(
        self,
        wire: Wire,
        response: WireResponse,
        *,
        done: Callable[[], None],
        name: str,
        start: int,
        total: int | None,
    ) -> None:
        self._wire = wire
        self._response = response
        self._done = done
        self._name = name
        self.start = start
        self.total = total

    def readinto(self, view: memoryview) -> int:
        """How many bytes were put into the view; 0 at the end.

        Raises:
            UpstreamInterrupted: the body broke off or timed out.
        """
        try:
            return self._response.readinto(view)
        except NETWORK_ERRORS as exc:
            raise UpstreamInterrupted(f"{self._name}: the body broke off: {_describe(exc)}") from exc

    def close(self) -> None:
        """Keeps the connection when the body was read to its end, else closes it."""
        self._wire.finish()
        self._done()


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


_token_decoder = msgspec.json.Decoder(_Token)


class Ghcr:
    """Blobs, indexes and child manifests of one registry. Safe for use by several threads."""

    def __init__(
        self,
        registry_url: str,
        *,
        cdn_hosts: Iterable[str],
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = registry_url.rstrip("/")
        origin, _ = split_url(self._base)
        self._hosts = AllowedHosts(origin, cdn_hosts)
        self._hosts.check(self._base, subject="BOTTLE_REGISTRY_URL")
        self._wires = ThreadWires(timeout_s=timeout_s, monotonic=monotonic)
        self._tokens: dict[str, str] = {}

    def open(self, bottle: Bottle, *, offset: int = 0) -> GhcrBlob:
        """The blob from `offset` on, or from 0 when upstream does not do ranges.

        Raises:
            UpstreamError: one of its classes, see errors.py.
            ContentMismatch: a page instead of a blob.
        """
        try:
            return self._open(bottle, offset)
        except BaseException:
            self._wires.give_back()
            raise

    def _open(self, bottle: Bottle, offset: int) -> GhcrBlob:
        name = bottle.filename
        wire, response = self._get(self._address(bottle.url, name), subject=name, offset=offset)
        try:
            if response.status == 416 and offset:
                wire.finish()
                return self._open(bottle, 0)
            start, total = self._framing(response, offset, name)
            response.at_any_pace()
        except BaseException:
            wire.finish()
            raise
        return GhcrBlob(wire, response, done=self._wires.give_back, name=name, start=start, total=total)

    def fetch_index(self, image: str, reference: str) -> bytes | None:
        """The index, None when the registry has none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """
        return self._document(f"/v2/homebrew/core/{image}/manifests/{reference}", INDEX_MEDIA_TYPE)

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        """The child manifest with this digest (hex), None when the registry has none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """
        return self._document(f"/v2/homebrew/core/{image}/manifests/sha256:{digest}", CHILD_MEDIA_TYPE)

    def interrupt(self) -> None:
        """Bodies that any thread is waiting for break off at once."""
        self._wires.interrupt()

    def close(self) -> None:
        """The calling thread's connections and those that no thread uses are closed."""
        self._wires.close()

    def _address(self, url: str, name: str) -> str:
        """The catalogue's address with the configured registry in the place of Homebrew's."""
        for base in (CATALOGUE_REGISTRY, self._base):
            if url.startswith(f"{base}/v2/"):
                return self._base + url[len(base) :]
        origin = "/".join(url.split("/", 3)[:3])[:120]
        raise HostRefused(subject=name, address=origin, allowed=f"{CATALOGUE_REGISTRY}, {self._base}")

    def _document(self, path: str, media_type: str) -> bytes | None:
        wire, response = self._get(self._base + path, subject=path, accept=media_type)
        try:
            if response.status != 200:
                self._refuse(response, path)
            data = response.read(MAX_INDEX_BYTES + 1)
        except BlobNotFound:
            return None
        except NETWORK_ERRORS as exc:
            raise UpstreamInterrupted(f"{path}: the body broke off: {_describe(exc)}") from exc
        finally:
            wire.finish()
        if len(data) > MAX_INDEX_BYTES:
            raise UpstreamRefused(f"{path}: expected at most {MAX_INDEX_BYTES} bytes, found more")
        if response.length:
            raise UpstreamInterrupted(f"{path}: the body ended {response.length} bytes too early")
        return _unpacked(data, response.fields.get("content-encoding", ""), path)

    def _get(
        self, url: str, *, subject: str, offset: int = 0, accept: str = "*/*"
    ) -> tuple[Wire, WireResponse]:
        """Connection and response after redirects and, once, a fresh token."""
        fresh_token = False
        while True:
            wire, response, hops = self._follow(url, subject=subject, offset=offset, accept=accept)
            if response.status != 401 or hops:
                if hops and response.status == 403:
                    # The signed address ran out or was spoilt: the registry makes a new one.
                    wire.finish()
                    raise UpstreamFailed(f"{subject}: the registry's redirect leads to 403")
                return wire, response
            challenge = response.fields.get("www-authenticate", "")
            wire.finish()
            if fresh_token:
                raise UpstreamUnauthorized(f"{subject}: 401 from {wire.origin.netloc} with a fresh token")
            fresh_token = True
            self._renew_token(url, challenge, subject)

    def _follow(self, url: str, *, subject: str, offset: int, accept: str) -> tuple[Wire, WireResponse, int]:
        headers = {"Accept": accept, "User-Agent": "brew-mirror"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        authorization = {"Authorization": f"Bearer {self._tokens.get(_repository(url), ANONYMOUS_TOKEN)}"}
        for hops in range(MAX_REDIRECTS + 1):
            origin, target = self._hosts.check(url, subject=subject)
            wire = self._wire_to(origin, subject)
            try:
                # The header is the registry's: a signed address refuses a request that carries it.
                response = wire.exchange("GET", target, headers if hops else headers | authorization)
            except NETWORK_ERRORS as exc:
                wire.close()
                raise UpstreamInterrupted(f"{subject}: {origin.netloc}: {_describe(exc)}") from exc
            if response.status not in (301, 302, 303, 307, 308):
                return wire, response, hops
            location = response.fields.get("location", "")
            wire.finish()
            try:
                url = urljoin(url, location)
            except ValueError as exc:
                raise UpstreamRefused(f"{subject}: a redirect to what is no address") from exc
        raise UpstreamRefused(f"{subject}: more than {MAX_REDIRECTS} redirects")

    def _wire_to(self, origin: Origin, subject: str) -> Wire:
        """The thread's connection to the host, not made yet; the first one with TLS reads the trusted CAs."""
        try:
            return self._wires.mine().to(origin)
        except NETWORK_ERRORS as exc:
            raise UpstreamInterrupted(
                f"{subject}: {origin.netloc}: no TLS with the settings of this machine: {_describe(exc)}"
            ) from exc

    def _framing(self, response: WireResponse, offset: int, name: str) -> tuple[int, int | None]:
        """(offset of the first byte, size of the whole blob) of an answer that has the blob."""
        if response.status == 206:
            match = _CONTENT_RANGE.fullmatch(response.fields.get("content-range", ""))
            if match is None:
                raise UpstreamRefused(f"{name}: 206 without a readable Content-Range")
            return int(match[1]), int(match[3])
        if response.status != 200:
            self._refuse(response, name)
        if response.fields.get("content-type", "").lower().startswith("text/html"):
            raise ContentMismatch(
                f"{name}: expected a gzip archive, found a page of text/html with status 200"
            )
        return 0, response.content_length

    def _refuse(self, response: WireResponse, subject: str) -> NoReturn:
        try:
            body = response.read(ERROR_BODY_BYTES)
        except NETWORK_ERRORS:
            body = b""
        if response.status == _MISDIRECTED:
            # Not for this connection: another try needs a new one.
            response.will_close = True
        retry_after = response.fields.get("retry-after")
        raise answer_error(subject, status=response.status, body=body, retry_after=retry_after)

    def _renew_token(self, url: str, challenge: str, subject: str) -> None:
        """A token for the repository, from the realm that the registry names (one of the allowed hosts)."""
        fields = dict(_CHALLENGE.findall(challenge)) if challenge.lower().startswith("bearer ") else {}
        if "realm" not in fields:
            raise UpstreamUnauthorized(f"{subject}: 401 without a bearer realm")
        query = "&".join(
            f"{name}={quote(fields[name], safe=':/')}" for name in ("service", "scope") if name in fields
        )
        origin, target = self._hosts.check(f"{fields['realm']}?{query}", subject=f"{subject} (token)")
        wire = self._wire_to(origin, subject)
        try:
            with answered(wire, "GET", target, {"Accept": "application/json"}) as response:
                if response.status != 200:
                    self._refuse(response, f"{subject} (token)")
                answer = _token_decoder.decode(response.read(_TOKEN_BODY_BYTES))
        except NETWORK_ERRORS as exc:
            wire.close()
            raise UpstreamInterrupted(f"{subject}: no token: {_describe(exc)}") from exc
        except (*UNREADABLE, BlobNotFound) as exc:
            raise UpstreamUnauthorized(f"{subject}: the realm gave no token") from exc
        token = answer.token or answer.access_token
        if not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
            raise UpstreamUnauthorized(f"{subject}: the realm gave no usable token")
        self._tokens[_repository(url)] = token


def _unpacked(data: bytes, encoding: str, path: str) -> bytes:
    """The document, out of the one gzip that a proxy may have put around it though nobody asked for one.

    Raises:
        UpstreamRefused: more than one coding, another one, or more bytes than a document may have.
    """
    codings = [coding for part in encoding.split(",") if (coding := part.strip().lower()) not in _NO_CODING]
    if not codings:
        return data
    if codings not in _GZIP:
        raise UpstreamRefused(f"{path}: expected no Content-Encoding or one gzip, found {encoding[:80]!a}")
    if not data.startswith(_GZIP_BEGINS):
        return data  # only marked: it was unpacked on the way
    try:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        unpacked = unpacker.decompress(data, MAX_INDEX_BYTES + 1)
    except zlib.error as exc:
        raise UpstreamRefused(f"{path}: expected a gzip, found: {exc}") from exc
    if len(unpacked) > MAX_INDEX_BYTES or not unpacker.eof:
        raise UpstreamRefused(f"{path}: expected at most {MAX_INDEX_BYTES} bytes in a whole gzip")
    return unpacked


def _repository(url: str) -> str:
    """The part of an address for which a token is good: all before blobs or manifests."""
    return url.split("/blobs/", maxsplit=1)[0].split("/manifests/", maxsplit=1)[0]


def _describe(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
