"""What AWS and S3 servers answer to boto3's clients, bounded: the library reads any body to its end.

And a way to break off what threads wait for, which the library has not.
"""

import contextlib
import io
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

from brew_assets.adapters.http.reach import PLAIN

# 1,000 keys of 1,024 bytes, each byte escaped to three, with 500 bytes of facts beside each, are under 4 MB;
# 1,000 refusals of a deletion that name their keys are less. Secrets and messages have under 1 MiB.
MOST_BYTES = 8 * 1024**2
# For a whole body; each wait for a part of it has botocore's own limit.
MOST_S = 60.0
# The library makes a tree of an XML document, 100 bytes and more for every "<" and "=". A page of 1,000 keys
# has under 40,000 of both; some servers send more keys than they were asked for.
MOST_MARKS = 500_000
_PIECE_BYTES = 65536
_PLAIN = ("", "identity", "aws-chunked")
_SUCCESS = range(200, 300)
_LENGTH = re.compile(r"[0-9]{1,18}")


class AnswerRefused(HTTPClientError):
    """An answer is not taken, and would not be at another time."""


class AnswerTooLarge(AnswerRefused):
    """An answer is, or says that it is, of more bytes than any that somebody waits for."""

    fmt = "expected at most {most:,} bytes, found {found}"


class AnswerCompressed(AnswerRefused):
    """An answer comes in a coding that nobody asked for."""

    fmt = "expected no Content-Encoding, found {found}; let no proxy compress what the bucket answers"


class AnswerMalformed(HTTPClientError):
    """An answer is nothing that could be read."""

    fmt = "expected {expected}, found {found}"


class GraceOver(ConnectionClosedError):
    """What a thread waited for was broken off, and nothing new is begun."""

    fmt = "the grace is over"


def bound_answers(
    client: Any,
    *,
    context: Callable[[], ssl.SSLContext] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    is_xml: bool = False,
) -> "BoundedSession":
    """Bodies of more than MOST_BYTES, or that take longer than MOST_S, fail as a broken connection does.

    Those that the library hands out unread are bounded by whoever reads them. Where answers are XML, no
    document with definitions of its own or with too many elements is parsed. Connections are encrypted with
    the `context`, which has the certificates already.
    """
    # There is no public way to give a client another session.
    endpoint = client._endpoint
    inner = endpoint.http_session
    inner = inner.session if isinstance(inner, BoundedSession) else inner
    endpoint.http_session = bounded = BoundedSession(inner, monotonic, context=context, is_xml=is_xml)
    return bounded


class BoundedSession:
    """The library's session, which leaves the bodies of its answers to this one."""

    def __init__(
        self,
        session: URLLib3Session,
        monotonic: Callable[[], float],
        *,
        context: Callable[[], ssl.SSLContext] | None = None,
        is_xml: bool = False,
    ) -> None:
        self.session = session
        self._monotonic = monotonic
        self._is_xml = is_xml
        self._used = _Used()
        self._used.watch(session, context)

    def send(self, request: Any) -> Any:
        """The answer with its body, or with one that can be read piece by piece as it comes.

        Raises:
            AnswerRefused: the body has more than MOST_BYTES, or comes compressed where XML is expected.
            AnswerMalformed: it is no document, or one that is not parsed here.
            Exception: botocore's and urllib3's for a connection that cannot be made or breaks off.
        """
        self._used.check()
        is_streamed, request.stream_output = request.stream_output, True
        response = self.session.send(request)
        try:
            _check_length(response)
            if is_streamed and response.status_code in _SUCCESS:
                return _with_body(response, _Streamed(response.raw, self._monotonic))
            body = self._whole(response)
        except BaseException:
            # It is no connection for another request.
            response.raw.close()
            raise
        response.raw.release_conn()
        return _with_body(response, _Whole(body))

    def _whole(self, response: Any) -> bytes:
        announced = response.headers.get("content-length", "0")
        # A HEAD announces what it does not send.
        if int(announced) > MOST_BYTES and response.raw.length_remaining != 0:
            raise AnswerTooLarge(most=MOST_BYTES, found=f"{int(announced):,}")
        body = _read_to_end(response.raw, self._monotonic)
        coding = response.headers.get("content-encoding", "")
        if self._is_xml and body and response.status_code in _SUCCESS and coding.lower() not in _PLAIN:
            raise AnswerCompressed(found=repr(coding[:80]))
        if self._is_xml and (found := _not_parsed(body)):
            if response.status_code in _SUCCESS:
                raise AnswerMalformed(expected="a small document", found=found)
            # Its status says what it means.
            return b""
        return body

    def interrupt(self, *, but_mine: bool = False) -> None:
        """Whatever any thread sends or awaits fails at once; the calling thread may go on if `but_mine`."""
        self._used.interrupt(but_mine=but_mine)

    def close(self) -> None:
        """Its connections are closed."""
        self.session.close()


def _read_to_end(raw: Any, monotonic: Callable[[], float]) -> bytes:
    ends_at, body = monotonic() + MOST_S, io.BytesIO()
    try:
        while piece := raw.read1(_PIECE_BYTES):
            body.write(piece)
            if body.tell() > MOST_BYTES:
                raise AnswerTooLarge(most=MOST_BYTES, found=f"more than {MOST_BYTES:,}")
            if monotonic() > ends_at:
                raise HTTPClientError(error=f"expected a whole answer within {MOST_S:.0f} s")
    except Urllib3ReadTimeoutError as exc:
        raise ReadTimeoutError(endpoint_url="", error=exc) from exc
    except ProtocolError as exc:
        raise ConnectionClosedError(endpoint_url="", error=exc) from exc
    if raw.length_remaining:
        raise ConnectionClosedError(endpoint_url="", error=f"{raw.length_remaining} bytes are missing")
    return body.getvalue()


