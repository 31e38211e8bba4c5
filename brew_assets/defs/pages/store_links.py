"""Where what a sync wrote can be looked at: AWS's console for a bucket, a path for a directory."""

from typing import NamedTuple
from urllib.parse import urlencode

import dagster as dg

from brew_assets.configured import region_of
from brew_assets.defs.pages.markdown import escaped, link
from brew_assets.domain.foreign_text import printable
from brew_assets.settings import Settings

_CONSOLES = {"cn-": "https://console.amazonaws.cn", "us-gov-": "https://console.amazonaws-us-gov.com"}
_CONSOLE = "https://s3.console.aws.amazon.com"


class Place(NamedTuple):
    """One object or folder. `url` is empty where no page shows it."""

    path: str
    url: str

    def metadata(self) -> "dg.UrlMetadataValue | dg.PathMetadataValue":
        """The place as Dagster shows it: a link, or a path to copy."""
        return dg.MetadataValue.url(self.url) if self.url else dg.MetadataValue.path(printable(self.path))

    def markdown(self) -> str:
        """The place in a text."""
        return link(self.path, self.url) if self.url else escaped(self.path)


class Places:
    """The places of one store, by key."""

    def __init__(self, store_url: str, settings: Settings) -> None:
        self._store_url = store_url
        bucket, _, self._prefix = store_url.removeprefix("s3://").partition("/")
        # An S3-compatible server has no page in AWS's console.
        endpoint = settings.aws_endpoint_url_s3 or settings.aws_endpoint_url
        self._bucket = bucket if store_url.startswith("s3://") and not endpoint else ""
        self._region = region_of(settings) if self._bucket else ""
        self._console = next(
            (host for start, host in _CONSOLES.items() if self._region.startswith(start)), _CONSOLE
        )

    def folder(self, key: str = "") -> Place:
        """The folder at `key`, which ends with a slash; the whole store without one."""
        return self._place("buckets", key)

    def document(self, key: str) -> Place:
        """The object at `key`."""
        return self._place("object", key)

    def _place(self, kind: str, key: str) -> Place:
        path = f"{self._store_url}{key}"
        if not self._bucket:
            return Place(path, "")
        asked = urlencode({"region": self._region, "prefix": f"{self._prefix}{key}"}, errors="replace")
        return Place(path, f"{self._console}/s3/{kind}/{self._bucket}?{asked}")
