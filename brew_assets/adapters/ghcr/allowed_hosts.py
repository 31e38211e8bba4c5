"""Which hosts may be contacted for bottles: the registry, and those to which it may redirect."""

import re
from collections.abc import Iterable

from brew_assets.adapters.http.url import Origin, split_url
from brew_assets.errors import HostRefused

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
