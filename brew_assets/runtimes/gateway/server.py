"""The gateway on uvicorn: how it follows the publication, and how it ends."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from brew_assets.engine.served import ServedRecords
from brew_assets.runtimes.gateway.app import Gateway
from brew_assets.runtimes.gateway.listening import BACKLOG

# ECS sends SIGKILL 30 s after SIGTERM. Who is cut off goes on with a Range.
GRACE_S = 25
# A head has some hundred bytes. Whoever sends more, or takes longer, is no client of a mirror.
MOST_HEAD_BYTES = 64 * 1024
HEAD_S = 30.0
# So long nobody is answered while the first record is loaded; then they are answered that there is none.
_FIRST_LOOK_S = 10.0


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, for which a request's head has neither a size nor a time."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._watch()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head, self._head_bytes = False, 0
        self._unwatch()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self._give_up)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


@contextlib.contextmanager
def following(records: ServedRecords) -> Iterator[None]:
    """While the block lasts, the pointer is looked at every `reload_s` seconds.

    It was before the block begins, unless the store takes long to answer.
    """
    looked, ended = threading.Event(), threading.Event()

    def follow() -> None:
        records.look()
        looked.set()
        records.pack()
        while not ended.wait(records.reload_s):
            records.look()
            records.pack()

    thread = threading.Thread(target=follow, name="publication", daemon=True)
    thread.start()
    looked.wait(_FIRST_LOOK_S)
    try:
        yield
    finally:
        ended.set()


def server_of(app: Gateway, context: ssl.SSLContext | None = None) -> uvicorn.Server:
    """uvicorn's server for the gateway; `run(sockets=…)` returns once it has ended in good order."""
    # Its own lines say less than ours, and some of them repeat what a client sent.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=BoundedHeads,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        ssl_context_factory=None if context is None else lambda *_: context,
    )
    return uvicorn.Server(config)


def serve(app: Gateway, made: socket.socket, context: ssl.SSLContext | None) -> None:
    """Requests are answered until SIGTERM or Ctrl-C; those under way are then finished, within the grace."""

    def stay(_: int, __: FrameType | None) -> None:
        # uvicorn raises the signal anew once it has ended, for whoever had it before: nobody.
        return

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stay)
    server_of(app, context).run(sockets=[made])
    app.close()
