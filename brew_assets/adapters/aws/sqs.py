"""The queue of events that start syncs: SQS, and a second queue for events that cannot be understood."""

import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError, ParamValidationError

from brew_assets.adapters.aws.client import REPEATED, aws_client
from brew_assets.adapters.aws.credentials import credentials_failure, is_of_credentials
from brew_assets.adapters.http.reach import PLAIN, Reach
from brew_assets.domain.addresses import shown_url, with_shown_urls
from brew_assets.domain.foreign_text import printable
from brew_assets.errors import QueueUnavailable

READ_TIMEOUT_S = 10
# Longer than the tick that asks for a run, the daemon that queues it, and the next tick, which deletes.
VISIBILITY_S = 120
# What every queue takes, a message with its attributes; a queue may be set to less or to more.
MAX_MESSAGE_BYTES = 256 * 1024
MAX_REASON_CHARACTERS = 1000
_REASON = "reason"
_MOST_AT_ONCE = 10
# A newer delivery of the message has taken the handle's place, or it never was one.
_NO_HANDLE = (
    "ReceiptHandleIsInvalid",
    "InvalidParameterValue",
    "MissingParameter",
    "MissingRequiredParameterException",
)
# What no body may hold: API reference of SQS, SendMessage.
_REFUSED_CHARACTER = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_ID_CHARACTERS = 128
_MAX_ERROR_CHARACTERS = 500

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class ReceivedEvent(NamedTuple):
    """One delivery of a message; `handle` is good for this delivery only."""

    body: str
    message_id: str
    handle: str
    received_count: int


class EventQueue:
    """Messages of one SQS queue. Nothing is contacted before the first call; `close` it afterwards."""

    def __init__(
        self,
        queue_url: str,
        *,
        dead_letter_url: str = "",
        region: str,
        endpoint_url: str | None = None,
        reach: Reach = PLAIN,
    ) -> None:
        self._queue_url = queue_url
        self._dead_letter_url = dead_letter_url
        self._region = region
        self._endpoint_url = endpoint_url
        self._reach = reach
        self._made: Any = None

    def receive(self, limit: int, *, visibility_s: int = VISIBILITY_S) -> list[ReceivedEvent]:
        """Up to `limit` messages (10 at most) that nobody else gets for the next `visibility_s` seconds.

        Raises:
            QueueUnavailable: the queue did not answer, or refused.
        """
        answer = self._call(
            self._queue_url,
            lambda client: client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=min(limit, _MOST_AT_ONCE),
                VisibilityTimeout=visibility_s,
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            ),
        )
        received = [_received(message) for message in answer.get("Messages", ())]
        for event in received:
            if not event.handle:
                _log.warning("a message came without a handle and is left", extra={"key": event.message_id})
        return [event for event in received if event.handle]

    def delete(self, handle: str) -> bool:
        """Whether the message is gone; if not, the handle is too old or none, and the message comes again.

        Raises:
            QueueUnavailable: the queue did not answer, or refused.
        """
        try:
            self._call(
                self._queue_url,
                lambda client: client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=handle),
            )
        except QueueUnavailable as error:
            cause = error.__cause__
            if _code(cause) in _NO_HANDLE or isinstance(cause, ParamValidationError):
                return False
            raise
        return True

    def bury(self, event: ReceivedEvent, reason: str) -> bool:
        """Whether the event lies in the dead-letter queue with the reason, and is gone from its own.

        Without a dead-letter queue it stays: the queue's redrive policy, if it has one, takes it away.

        Raises:
            QueueUnavailable: one of the two queues did not answer, or refused. The event comes again.
        """
        if not self._dead_letter_url:
            return False
        text = _attribute(reason)
        room = MAX_MESSAGE_BYTES - len(text.encode()) - len(_REASON) - len("String")
        self._call(
            self._dead_letter_url,
            lambda client: client.send_message(
                QueueUrl=self._dead_letter_url,
                MessageBody=_cut(event.body, room),
                MessageAttributes={_REASON: {"DataType": "String", "StringValue": text}},
            ),
        )
        self.delete(event.handle)
        return True

    def close(self) -> None:
        """Its connections are closed."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _client(self) -> Any:
        if self._made is None:
            self._made = aws_client(
                "sqs",
                region=self._region,
                endpoint_url=self._endpoint_url,
                reach=self._reach,
                read_timeout_s=READ_TIMEOUT_S,
                tries=REPEATED,
            )
        return self._made

    def _call(self, queue_url: str, call: Callable[[Any], _T]) -> _T:
        try:
            return call(self._client())
        # Besides its own errors botocore lets out a ValueError for an endpoint that is no address, and
        # whatever its parser stumbles over in an answer that is not SQS's.
        except Exception as error:
            why = printable(with_shown_urls(str(error)), _MAX_ERROR_CHARACTERS) or type(error).__name__
            if is_of_credentials(error):
                why = credentials_failure(error).message
            raise QueueUnavailable(f"{shown_url(queue_url)}: {why}") from error


def _code(error: BaseException | None) -> str:
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def _received(message: dict[str, Any]) -> ReceivedEvent:
    count = str(message.get("Attributes", {}).get("ApproximateReceiveCount", ""))
    return ReceivedEvent(
        body=str(message.get("Body", "")),
        message_id=printable(str(message.get("MessageId", "")), _MAX_ID_CHARACTERS),
        handle=str(message.get("ReceiptHandle", "")),
        received_count=int(count) if count.isdecimal() and len(count) < 10 else 1,
    )


def _attribute(reason: str) -> str:
    """The reason as SQS takes it: not empty, and nothing that XML cannot hold."""
    printable = "".join(character if character.isprintable() else "?" for character in reason)
    return printable[:MAX_REASON_CHARACTERS] or "not said"


def _cut(body: str, most: int) -> str:
    """The body as a queue takes it: not empty, "?" for what none may hold, of a long one the beginning."""
    taken = _REFUSED_CHARACTER.sub("?", body) or "(empty)"
    data = taken.encode()
    return taken if len(data) <= most else data[:most].decode("utf-8", "ignore")
