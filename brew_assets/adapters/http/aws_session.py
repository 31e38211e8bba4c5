"""botocore's session whose clients, those that it makes for credentials too, go out by our rule."""

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.httpsession import ProxyConfiguration

from brew_assets.adapters.http.reach import Reach
from brew_assets.adapters.origin import split_url


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
        client._endpoint.http_session._proxy_config = _ByReach(reach)
        return client

    def own_reach(self) -> Reach:
        """How this session's clients reach out: what the profile's own bundle has is trusted too."""
        bundle = self.get_config_variable("ca_bundle")
        named = {path for _, path in self._reach.trust.files}
        return self._reach if not bundle or bundle in named else self._reach.trusting("ca_bundle", bundle)


class _ByReach(ProxyConfiguration):
    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self._reach = reach

    def proxy_url_for(self, url: str) -> str | None:  # type: ignore[override]
        """The proxy's address, without user and password."""
        proxy = self._reach.proxy_for(split_url(url)[0])
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
