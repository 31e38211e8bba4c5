"""What AWS's services answer to botocore's clients, bounded: the library reads any body to its end."""

import io
import time
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

# Ten messages of a queue, a secret, the list of a bucket's parts: none has more than 1 MiB.
MOST_BYTES = 8 * 1024**2
# For a whole body; each wait for a part of it has botocore's own limit.
MOST_S = 60.0
_PIECE_BYTES = 65536


def bound_answers(client: Any, *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Bodies of more than MOST_BYTES, or that take longer than MOST_S, fail as a broken connection does.

    Those that the library hands out unread are bounded by whoever reads them.
    """
    # There is no public way to give a client another session.
    endpoint = client._endpoint
    endpoint.http_session = _BoundedSession(endpoint.http_session, monotonic)


class _BoundedSession:
    """The library's session, which leaves the bodies of its answers to this one."""

    def __init__(self, session: Any, monotonic: Callable[[], float]) -> None:
        self._session = session
        self._monotonic = monotonic

    def send(self, request: Any) -> Any:
        """The answer with its body."""
        is_streamed, request.stream_output = request.stream_output, True
        response = self._session.send(request)
        if is_streamed:
            return response
        try:
            body = self._whole(response.raw)
        except BaseException:
            # It is no connection for another request.
            response.raw.close()
            raise
        response.raw.release_conn()
        return AWSResponse(response.url, response.status_code, response.headers, _Whole(body))

    def _whole(self, raw: Any) -> bytes:
        ends_at, body = self._monotonic() + MOST_S, io.BytesIO()
        try:
            while piece := raw.read1(_PIECE_BYTES):
                body.write(piece)
                if body.tell() > MOST_BYTES:
                    raise HTTPClientError(error=f"expected an answer of at most {MOST_BYTES:,} bytes")
                if self._monotonic() > ends_at:
                    raise HTTPClientError(error=f"expected a whole answer within {MOST_S:.0f} s")
        except Urllib3ReadTimeoutError as exc:
            raise ReadTimeoutError(endpoint_url="", error=exc) from exc
        except ProtocolError as exc:
            raise ConnectionClosedError(endpoint_url="", error=exc) from exc
        return body.getvalue()

    def close(self) -> None:
        """Its connections are closed."""
        self._session.close()


class _Whole:
    """A body that was read before."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> list[bytes]:
        return [self._data]
