"""Secrets Manager: where Slack's webhook and the registry's credentials are kept."""

from typing import Any

import msgspec

from brew_assets.adapters.aws.client import REPEATED, aws_client, channel_error, making_error
from brew_assets.adapters.ghcr.login import Credentials
from brew_assets.adapters.http.aws_session import RefusedByProxy
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.errors import UNREADABLE, ChannelError, ChannelRefused, RegistryRefused, UpstreamFailed
from brew_assets.settings import Secret

_NAMES = ("webhook_url", "url", "slack_webhook_url", "SLACK_WEBHOOK_URL")
_decoder = msgspec.json.Decoder(dict[str, Any])


class _StoredSecret:
    """The text of one secret, as it is whenever it is asked for."""

    def __init__(self, name: str, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN) -> None:
        self._name = name
        self._region = region
        self._endpoint_url = endpoint_url
        self._reach = reach
        self._client: Any = None

    @property
    def what(self) -> str:
        """The secret, as an error names it."""
        return f"secret {self._name}"

    def text(self) -> str:
        """What it holds.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it could not be had; the text has the secret's name.
        """
        try:
            self._client = self._client or aws_client(
                "secretsmanager",
                region=self._region,
                endpoint_url=self._endpoint_url,
                reach=self._reach,
                tries=REPEATED,
            )
        except Exception as error:
            raise making_error(self.what, error) from error
        try:
            found = self._client.get_secret_value(SecretId=self._name)
        except Exception as error:
            # Without its cause: what botocore stumbles over in an answer may have the secret in it.
            raise channel_error(self.what, error) from None
        return str(found.get("SecretString") or "").strip()


class WebhookSecret:
    """The webhook in a secret: its address as plain text, or JSON with it under one of a few names."""

    def __init__(self, name: str, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN) -> None:
        self._secret = _StoredSecret(name, region=region, endpoint_url=endpoint_url, reach=reach)

    def __call__(self) -> Secret:
        """The webhook as it is now.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it could not be had; the text has the secret's name.
        """
        text = self._secret.text()
        if text.startswith(("https://", "http://")):
            return Secret(text)
        if address := _field(_fields(text), *_NAMES):
            return Secret(address)
        # What was found is not shown: it may be the webhook with a typing error.
        raise ChannelRefused(
            f"{self._secret.what}: expected an https address, or JSON with one under {', '.join(_NAMES[:2])}"
        )


class RegistrySecret:
    """The registry's credentials in a secret: JSON with `username` and `password`."""

    def __init__(self, name: str, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN) -> None:
        self._secret = _StoredSecret(name, region=region, endpoint_url=endpoint_url, reach=reach)
        self.settings = f"{self._secret.what} (BOTTLE_REGISTRY_SECRET_NAME)"

    def __call__(self) -> Credentials:
        """The credentials as they are now.

        Raises:
            RegistryRefused: there is no such secret, no permission to read it, no credentials in it, or a
                proxy lets nobody through to it.
            UpstreamFailed: Secrets Manager gives it not now.
        """
        try:
            text = self._secret.text()
        except ChannelError as error:
            # A message may wait until the proxy lets it through; 8,000 bottles would each ask in vain.
            is_refused = isinstance(error, ChannelRefused) or isinstance(error.__context__, RefusedByProxy)
            kind = RegistryRefused if is_refused else UpstreamFailed
            raise kind(f"BOTTLE_REGISTRY_SECRET_NAME: {error}") from error
        found = _fields(text)
        username, password = _field(found, "username"), _field(found, "password")
        if not username or not password or ":" in username:
            # What was found is not shown: it may be the password with a typing error.
            raise RegistryRefused(
                f"{self.settings}: expected JSON with `username` (without a colon) and `password`"
            )
        return Credentials(username, Secret(password))


def _fields(text: str) -> dict[str, Any]:
    try:
        return _decoder.decode(text.encode())
    except UNREADABLE:
        return {}


def _field(found: dict[str, Any], *names: str) -> str:
    """The first of the fields that is a text with something in it."""
    texts = (value.strip() for name in names if isinstance(value := found.get(name), str))
    return next((text for text in texts if text), "")
