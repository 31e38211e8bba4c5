"""Secrets Manager: where Slack's webhook is kept."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from brew_assets.adapters.aws_client import aws_client, channel_error
from brew_assets.errors import UNREADABLE, ChannelRefused
from brew_assets.settings import Secret

# A webhook that was replaced is used from the next message after so long.
_KEPT_S = 300.0
_NAMES = ("webhook_url", "url", "slack_webhook_url", "SLACK_WEBHOOK_URL")


class WebhookSecret:
    """The webhook in a secret: its address as plain text, or JSON with it under one of a few names."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        endpoint_url: str | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._monotonic = monotonic
        self._region = region
        self._endpoint_url = endpoint_url
        self._client: Any = None
        self._kept: tuple[float, Secret] | None = None

    def __call__(self) -> Secret:
        """The webhook, at most five minutes old.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it could not be had; the text has the secret's name.
        """
        if self._kept is not None and self._monotonic() - self._kept[0] < _KEPT_S:
            return self._kept[1]
        what = f"secret {self._name}"
        try:
            self._client = self._client or aws_client(
                "secretsmanager", region=self._region, endpoint_url=self._endpoint_url
            )
            found = self._client.get_secret_value(SecretId=self._name)
        except (BotoCoreError, ClientError) as error:
            raise channel_error(what, error) from error
        secret = _webhook(what, found.get("SecretString") or "")
        self._kept = (self._monotonic(), secret)
        return secret


def _webhook(what: str, text: str) -> Secret:
    text = text.strip()
    if text.startswith(("https://", "http://")):
        return Secret(text)
    try:
        found = msgspec.json.decode(text.encode(), type=dict[str, Any])
    except UNREADABLE:
        found = {}
    for name in _NAMES:
        if isinstance(address := found.get(name), str) and address.strip():
            return Secret(address.strip())
    # What was found is not shown: it may be the webhook with a typing error.
    raise ChannelRefused(f"{what}: expected an https address, or JSON with one under {', '.join(_NAMES[:2])}")
