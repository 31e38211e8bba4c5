"""Where a registry's API begins, what stands before the names of its repositories, and where it may lead.

The API of every registry is under a `v2` (OCI distribution specification, "Endpoints"). Caches put their own
path before it, or a project before the names, and people write their address with or without the `v2`:

    https://ghcr.io                                       https://ghcr.io/v2/homebrew/core/…
    https://harbor.example/v2/ghcr-cache                  as written, /homebrew/core/… behind it
    https://nexus.example/repository/ghcr                 /v2/homebrew/core/… behind it
    https://harbor.example/ghcr-cache                     https://harbor.example/v2/ghcr-cache/homebrew/core/…

A `v2` in the path says it all. A path without one may be either of the last two: both are asked, and the one
that has something is the one.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from brew_assets.adapters.http.url import AddressInvalid, Origin, split_url
from brew_assets.domain.addresses import shown_url
from brew_assets.errors import HostRefused

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


# An address without user, fragment or anything else that a full parser would have to judge.
_ORIGIN = re.compile(r"(https?://[A-Za-z0-9.:-]+)(/[\x21\x24-\x7e]*)\Z")


class AllowedHosts:
    """The hosts that may be contacted: the registry and those that the settings name."""

    def __init__(self, registry: Origin, hosts: Iterable[str]) -> None:
        self._registry = registry
        self._named = [host.strip() for host in hosts if host.strip()]
        named = {host.lower().removesuffix(":443") for host in self._named}
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
        address = f"{origin.scheme}://{origin.netloc}"
        if origin.scheme == "http" and not origin.is_loopback:
            remedy = "plain http is only for this machine, use https"
            raise HostRefused(subject=subject, address=address, remedy=remedy)
        if origin.netloc.lower() not in self._netlocs:
            wanted = ",".join([*self._named, origin.netloc])
            remedy = f"if the registry keeps its bottles there, set BOTTLE_CDN_HOSTS={wanted}"
            raise HostRefused(subject=subject, address=address, allowed=str(self), remedy=remedy)
        if known is not None:
            self._allowed[known[1]] = origin
        return origin, target

    def __str__(self) -> str:
        registry = f"{self._registry.scheme}://{self._registry.netloc} (BOTTLE_REGISTRY_URL)"
        return ", ".join([registry, *(f"{host} (BOTTLE_CDN_HOSTS)" for host in self._named)])
