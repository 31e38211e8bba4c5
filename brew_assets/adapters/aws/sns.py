"""SNS: the messages as text, and security events on a topic of their own."""

from typing import Any

from brew_assets.adapters.aws.client import aws_client, making_error, sending_error
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.foreign_text import printable_lines
from brew_assets.engine.notifier import Notification

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
# "less than 100 characters long"
_SUBJECT_CHARACTERS = 99
_MESSAGE_BYTES = 262_144


class _Topic:
    def __init__(self, arn: str, *, region: str, endpoint_url: str | None, reach: Reach = PLAIN) -> None:
        self._arn = arn
        self._region = region
        self._endpoint_url = endpoint_url
        self._reach = reach
        self._client: Any = None

    def _publish(self, subject: str, text: str) -> None:
        what = f"topic {self._arn}"
        try:
            self._client = self._client or aws_client(
                "sns", region=self._region, endpoint_url=self._endpoint_url, reach=self._reach
            )
        except Exception as error:
            raise making_error(what, error) from error
        try:
            self._client.publish(
                TopicArn=self._arn,
                Subject=_subject(subject),
                Message=printable_lines(text).encode()[:_MESSAGE_BYTES].decode(errors="ignore"),
            )
        except Exception as error:
            raise sending_error(what, error) from error


class SnsTopic(_Topic):
    """Publishes messages as text."""

    name = "sns"

    def takes(self, notification: Notification) -> bool:
        """Whether there is a message."""
        return notification.message is not None

    def send(self, notification: Notification) -> None:
        """SNS has taken the message.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it has not.
            ChannelUncertain: it may have.
        """
        assert notification.message is not None
        self._publish(notification.subject, notification.message.plain())


class SnsSecurityTopic(_Topic):
    """Publishes security events."""

    name = "sns-security"

    def takes(self, notification: Notification) -> bool:
        """Whether there is a security event."""
        return bool(notification.security)

    def send(self, notification: Notification) -> None:
        """SNS has taken the event.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it has not.
            ChannelUncertain: it may have.
        """
        self._publish(f"Security: {notification.subject}", notification.security)


def _subject(text: str) -> str:
    """A subject that SNS accepts: printable ASCII on one line."""
    plain = " ".join("".join(c for c in text if c.isascii() and c.isprintable()).split())
    return plain[:_SUBJECT_CHARACTERS].strip() or "Homebrew bottles sync"
