"""Where a registry's API begins, and what stands before the names of its repositories.

The API of every registry is under a `v2` (OCI distribution specification, "Endpoints"). Caches put their own
path before it, or a project before the names, and people write their address with or without the `v2`:

    https://ghcr.io                                       https://ghcr.io/v2/homebrew/core/…
    https://harbor.example/v2/ghcr-cache                  as written, /homebrew/core/… behind it
    https://nexus.example/repository/ghcr                 /v2/homebrew/core/… behind it
    https://harbor.example/ghcr-cache                     https://harbor.example/v2/ghcr-cache/homebrew/core/…

A `v2` in the path says it all. A path without one may be either of the last two: both are asked, and the one
that has something is the one.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from brew_assets.adapters.http.url import AddressInvalid, Origin, split_url
from brew_assets.domain.addresses import shown_url

API = "v2"
# What Homebrew's bottles are called at every registry; HOMEBREW_BOTTLE_DOMAIN has it in its address.
NAMESPACE = "homebrew/core"


class RegistryAddress:
    """The address of a registry as somebody wrote it. Used by several threads."""

    def __init__(self, url: str) -> None:
        """The address is read; nothing is contacted.

        Raises:
            AddressInvalid: it is no absolute http(s) address, or has more in it than a path.
        """
        self.origin, _ = split_url(url)
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise AddressInvalid(
                expected="an address without user and password (BOTTLE_REGISTRY_USERNAME and "
                "BOTTLE_REGISTRY_PASSWORD are for those)",
                url=url,
            )
        if "?" in url or "#" in url:
            raise AddressInvalid(expected="an address without query and fragment", url=url)
        self.shown = shown_url(url).rstrip("/")
        self._roots = _roots(self.origin, parts.path)

    @property
    def roots(self) -> tuple[str, ...]:
        """The addresses below which `homebrew/core/…` may stand: one, once that is settled."""
        return self._roots

    def settle(self, root: str) -> None:
        """From now on this is the one."""
        self._roots = (root,)


def behind(url: str, roots: Iterable[str]) -> str | None:
    """What follows one of the roots in the address, None where it is below none of them."""
    return next((url[len(root) + 1 :] for root in roots if url.startswith(f"{root}/")), None)


def _roots(origin: Origin, path: str) -> tuple[str, ...]:
    base = f"{origin.scheme}://{origin.netloc}"
    names = [name for name in path.split("/") if name]
    if names[-2:] == NAMESPACE.split("/"):
        del names[-2:]
    way = "".join(f"/{name}" for name in names)
    if API in names:
        return (f"{base}{way}",)
    return tuple(dict.fromkeys((f"{base}{way}/{API}", f"{base}/{API}{way}")))
