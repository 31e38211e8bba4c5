"""Answers that are sent: a body in pieces, or a sentence. Each has its Content-Length, none is chunked."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from brew_assets.runtimes.gateway.conditions import Part

PIECE_BYTES = 1024 * 1024
# So many requests wait for a disk or the store at a time, each with one piece in memory.
_THREADS = 16

_T = TypeVar("_T")


class Threads:
    """Where whatever waits for a disk or the store is done, so that nobody else waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway")

    async def call(self, act: Callable[..., _T], *arguments: Any) -> _T:
        """What the act gives."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, act, *arguments)

    def close(self) -> None:
        """Nothing is begun any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def sentence(text: str, status: int, **headers: str) -> Response:
    """An answer for people; names of headers have `_` where those have "-"."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(f"{text}\n", status, headers=named, media_type="text/plain")


def without_body(status: int, headers: dict[str, str], *, length: int | None = None) -> Response:
    """An answer whose body nobody asked for; `length` in bytes is what a GET would bring."""
    response = Response(status_code=status, headers=headers)
    if length is not None:
        response.headers["content-length"] = str(length)
    return response


class Pieces(Response):
    """A part of an opened body, which is closed afterwards. The first piece is read when this is made.

    `sent` counts the bytes of the body that were handed on; `broken` says why it ended early.
    """

    def __init__(
        self, body: BinaryIO, part: Part, *, status: int, headers: dict[str, str], threads: Threads
    ) -> None:
        """Called in a thread that may wait.

        Raises:
            OSError: the body cannot be read.
        """
        self.status_code = status
        self.background = None
        self._length = part.stop - part.start
        self.init_headers({**headers, "content-length": str(self._length)})
        self.sent = 0
        self.broken = ""
        self._threads = threads
        self._file = body
        if part.start:
            body.seek(part.start)
        self._begun = self._piece(self._length)
        self._is_idle = True

    def _piece(self, left: int) -> bytes:
        return self._file.read(min(PIECE_BYTES, left))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The body is sent, or as much of it as the client took and the store gave."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            await send(start)
            piece, self._begun = self._begun, b""
            left = await self._send(send, piece, self._length)
            if left:
                await self._send_rest(receive, send, left)
        finally:
            # Not while a thread reads it: the number of its descriptor may be another file's by then.
            if self._is_idle:
                self._file.close()

    async def _send(self, send: Send, piece: bytes, left: int) -> int:
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        self.sent += len(piece)
        return left

    async def _send_rest(self, receive: Receive, send: Send, left: int) -> None:
        # uvicorn drops what is sent to a client that is gone: a bottle would be read for nobody.
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            while left and not gone.done():
                self._is_idle = False
                piece = await self._threads.call(self._piece, left)
                self._is_idle = True
                if not piece:
                    self.broken = f"the store's object is {left} bytes short"
                    return
                left = await self._send(send, piece, left)
            if left:
                self.broken = "the client is gone"
        finally:
            gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
