"""A registry of GHCR's shape: blobs for the bulk path, indexes and child manifests for sizes.

What ghcr.io answers: 401 without Authorization, a 307 to a signed address for any bearer, which must be
followed without the header. Caches of one's own stand behind paths and want credentials: addresses.py and
login.py. Only the registry and the configured hosts are ever contacted.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NoReturn
from urllib.parse import quote, urldefrag, urljoin

import msgspec

from brew_assets.adapters.ghcr.addresses import NAMESPACE, AllowedHosts, RegistryAddress, behind
from brew_assets.adapters.ghcr.answers import (
    ERROR_BODY_BYTES,
    GhcrBlob,
    answer_error,
    describe,
    interrupted,
    unpacked,
)
from brew_assets.adapters.ghcr.login import Challenge, CredentialsSource, RegistryLogin, challenges_of
from brew_assets.adapters.http.connection import NETWORK_ERRORS, Wire
from brew_assets.adapters.http.pool import ThreadWires, answered
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.http.response import WireResponse
from brew_assets.adapters.http.url import Origin
from brew_assets.domain.bottle import Bottle
from brew_assets.domain.oci import CHILD_MEDIA_TYPE, INDEX_MEDIA_TYPE, MAX_INDEX_BYTES
from brew_assets.engine.ports import Clock
from brew_assets.errors import (
    UNREADABLE,
    BlobNotFound,
    ContentMismatch,
    DocumentTooLarge,
    HostRefused,
    UpstreamFailed,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamUnauthorized,
)

CATALOGUE_REGISTRY = "https://ghcr.io"
_CATALOGUE_ROOT = f"{CATALOGUE_REGISTRY}/v2"
MAX_REDIRECTS = 3
_TOKEN_BODY_BYTES = 65536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISDIRECTED = 421
# Of a registry that has what is asked for; 416 answers a Range.
_HAS_IT = frozenset({200, 206, 416})
# Whoever answers so may have it and not say so now.
_NOT_NOW = frozenset({408, 421, 425, 429})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_COOKIE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]{1,256}=[\x21-\x3a\x3c-\x7e]{0,4096}")


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
        credentials: CredentialsSource | None = None,
        reach: Reach = PLAIN,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._registry = RegistryAddress(registry_url)
        self.url = self._registry.shown
        self._hosts = AllowedHosts(self._registry.origin, cdn_hosts)
        self._hosts.check(self._registry.roots[0], subject="BOTTLE_REGISTRY_URL")
        self._wires = ThreadWires(reach, timeout_s=timeout_s, monotonic=clock.monotonic)
        self._login = RegistryLogin(self.url, credentials)

    def open(self, bottle: Bottle, *, offset: int = 0) -> GhcrBlob:
        """The blob from byte `offset` on, or from 0 when upstream does not do ranges: its `start` says which.

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
        wire, response = self._get(self._place(bottle.url, name), subject=name, offset=offset)
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
        """The index's bytes, as they were before any transfer coding; None when the registry has none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """
        return self._document(f"{NAMESPACE}/{image}/manifests/{reference}", INDEX_MEDIA_TYPE)

    def fetch_child(self, image: str, digest: str) -> bytes | None:
        """The bytes of the child manifest with this digest (hex, not compared), None when there is none.

        Raises:
            UpstreamError: one of its classes, see errors.py.
        """
        return self._document(f"{NAMESPACE}/{image}/manifests/sha256:{digest}", CHILD_MEDIA_TYPE)

    def interrupt(self) -> None:
        """Bodies that any thread is waiting for break off at once."""
        self._wires.interrupt()

    def close(self) -> None:
        """The calling thread's connections and those that no thread uses are closed."""
        self._wires.close()

    def _place(self, url: str, name: str) -> str:
        """What the catalogue's address names at any registry: `homebrew/core/…`."""
        place = behind(url, (_CATALOGUE_ROOT, *self._registry.roots))
        if place is None:
            origin = "/".join(url.split("/", 3)[:3])[:120]
            raise HostRefused(subject=name, address=origin, allowed=f"{CATALOGUE_REGISTRY}, {self.url}")
        return place

    def _document(self, path: str, media_type: str) -> bytes | None:
        wire, response = self._get(path, subject=path, accept=media_type)
        try:
            if response.status != 200:
                self._refuse(response, path)
            data = response.read(MAX_INDEX_BYTES + 1)
        except BlobNotFound:
            return None
        except NETWORK_ERRORS as exc:
            raise interrupted(path, exc, during="the body broke off") from exc
        finally:
            wire.finish()
        if len(data) > MAX_INDEX_BYTES:
            raise DocumentTooLarge(f"{path}: expected at most {MAX_INDEX_BYTES} bytes, found more")
        if response.length:
            raise UpstreamInterrupted(f"{path}: the body ended {response.length} bytes too early")
        return unpacked(data, response.fields.get("content-encoding", ""), path)

    def _get(
        self, place: str, *, subject: str, offset: int = 0, accept: str = "*/*"
    ) -> tuple[Wire, WireResponse]:
        """Connection and response of the registry's address that has what stands at the place.

        As long as it is open where its API begins, all of the addresses that it may be are asked.
        """
        *others, last = self._registry.roots
        for root in others:
            try:
                wire, response = self._admitted(
                    f"{root}/{place}", subject=subject, offset=offset, accept=accept
                )
            except (HostRefused, UpstreamRefused, UpstreamUnauthorized):
                continue
            if _has_it(response):
                self._registry.settle(root)
            if _has_it(response) or response.status >= 500 or response.status in _NOT_NOW:
                return wire, response
            wire.finish()
        wire, response = self._admitted(f"{last}/{place}", subject=subject, offset=offset, accept=accept)
        if others and _has_it(response):
            self._registry.settle(last)
        return wire, response

    def _admitted(self, url: str, *, subject: str, offset: int, accept: str) -> tuple[Wire, WireResponse]:
        """Connection and response after redirects and, once, what the registry wants to be shown."""
        with self._login.turn():
            # Asked first with what was good last time, for a token serves many blobs. Only a 401 of the
            # registry itself is a challenge: one of a host that it led to is about a signed address, and is
            # shown nothing. The second round is marked, so that a registry which refuses what it asked for
            # ends as refused instead of going round. That it has let us in shows below 400; a 404 shows it
            # only after a challenge, for some answer that to anybody.
            was_asked = False
            while True:
                shown = self._login.authorization(_repository(url))
                wire, response, hops = self._follow(url, shown, subject=subject, offset=offset, accept=accept)
                if response.status == 403 and hops:
                    # The signed address ran out or was spoilt: the registry makes a new one.
                    wire.finish()
                    raise UpstreamFailed(f"{subject}: the registry's redirect leads to 403")
                if response.status != 401 or wire.origin != self._registry.origin:
                    if response.status < 400 or (was_asked and response.status in (404, 416)):
                        self._login.given()
                    return wire, response
                challenges = challenges_of(response.fields.get("www-authenticate", ""))
                wire.finish()
                self._answer(challenges, url, subject, shown=shown, again=was_asked)
                was_asked = True

    def _answer(
        self,
        challenges: list[Challenge],
        url: str,
        subject: str,
        *,
        shown: Mapping[str, str],
        again: bool,
    ) -> None:
        """The next request shows what the registry wants to see; `shown` is what it was shown.

        Raises:
            UpstreamUnauthorized: it wants nothing that we have, or was shown it.
            RegistryRefused: the same, for all that is there.
        """
        schemes = {challenge.scheme for challenge in challenges}
        bearer = next((c for c in challenges if c.scheme == "bearer" and c.parameters.get("realm")), None)
        if again and (bearer is not None or "basic" not in schemes):
            raise self._login.closed(subject, _repository(url), "401 with a fresh token")
        if bearer is not None:
            try:
                return self._renew_token(url, bearer, subject)
            except HostRefused:
                if "basic" not in schemes or not self._login.has_credentials:
                    raise
        if "basic" in schemes:
            return self._login.use_basic(subject, shown=shown)
        why = "401 without a challenge of Basic or Bearer with a realm"
        raise self._login.closed(subject, _repository(url), why)

    def _follow(
        self, url: str, authorization: Mapping[str, str], *, subject: str, offset: int, accept: str
    ) -> tuple[Wire, WireResponse, int]:
        """Connection and response after so many redirects."""
        headers = {"Accept": accept, "User-Agent": "brew-mirror"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        # By hand, because each hop may show something else. The authorization is for the registry: a signed
        # address refuses a request that has a second one, and a foreign host must not see it. Only when the
        # registry leads to itself, and says 401 there, the same address is asked once more with it; that is
        # no hop, and cannot repeat, since it was shown then. A cookie goes back to the origin that set it,
        # and lives as long as this one request.
        cookies: dict[Origin, str] = {}
        hops, shows = 0, True
        while hops <= MAX_REDIRECTS:
            origin, target = self._hosts.check(url, subject=subject)
            cookie = {"Cookie": cookies[origin]} if origin in cookies else {}
            wire = self._wire_to(origin, subject)
            try:
                # The header is the registry's: a signed address refuses a request that carries it.
                response = wire.exchange(
                    "GET", target, headers | cookie | (dict(authorization) if shows else {})
                )
            except NETWORK_ERRORS as exc:
                wire.close()
                raise interrupted(subject, exc, during=origin.netloc, place=origin.netloc) from exc
            if response.status == 401 and origin == self._registry.origin and not shows:
                # It has led to another address of its own, where it wants to see it again.
                shows = True
            elif response.status not in _REDIRECTS:
                return wire, response, hops
            else:
                hops, shows = hops + 1, False
                if given := _COOKIE.match(response.fields.get("set-cookie", "")):
                    cookies[origin] = given[0]
                url = _redirected(url, response.fields.get("location", ""), subject)
            wire.finish()
        raise UpstreamRefused(f"{subject}: more than {MAX_REDIRECTS} redirects")

    def _wire_to(self, origin: Origin, subject: str) -> Wire:
        """The thread's connection to the host, not made yet; the first one with TLS reads the trusted CAs."""
        try:
            return self._wires.mine().to(origin)
        except NETWORK_ERRORS as exc:
            raise UpstreamInterrupted(
                f"{subject}: {origin.netloc}: no TLS with the settings of this machine: {describe(exc)}"
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
        raise answer_error(
            subject, status=response.status, body=body, retry_after=retry_after, now=self._clock.now()
        )

    def _renew_token(self, url: str, challenge: Challenge, subject: str) -> None:
        """A token for the repository, from the realm that the registry names (one of the allowed hosts).

        The realm is shown the credentials where there are some, and nobody else whom it may lead to.
        """
        repository = _repository(url)
        origin, target = self._hosts.check(_token_address(challenge), subject=f"{subject} (token)")
        credentials = self._login.credentials()
        headers = {"Accept": "application/json"}
        if credentials is not None:
            headers["Authorization"] = credentials.header()
        wire = self._wire_to(origin, subject)
        try:
            with answered(wire, "GET", target, headers) as response:
                if response.status == 401 and credentials is not None:
                    raise self._login.refused_credentials(subject)
                if response.status in (401, 403):
                    why = "with" if credentials is not None else "without"
                    why = f"{response.status} from its realm {why} credentials"
                    raise self._login.closed(subject, repository, why)
                if response.status != 200:
                    self._refuse(response, f"{subject} (token)")
                answer = _token_decoder.decode(response.read(_TOKEN_BODY_BYTES))
        except NETWORK_ERRORS as exc:
            wire.close()
            raise interrupted(subject, exc, during="no token", place="the realm of its tokens") from exc
        except (*UNREADABLE, BlobNotFound) as exc:
            raise UpstreamUnauthorized(f"{subject}: the realm gave no token") from exc
        token = answer.token or answer.access_token
        if not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
            raise UpstreamUnauthorized(f"{subject}: the realm gave no usable token")
        self._login.use_token(repository, token)


def _has_it(response: WireResponse) -> bool:
    """Whether the answer is that of a registry that has what it was asked for, and no page for people."""
    content_type = response.fields.get("content-type", "").lower()
    return response.status in _HAS_IT and not content_type.startswith("text/html")


def _redirected(url: str, location: str, subject: str) -> str:
    try:
        if location:
            return urljoin(url, location)
        raise ValueError("no Location")
    except ValueError as exc:
        raise UpstreamRefused(f"{subject}: a redirect to what is no address") from exc


def _token_address(challenge: Challenge) -> str:
    """The realm's address with what it is to be asked."""
    asked = "&".join(
        f"{name}={quote(challenge.parameters[name], safe=':/')}"
        for name in ("service", "scope")
        if name in challenge.parameters
    )
    realm = urldefrag(challenge.parameters["realm"]).url
    return f"{realm}{'&' if '?' in realm else '?'}{asked}"


def _repository(url: str) -> str:
    """The part of an address for which a token is good: all before blobs or manifests."""
    return url.split("/blobs/", maxsplit=1)[0].split("/manifests/", maxsplit=1)[0]
