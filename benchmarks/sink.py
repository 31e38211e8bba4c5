"""An S3-shaped sink in a process of its own: reads bottles, drops them, remembers their sizes.

Prints its port on standard output and serves until standard input ends.
"""

import asyncio
import json
import sys
from http.client import HTTPConnection
from typing import cast
from urllib.parse import unquote

from benchmarks.bucket import Answer, Buckets, Request
from benchmarks.child import Child

_BUFFER_BYTES = 256 << 10
_REASONS = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    501: "Not Implemented",
}

# One buffer for every connection: the loop reads into it and hands it over before it reads again.
_BUFFER = bytearray(_BUFFER_BYTES)
_VIEW = memoryview(_BUFFER)


class Connection(asyncio.BufferedProtocol):
    """One client: heads are parsed, bodies counted off, and copied only where they are kept."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._head = bytearray()
        self._request: Request | None = None
        self._body = bytearray()
        self._left = 0
        self._size = 0
        self._keeps = True
        self._chunks: _Chunks | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _VIEW

    def buffer_updated(self, nbytes: int) -> None:
        at = 0
        while at < nbytes:
            if self._request is None:
                at = self._read_head(at, nbytes)
            elif self._chunks is not None:
                at = self._chunks.feed(at, nbytes, self._body if self._keeps else None)
                self._size = self._chunks.size
                if self._chunks.is_done:
                    self._finish()
            else:
                count = min(self._left, nbytes - at)
                if self._keeps:
                    self._body += _VIEW[at : at + count]
                at += count
                self._left -= count
                if not self._left:
                    self._finish()

    def _read_head(self, at: int, end: int) -> int:
        """Take up to the end of a head; returns where the body starts."""
        known = len(self._head)
        if not known:
            found = _BUFFER.find(b"\r\n\r\n", at, end)
            if found >= 0:
                self._begin(_BUFFER[at:found].decode("latin-1"))
                return found + 4
        self._head += _VIEW[at:end]
        found = self._head.find(b"\r\n\r\n", max(0, known - 3))
        if found < 0:
            return end
        head = self._head[:found].decode("latin-1")
        self._head.clear()
        self._begin(head)
        return at + found + 4 - known

    def _begin(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        path, _, query = target.partition("?")
        request = Request(method=method, path=unquote(path), query=_query(query), headers=headers)
        self._request = request
        self._keeps = request.keeps_body
        self._size = self._left = int(headers.get("content-length", 0))
        self._chunks = _Chunks() if headers.get("transfer-encoding", "").lower() == "chunked" else None
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._left and self._chunks is None:
            self._finish()

    def _finish(self) -> None:
        request, body, size = self._request, bytes(self._body), self._size
        assert request is not None
        self._request, self._chunks = None, None
        self._body.clear()
        if "aws-chunked" in request.headers.get("content-encoding", ""):
            size = int(request.headers.get("x-amz-decoded-content-length", size))
            body = _without_aws_chunks(body)
        answer = self._buckets.answer(request, body, size)
        is_last = request.headers.get("connection", "").lower() == "close"
        self._transport.write(_encoded(answer, request.method, is_last))
        if is_last:
            self._transport.close()


class _Chunks:
    """Reads a body in HTTP's chunked coding from the shared buffer."""

    def __init__(self) -> None:
        self.size = 0
        self.is_done = False
        self._line = bytearray()
        self._left = 0
        self._is_in_trailer = False

    def feed(self, at: int, end: int, kept: bytearray | None) -> int:
        """Take what belongs to the body; returns where it stopped."""
        while at < end and not self.is_done:
            if self._left:
                count = min(self._left, end - at)
                if kept is not None:
                    kept += _VIEW[at : at + count]
                at += count
                self._left -= count
                self.size += count
                continue
            newline = _BUFFER.find(b"\n", at, end)
            stop = end if newline < 0 else newline + 1
            self._line += _VIEW[at:stop]
            at = stop
            if newline >= 0:
                self._take_line()
        return at

    def _take_line(self) -> None:
        line = bytes(self._line).strip()
        self._line.clear()
        if self._is_in_trailer:
            self.is_done = not line
        elif line:
            self._left = int(line.partition(b";")[0], 16)
            self._is_in_trailer = not self._left


def _without_aws_chunks(body: bytes) -> bytes:
    """The payload of an aws-chunked body; signatures and trailers are not looked at."""
    payload = bytearray()
    at = 0
    while (newline := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:newline].partition(b";")[0], 16)
        if not size:
            break
        payload += body[newline + 2 : newline + 2 + size]
        at = newline + 2 + size + 2
    return bytes(payload)


def _query(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote(name): unquote(value.replace("+", " ")) for name, _, value in pairs}


def _encoded(answer: Answer, method: str, is_last: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if "content-length" not in answer.headers and answer.status not in {204, 304}:
        lines.append(f"content-length: {len(answer.body)}")
    if is_last:
        lines.append("connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + answer.body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    buckets = Buckets()
    server = await loop.create_server(lambda: Connection(buckets), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


class Sink(Child):
    """The sink as the harness sees it; use as a context manager."""

    def __init__(self) -> None:
        super().__init__("benchmarks.sink")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Forget every object."""
        self._control("DELETE")

    def received(self, bucket: str) -> list[tuple[str, int, str | None]]:
        """Key, size and SHA-256 checksum (base64, if sent) of each dropped object of a bucket."""
        rows = json.loads(self._control("GET"))["dropped"]
        return [(key, size, checksum) for owner, key, size, checksum in rows if owner == bucket]

    def requests(self) -> dict[str, int]:
        """How many requests of each method arrived since the last reset."""
        return cast(dict[str, int], json.loads(self._control("GET"))["requests"])

    def _control(self, method: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, "/-/objects")
            return connection.getresponse().read()
        finally:
            connection.close()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve())
    else:
        uvloop.run(_serve())
