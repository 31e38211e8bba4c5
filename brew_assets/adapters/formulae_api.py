"""formulae.brew.sh: the catalogue, fetched conditionally."""

import random
import re
from typing import TYPE_CHECKING

from brew_assets.adapters.http import body as http_body
from brew_assets.adapters.http.body_limits import BodyLimits, BodyRefused
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.http.response import may_pass
from brew_assets.adapters.http.url import split_url
from brew_assets.domain.addresses import names_a_secret, shown_url
from brew_assets.domain.formula import MAX_CATALOGUE_BYTES
from brew_assets.engine.clock import GracefulStop, SystemClock
from brew_assets.engine.ports import Clock, FetchedCatalogue, StopSignal
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

# gzip makes a tenth of the real document; what does not shrink at all may come too.
LIMITS = BodyLimits(received=MAX_CATALOGUE_BYTES, decoded=MAX_CATALOGUE_BYTES)
_ATTEMPTS = 3
_RETRY_DELAY_S = 0.5
# One entity tag (RFC 9110, 8.8.3) of a bounded length. "*" would be the version of any document, for ever; a
# long one a request that the server refuses as too large, for ever.
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,1024}"')


class FormulaeApi:
    """The formulae API below `base_url` (FORMULAE_API_URL)."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        reach: Reach = PLAIN,
        clock: Clock | None = None,
        stop: StopSignal | None = None,
    ) -> None:
        self._base_url = base_url
        self._url = f"{base_url.rstrip('/')}/formula.json"
        # Kept in the store and shown: without a password.
        self.url = shown_url(self._url)
        self._timeout_s = timeout_s
        self._reach = reach
        self._clock = clock or SystemClock()
        self._stop = stop or GracefulStop()

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """The catalogue, None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass, as often as it was tried.
            CatalogueRefused: an address that is none, or another answer without a catalogue.
            PlanningStopped: the stop signal came meanwhile.
        """
        # A tenth of a second that runs without a catalogue do not pay.
        import httpx

        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "brew-mirror"}
        if _ETAG.fullmatch(etag):
            headers["If-None-Match"] = etag
        self._check_address()
        last: Exception | None = None
        for attempt in range(_ATTEMPTS):
            wait_s = random.uniform(0.0, _RETRY_DELAY_S * 2.0**attempt)
            if attempt and self._clock.wait(wait_s, self._stop):
                raise PlanningStopped
            try:
                return self._fetch(headers)
            except (CatalogueRefused, PlanningStopped, SettingsInvalid):
                raise
            except (BodyRefused, ProxyRefused) as exc:
                raise CatalogueRefused(f"{self.url}: {exc}") from exc
            # What httpx lets out for an address that is none; UnicodeError for the name of a host.
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as exc:
                raise CatalogueRefused(self._described(exc)) from None
            # Not httpx.HTTPError alone: its StreamError, and what a socket does, are none.
            except Exception as exc:
                last = exc
        if isinstance(last, CatalogueUnavailable):
            raise last
        # Without its cause, in whose text the address may stand.
        raise CatalogueUnreachable(self._described(last)) from None

    def _described(self, error: Exception | None) -> str:
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
            limits=LIMITS,
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
