"""The registry that the settings name, and who may be contacted for it."""

import re

from brew_assets.adapters.ghcr.login import CredentialsSource, given_credentials
from brew_assets.adapters.ghcr.registry import Ghcr
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.url import AddressInvalid
from brew_assets.engine.ports import Clock
from brew_assets.errors import SettingsInvalid
from brew_assets.setting_values import shown_value
from brew_assets.settings import Settings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]\\]+)(:[0-9]{1,5})?")


def build_registry(settings: Settings, reach: Reach, clock: Clock) -> Ghcr:
    """The registry of BOTTLE_REGISTRY_URL. Nothing is contacted yet.

    Raises:
        SettingsInvalid: the address, or the name of a host, is none.
    """
    try:
        return Ghcr(
            settings.bottle_registry_url,
            cdn_hosts=_cdn_hosts(settings),
            timeout_s=settings.download_timeout_seconds,
            credentials=_registry_credentials(settings, reach),
            reach=reach,
            clock=clock,
        )
    except AddressInvalid as exc:
        raise SettingsInvalid(name="BOTTLE_REGISTRY_URL", expected=exc.expected, found=exc.found) from exc


def _cdn_hosts(settings: Settings) -> tuple[str, ...]:
    for host in settings.bottle_cdn_hosts:
        if not _HOST.fullmatch(host.strip()):
            expected = "hosts as in example.org or example.org:8443"
            raise SettingsInvalid(name="BOTTLE_CDN_HOSTS", expected=expected, found=shown_value(host))
    return settings.bottle_cdn_hosts


def _registry_credentials(settings: Settings, reach: Reach) -> CredentialsSource | None:
    """Where the registry's user and password come from, None where none are set. Nothing is contacted yet."""
    username = settings.bottle_registry_username
    if username or not settings.bottle_registry_secret_name:
        return given_credentials(username, settings.bottle_registry_password)
    from brew_assets.adapters.aws.secrets import RegistrySecret

    return RegistrySecret(
        settings.bottle_registry_secret_name,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url or None,
        reach=reach,
    )
