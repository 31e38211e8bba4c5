"""Slack: an incoming webhook.

The address is the permission to post: it stands in no error and no log. httpx's client would log it; its
transport, which is used here, does not.
"""

from collections.abc import Callable

import httpx
import msgspec

from brew_assets.adapters.http.body import Connection
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.adapters.http.transport import ReachTransport
from brew_assets.adapters.http.url import split_url
from brew_assets.engine.clock import until_stopped
from brew_assets.engine.notifier import LONGEST_BUSY_S, UNCERTAIN_STATUSES, Notification
from brew_assets.engine.ports import Clock
from brew_assets.engine.retry import parse_retry_after
from brew_assets.errors import (
    ChannelBusy,
    ChannelFailed,
    ChannelRefused,
    ChannelUncertain,
    ProxyRefused,
    SettingsInvalid,
)
from brew_assets.settings import Secret

TIMEOUT_S = 5.0
# From the look-up of the name to the end of the answer: each wait has a limit of its own, their number none.
ANSWER_S = 30.0
_SERVER_ERROR, _TOO_MANY = 500, 429
_ANSWER_CHARACTERS = 100
# The specification's words (overview, troubleshooting 5); what happened follows them.
_FAILED = "Failed to send Slack notification"
# After these nothing was sent; after any other error the message may have arrived.
_NOT_SENT = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
)


class SlackWebhook:
    """Posts messages to the webhook that `webhook` gives when asked."""

    name = "slack"

    def __init__(
        self,
        webhook: Callable[[], Secret],
        *,
        channel: str = "",
        username: str = "",
        timeout_s: float = TIMEOUT_S,
        reach: Reach = PLAIN,
        clock: Clock,
    ) -> None:
        self._webhook = webhook
        self._channel = channel
        self._username = username
        self._timeout_s = timeout_s
        self._reach = reach
        self._clock = clock

    def takes(self, notification: Notification) -> bool:
        """Whether there is a message."""
        return notification.message is not None

    def send(self, notification: Notification) -> None:
        """Slack has taken the message.

        Raises:
            ChannelBusy, ChannelFailed, ChannelRefused: it has not.
            ChannelUncertain: it may have.
        """
        body = msgspec.to_builtins(notification.message)
        if channel := notification.channel or self._channel:
            body["channel"] = channel
        if self._username:
            body["username"] = self._username
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeError as error:  # a setting in another encoding than UTF-8
            raise ChannelRefused(f"Slack: a text that is not UTF-8: {error}") from error
        status, answer, retry_after = self._post(self._webhook().reveal(), encoded)
        if status == httpx.codes.OK:
            return
        phrase = httpx.codes.get_reason_phrase(status)
        finding = f"{_FAILED}: {' '.join(filter(None, (str(status), phrase)))}. Slack answered: {answer}"
        if status == _TOO_MANY:
            wait_s = parse_retry_after(retry_after, now=self._clock.now(), most_s=LONGEST_BUSY_S)
            raise ChannelBusy(finding, wait_s=wait_s)
        if status in UNCERTAIN_STATUSES:
            raise ChannelUncertain(finding)
        raise ChannelFailed(finding) if status >= _SERVER_ERROR else ChannelRefused(finding)

    def _post(self, address: str, body: bytes) -> tuple[int, str, str | None]:
        """Status, the beginning of the answer, and its Retry-After."""
        _check(address)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        try:
            made = ReachTransport(self._reach)
        except SettingsInvalid as error:
            raise ChannelFailed(f"{_FAILED}: Slack was not reached: {error}") from error
        except Exception as error:
            # It has no address yet that its text could show.
            raise ChannelFailed(
                f"{_FAILED}: Slack was not reached: no TLS with this machine's SSL_CERT_FILE and "
                f"SSL_CERT_DIR: {type(error).__name__}: {error}"
            ) from error
        connection = Connection(self._clock.monotonic, head_s=ANSWER_S)
        heads: list[tuple[int, str | None]] = []

        def post() -> str:
            request = httpx.Request(
                "POST",
                address,
                content=body,
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    "User-Agent": "brew-mirror",
                    "Accept-Encoding": "identity",
                },
                extensions={"timeout": timeout, "trace": connection.trace},
            )
            with made as transport:
                response = transport.handle_request(request)
                try:
                    heads.append((response.status_code, response.headers.get("retry-after")))
                    return _shown(response, address)
                finally:
                    response.close()

        try:
            shown = until_stopped(post, check=connection.check)
            return heads[0][0], shown, heads[0][1]
        except (ProxyRefused, httpx.ProxyError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            # Of the address these name the host at most, and the proxy without its password.
            failure: ChannelFailed | ChannelUncertain = ChannelFailed(
                f"{_FAILED}: Slack was not reached: {error}"
            )
        except _NOT_SENT as error:
            failure = ChannelFailed(f"{_FAILED}: Slack was not reached: {type(error).__name__}")
        except Exception as error:  # httpx has two base classes, and lets out what a socket does
            if heads:  # only what it says beside its status does not come to an end
                return heads[0][0], "", heads[0][1]
            failure = ChannelUncertain(f"Slack did not answer: {type(error).__name__}")
        finally:
            connection.give_up()
        # Outside the handler: the error's own text and context may have the address.
        raise failure


def _shown(response: httpx.Response, address: str) -> str:
    """The beginning of the answer; empty where it breaks off: the status alone says what became of it.

    Nothing is unpacked: nobody asked for a compressed answer, and a small one may grow beyond every limit.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return ""
    try:
        answer = next(iter(response.iter_raw(_ANSWER_CHARACTERS)), b"")
    except (httpx.HTTPError, httpx.StreamError):
        return ""
    shown = "".join(c for c in answer.decode(errors="replace") if c.isprintable())
    # An answer that repeats the address must not bring it into a log.
    return "…" if address in shown or httpx.URL(address).path in shown else shown


def _check(address: str) -> None:
    try:
        origin, _ = split_url(address)
        usable = origin.scheme == "https" or origin.is_loopback
    except ValueError:
        usable = False
    if not usable:
        raise ChannelRefused("Slack's webhook: expected an https address")
