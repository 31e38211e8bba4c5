"""One document of formulae.brew.sh, fetched conditionally."""

import re
from typing import TYPE_CHECKING

from brew_assets.adapters.http import body as http_body
from brew_assets.adapters.http.body_limits import BodyLimits, BodyRefused
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.http.response import may_pass
from brew_assets.adapters.http.url import split_url
from brew_assets.domain.addresses import names_a_secret, shown_url
from brew_assets.engine.clock import GracefulStop, go_on_planning
from brew_assets.engine.ports import Clock, FetchedCatalogue, StopSignal
from brew_assets.engine.retry import Backoff, retrying
from brew_assets.errors import (
    CatalogueRefused,
    CatalogueUnavailable,
    CatalogueUnreachable,
    PlanningStopped,
    ProxyRefused,
    SettingsInvalid,
)

if TYPE_CHECKING:
    import httpx

_TRIES = 3
_BACKOFF = Backoff(first_s=1.0)
# One entity tag (RFC 9110, 8.8.3) of a bounded length. "*" would be the version of any document, for ever; a
# long one a request that the server refuses as too large, for ever.
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,1024}"')


class ApiDocument:
    """The document at `path` below `base_url` (FORMULAE_API_URL), of `most_bytes` at most."""

    def __init__(
        self,
        base_url: str,
        path: str,
        *,
        most_bytes: int,
        timeout_s: float,
        reach: Reach = PLAIN,
        clock: Clock,
        stop: StopSignal | None = None,
    ) -> None:
        self._base_url = base_url
        self._url = f"{base_url.rstrip('/')}/{path}"
        # gzip makes a tenth of the real ones; what does not shrink at all may come too.
        self._limits = BodyLimits(received=most_bytes, decoded=most_bytes)
        # Kept in the store and shown: without a password.
        self.url = shown_url(self._url)
        self._timeout_s = timeout_s
        self._reach = reach
        self._clock = clock
        self._stop = stop or GracefulStop()

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """Its bytes without their transfer coding; None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass, as often as it was tried.
            CatalogueRefused: an address that is none, or another answer without the document.
            PlanningStopped: the stop signal came meanwhile.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "brew-mirror"}
        if _ETAG.fullmatch(etag):
            headers["If-None-Match"] = etag
        self._check_address()
        try:
            return retrying(
                lambda: self._try(headers),
                on=CatalogueUnavailable,
                next_wait_s=_BACKOFF.for_tries(_TRIES),
                clock=self._clock,
                stop=self._stop,
            )
        except CatalogueUnavailable:
            go_on_planning(self._stop)
            raise

    def _try(self, headers: dict[str, str]) -> FetchedCatalogue | None:
        # A tenth of a second that runs without a document do not pay.
        import httpx

        try:
            return self._fetch(headers)
        except (CatalogueRefused, CatalogueUnavailable, PlanningStopped, SettingsInvalid):
            raise
        except (BodyRefused, ProxyRefused) as exc:
            raise CatalogueRefused(f"{self.url}: {exc}") from exc
        # What httpx lets out for an address that is none; UnicodeError for the name of a host.
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as exc:
            raise CatalogueRefused(self._described(exc)) from None
        # Not httpx.HTTPError alone: its StreamError, and what a socket does, are none.
        except Exception as exc:
            unreachable = CatalogueUnreachable(self._described(exc))
        # Outside the handler: the address may stand in the text of its cause.
        raise unreachable

    def _described(self, error: Exception) -> str:
        text = f": {error}" if not names_a_secret(str(error), self._url) else ""
        return f"{self.url}: {type(error).__name__}{text}"

    def _client(self) -> "httpx.Client":
        """A client with a TLS context of its own."""
        import httpx

        from brew_assets.adapters.http.transport import ReachTransport

        timeout = httpx.Timeout(self._timeout_s, connect=min(30.0, self._timeout_s))
        try:
            transport = ReachTransport(self._reach)
            return httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport)
        except SettingsInvalid:
            raise
        except Exception as exc:
            raise CatalogueRefused(
                f"{self.url}: no TLS with the settings of this machine: {type(exc).__name__}: {exc}"
            ) from exc

    def _check_address(self) -> None:
        try:
            origin, _ = split_url(self._base_url)
        except ValueError as exc:
            raise CatalogueRefused(f"FORMULAE_API_URL: {exc}") from None
        if origin.scheme == "http" and not origin.is_loopback:
            raise CatalogueRefused(f"{self.url}: plain http is only for this machine, use https")

    def _fetch(self, headers: dict[str, str]) -> FetchedCatalogue | None:
        answer = http_body.get(
            self._client(),
            self._url,
            headers,
            limits=self._limits,
            silence_s=self._timeout_s,
            clock=self._clock,
            stop=self._stop,
        )
        if answer.status == 304 and "If-None-Match" in headers:
            return None
        if answer.status != 200:
            kind = CatalogueUnavailable if may_pass(answer.status) else CatalogueRefused
            raise kind(f"{self.url}: expected status 200, found {answer.status}")
        return FetchedCatalogue(
            data=answer.body,
            etag=answer.headers.get("etag", ""),
            last_modified=answer.headers.get("last-modified", ""),
        )
