"""Secrets Manager: where Slack's webhook is kept."""

from typing import Any

import msgspec

from brew_assets.adapters.aws.client import REPEATED, aws_client, channel_error, making_error
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.errors import UNREADABLE, ChannelRefused
from brew_assets.settings import Secret

_NAMES = ("webhook_url", "url", "slack_webhook_url", "SLACK_WEBHOOK_URL")
_decoder = msgspec.json.Decoder(dict[str, Any])


class WebhookSecret:
    """The webhook in a secret: its address as plain text, or JSON with it under one of a few names."""

    def __init__(self, name: str, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN) -> None:
        self._name = name
        self._region = region
        self._endpoint_url = endpoint_url
        self._reach = reach
        self._client: Any = None

    def __call__(self) -> Secret:
        """The webhook as it is now.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it could not be had; the text has the secret's name.
        """
        what = f"secret {self._name}"
        try:
            self._client = self._client or aws_client(
                "secretsmanager",
                region=self._region,
                endpoint_url=self._endpoint_url,
                reach=self._reach,
                tries=REPEATED,
            )
        except Exception as error:
            raise making_error(what, error) from error
        try:
            found = self._client.get_secret_value(SecretId=self._name)
        except Exception as error:
            # Without its cause: what botocore stumbles over in an answer may have the secret in it.
            raise channel_error(what, error) from None
        return _webhook(what, found.get("SecretString") or "")


def _webhook(what: str, text: str) -> Secret:
    text = text.strip()
    if text.startswith(("https://", "http://")):
        return Secret(text)
    try:
        found = _decoder.decode(text.encode())
    except UNREADABLE:
        found = {}
    for name in _NAMES:
        if isinstance(address := found.get(name), str) and address.strip():
            return Secret(address.strip())
    # What was found is not shown: it may be the webhook with a typing error.
    raise ChannelRefused(f"{what}: expected an https address, or JSON with one under {', '.join(_NAMES[:2])}")
