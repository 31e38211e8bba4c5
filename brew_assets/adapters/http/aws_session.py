"""botocore's session whose clients, those that it makes for credentials too, go out by our rule."""

import re
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import InstanceMetadataProvider
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)
from botocore.httpsession import ProxyConfiguration

from brew_assets.adapters.http.proxies import Proxy
from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.http.tunnel import ProxyFailure, answer_failure
from brew_assets.adapters.http.url import Origin, split_url

# http.client's words for an answer to CONNECT.
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})")
_NESTED = 8


class RefusedByProxy(BotoCoreError):
    """What botocore does not try again: the proxy lets nothing through."""

    fmt = "{finding}"


class FailedAtProxy(ProxyConnectionError):
    """What botocore may try again: the proxy did not answer, or with what may pass."""

    fmt = "{finding}"


class ReachSession(botocore.session.Session):
    """A session that looks for no proxy in the environment, and trusts what `reach` trusts."""

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach = reach
        # Not None, which means those of the environment.
        self.set_default_client_config(Config(proxies={}))

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """As botocore's.

        Raises:
            SettingsInvalid: a file or folder of certificates that is named has none.
        """
        reach = self.own_reach()
        if options.get("verify") is None:
            options["verify"] = reach.ca_file()
        client: Any = super().create_client(*arguments, **options)
        # There is no public way to decide by host, and none to give a proxy a password that is not ASCII.
        session = client._endpoint.http_session
        session._proxy_config = _ByReach(reach)
        session.send = _naming_the_proxy(session.send, reach)
        return client

    def _create_credential_resolver(self) -> Any:
        """botocore's; the one provider that would ask the environment for a proxy asks `reach`."""
        resolver: Any = super()._create_credential_resolver()  # type: ignore[misc]
        for provider in resolver.providers:
            if isinstance(provider, InstanceMetadataProvider):
                fetcher: Any = provider._role_fetcher  # type: ignore[attr-defined]
                fetcher._session._proxy_config = _ByReach(self._reach)
        return resolver

    def own_reach(self) -> Reach:
        """The session's reach; what the profile's own `ca_bundle` has is trusted too."""
        # An empty variable is none: the library takes it for a value, before the profile's.
        bundle = self.get_config_variable("ca_bundle") or self.get_scoped_config().get("ca_bundle")
        named = {path for _, path in self._reach.trust.files}
        if not bundle or bundle in named:
            return self._reach
        return self._reach.trusting("ca_bundle of the AWS profile", bundle)


class _ByReach(ProxyConfiguration):
    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach = reach

    def proxy_url_for(self, url: str) -> str | None:  # type: ignore[override]
        """The proxy's address, without user and password."""
        proxy = self._reach.proxy_for(_origin_of(url))
        return str(proxy) if proxy is not None else None

    def proxy_headers_for(self, proxy_url: str) -> dict[str, str]:
        """What the proxy is shown to let requests through."""
        for proxy in self._reach.proxies():
            if str(proxy) == proxy_url and proxy.authorization:
                return {"Proxy-Authorization": proxy.authorization.reveal()}
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        """What botocore asks for a proxy that speaks TLS itself."""
        return {"proxy_ca_bundle": self._reach.ca_file()}


def _naming_the_proxy(send: Callable[[Any], Any], reach: Reach) -> Callable[[Any], Any]:
    """The same; its errors say what a proxy answered, or whether there is one."""

    def sent(request: Any) -> Any:
        origin = _origin_of(request.url)
        if ":" in origin.host:
            # Behind a proxy http.client puts a second pair of brackets around it.
            request.headers["Host"] = origin.netloc
        try:
            return send(request)
        except ProxyConnectionError as exc:
            proxy = reach.proxy_for(origin)
            if proxy is None:
                raise
            raise _named(exc, proxy, f"{origin.host}:{origin.port}") from exc
        except (EndpointConnectionError, ConnectTimeoutError) as exc:
            facts: dict[str, Any] = exc.kwargs  # type: ignore[assignment]
            facts["way"] = way = reach.way_to(origin)
            # Its class, and with it whether it is tried again, stays botocore's.
            exc.args = (f"{str(exc).rstrip('.')}; {way}",)
            raise

    return sent


def _named(error: ProxyConnectionError, proxy: Proxy, netloc: str) -> BotoCoreError:
    cause = _innermost(error)
    if match := _TUNNEL_FAILED.search(cause):
        failure = answer_failure(int(match[1]), proxy, netloc)
        if failure is not None and not isinstance(failure, ProxyFailure):
            return RefusedByProxy(finding=str(failure))
    else:
        failure = ProxyFailure(proxy, f"cannot be reached or used: {cause[:200]}; check {proxy.setting}")
    return FailedAtProxy(finding=str(failure), proxy_url=str(proxy))


def _origin_of(url: str) -> Origin:
    """Where the address leads; what it asks for there is botocore's matter."""
    return split_url("/".join(url.split("/", 3)[:3]))[0]


def _innermost(error: ProxyConnectionError) -> str:
    """What botocore's error, urllib3's in it, and so on, came from."""
    found: object = error.kwargs.get("error")
    for _ in range(_NESTED):
        inner = getattr(found, "original_error", None) or getattr(found, "__cause__", None)
        if inner is None:
            break
        found = inner
    return str(found)