def _with_body(response: Any, body: Any) -> AWSResponse:
    return AWSResponse(response.url, response.status_code, response.headers, body)


def _check_length(response: Any) -> None:
    """Returns unless the answer announces a length that is none: whoever is between takes another one."""
    length = response.headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(length.strip()):
        raise AnswerMalformed(expected="a Content-Length", found=repr(length[:40]))


def _not_parsed(body: bytes) -> str:
    """Why a document is not given to the parser, "" where it is. The parser takes it for UTF-8 alone."""
    # No S3 server sends one, and its entities may grow without bound.
    if b"<!DOCTYPE" in body:
        return "a document type definition"
    marks = body.count(b"<") + body.count(b"=")
    return f"{marks:,} marks" if marks > MOST_MARKS else ""


def asked_for(client: Any, operation: str, **arguments: Any) -> str:
    """The address that the client would ask for; nothing is sent. No other thread may use it meanwhile.

    Raises:
        Exception: whatever botocore raises for settings that fit no address, or providers of credentials.
    """
    found: list[str] = []

    def keep(request: Any, **_: Any) -> AWSResponse:
        found.append(request.url)
        headers: Any = HeadersDict()
        return AWSResponse(request.url, 200, headers, _Whole(b""))

    name = f"before-send.{client.meta.service_model.service_id.hyphenize()}"
    client.meta.events.register(name, keep)
    try:
        getattr(client, operation)(**arguments)
    finally:
        client.meta.events.unregister(name, keep)
    return found[0]


class _Whole:
    """A body that was read before."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> list[bytes]:
        return [self._data]


class _Streamed:
    """A body that is read as it comes: the library would wait for each piece to be full."""

    def __init__(self, raw: Any, monotonic: Callable[[], float]) -> None:
        self._raw = raw
        self._monotonic = monotonic

    def read(self, amount: int | None = None) -> bytes:
        """What has come of the next bytes; all that is left without an amount."""
        if amount is None:
            return _read_to_end(self._raw, self._monotonic)
        data: bytes = self._raw.read1(amount)
        return data

    def stream(self) -> Any:
        return self._raw.stream()

    def close(self) -> None:
        self._raw.close()


class _OurConnection:
    """Tries the addresses of both families; and once its proxy let it through, that stays so.

    urllib3 forgets the latter when a connection breaks off, and takes that for a failure of the proxy, before
    the request was sent.
    """

    _is_through = False

    def connect(self) -> None:
        self._is_through = False
        super().connect()  # type: ignore[misc]
        self._is_through = True

    @property
    def has_connected_to_proxy(self) -> bool:
        """Whether the connection came to its proxy, if it has one."""
        found: bool = super().has_connected_to_proxy  # type: ignore[misc]
        return self._is_through or found

    def _new_conn(self) -> socket.socket:
        """As urllib3's, which gives each address the whole time-out."""
        ours: Any = self
        try:
            sock = PLAIN.dialer.connect(ours._dns_host, ours.port, timeout_s=ours.timeout)
            for option in ours.socket_options or ():
                sock.setsockopt(*option)
        except socket.gaierror as exc:
            raise NameResolutionError(ours.host, ours, exc) from exc
        except TimeoutError as exc:
            text = f"Connection to {ours.host} timed out. (connect timeout={ours.timeout})"
            raise ConnectTimeoutError(ours, text) from exc
        except OSError as exc:
            raise NewConnectionError(ours, f"Failed to establish a new connection: {exc}") from exc
        return sock


class _Used:
    """The connections in use, by the thread that uses each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: weakref.WeakKeyDictionary[Any, threading.Thread] = weakref.WeakKeyDictionary()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._barred: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def watch(self, session: Any, context: Callable[[], ssl.SSLContext] | None) -> None:
        """From now on the session's connections are known here, and use the context."""
        used = self

        class Connection(_OurConnection, AWSHTTPConnection):  # type: ignore[misc]
            def request(self, *args: Any, **named: Any) -> Any:
                return used.request(self, super().request, args, named)

        class TlsConnection(_OurConnection, AWSHTTPSConnection):  # type: ignore[misc]
            def connect(self) -> None:
                if context is not None:
                    # urllib3 would read a file of certificates again for each connection: 35 ms of processor
                    # time with a system's.
                    self.ssl_context, self.ca_certs = context(), None
                super().connect()

            def request(self, *args: Any, **named: Any) -> Any:
                return used.request(self, super().request, args, named)

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = TlsConnection

        # Its proxy managers take the classes from the first, the manager that it has already from the second.
        pools = {"http": Pool, "https": TlsPool}
        session._pool_classes_by_scheme = session._manager.pool_classes_by_scheme = pools

    def request(self, connection: Any, send: Callable[..., Any], args: Any, named: Any) -> Any:
        """What `send` gives, made by a connection that can be broken off."""
        with self._lock:
            self._users[connection] = threading.current_thread()
        sent = send(*args, **named)
        # It may have been connecting when it should have been broken off.
        self.check()
        return sent

    def check(self) -> None:
        """Returns while the calling thread may wait for something."""
        thread = threading.current_thread()
        with self._lock:
            self._threads.add(thread)
            if thread in self._barred:
                raise GraceOver(endpoint_url="")

    def interrupt(self, *, but_mine: bool) -> None:
        """Threads that have sent something do so no longer; the calling one may if `but_mine`."""
        mine = threading.current_thread() if but_mine else None
        with self._lock:
            self._barred.update(thread for thread in self._threads if thread is not mine)
            others = [connection for connection, thread in self._users.items() if thread is not mine]
        for connection in others:
            sock = getattr(connection, "sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
