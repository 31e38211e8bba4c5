"""formulae.brew.sh: the catalogue, fetched conditionally."""

import io
import random
import time
from typing import TYPE_CHECKING

from brew_assets.adapters.http_status import may_pass
from brew_assets.adapters.origin import split_url
from brew_assets.engine.ports import FetchedCatalogue
from brew_assets.errors import CatalogueRefused, CatalogueUnavailable

if TYPE_CHECKING:
    import httpx

# The real document has 31 MB; far more can only be an attack or a mistake.
MAX_CATALOGUE_BYTES = 512 * 1024 * 1024
_ATTEMPTS = 3
_RETRY_DELAY_S = 0.5


class FormulaeApi:
    """The formulae API below `base_url` (FORMULAE_API_URL)."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        self.url = f"{base_url.rstrip('/')}/formula.json"
        self._timeout_s = timeout_s

    def fetch(self, *, etag: str = "") -> FetchedCatalogue | None:
        """The catalogue, None when it still is the one with this ETag.

        Raises:
            CatalogueUnavailable: no answer, or one that may pass, as often as it was tried.
            CatalogueRefused: an address that is none, or another answer without a catalogue.
        """
        # A tenth of a second that runs without a catalogue do not pay.
        import httpx

        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "brew-mirror"}
        # Anything else would not be the header that upstream sent, but an error of our own.
        if etag and etag.isascii() and etag.isprintable():
            headers["If-None-Match"] = etag
        self._check_address()
        last: Exception | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.0, _RETRY_DELAY_S * 2.0**attempt))
            try:
                with self._client() as client:
                    return self._fetch(client, headers)
            except CatalogueRefused:
                raise
            # What httpx lets out for an address that is none; UnicodeError for the name of a host.
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as exc:
                raise CatalogueRefused(f"{self.url}: {type(exc).__name__}: {exc}") from exc
            # Not httpx.HTTPError alone: its StreamError, and what a socket does, are none.
            except Exception as exc:
                last = exc
        if isinstance(last, CatalogueUnavailable):
            raise last
        raise CatalogueUnavailable(f"{self.url}: {type(last).__name__}: {last}") from last

    def _client(self) -> "httpx.Client":
        """A client with a TLS context of its own."""
        import httpx

        timeout = httpx.Timeout(self._timeout_s, connect=min(30.0, self._timeout_s))
        try:
            return httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)
        except Exception as exc:
            raise CatalogueRefused(
                f"{self.url}: no TLS with the settings of this machine: {type(exc).__name__}: {exc}"
            ) from exc

    def _check_address(self) -> None:
        try:
            origin, _ = split_url(self.url)
        except ValueError as exc:
            raise CatalogueRefused(f"FORMULAE_API_URL: {exc}") from exc
        if origin.scheme == "http" and not origin.is_loopback:
            raise CatalogueRefused(f"{self.url}: plain http is only for this machine, use https")

    def _fetch(self, client: "httpx.Client", headers: dict[str, str]) -> FetchedCatalogue | None:
        with client.stream("GET", self.url, headers=headers) as response:
            if response.status_code == 304 and "If-None-Match" in headers:
                return None
            if response.status_code != 200:
                kind = CatalogueUnavailable if may_pass(response.status_code) else CatalogueRefused
                raise kind(f"{self.url}: expected status 200, found {response.status_code}")
            # BytesIO hands its bytes out without a copy.
            body = io.BytesIO()
            for piece in response.iter_bytes(1024 * 1024):
                if body.write(piece) and body.tell() > MAX_CATALOGUE_BYTES:
                    raise CatalogueRefused(f"{self.url}: more than {MAX_CATALOGUE_BYTES} bytes")
            return FetchedCatalogue(
                data=body.getvalue(),
                etag=response.headers.get("etag", ""),
                last_modified=response.headers.get("last-modified", ""),
            )
