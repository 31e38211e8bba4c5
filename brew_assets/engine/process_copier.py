"""Copies bottles in several processes, where one interpreter would be the limit: for the command line alone.

Each process is a local copier for its part of the fetches and writes receipts of its own; the parent adds the
results up. Only a process without other threads may fork, so runs inside Dagster stay in one.
"""

import contextlib
import logging
import mmap
import multiprocessing
import multiprocessing.connection
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from brew_assets.domain.downloads import CopyJob, Fetch
from brew_assets.domain.transfer_result import TransferResult
from brew_assets.engine.clock import GracefulStop
from brew_assets.engine.options import Options
from brew_assets.engine.ports import Clock, Notice, Ports, Progress, ProgressListener, StopSignal
from brew_assets.engine.retry import Gate
from brew_assets.engine.transfer.local_copier import LocalCopier
from brew_assets.engine.transfer.state import copy_threads
from brew_assets.engine.waiting import Waits, heard, look, unwatched
from brew_assets.errors import (
    ChecksumRefused,
    MirrorError,
    ObjectRefused,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    StoreUnsupported,
)

# A process costs some hundredths of a second; so many bottles are worth one.
BOTTLES_PER_PROCESS = 50
BYTES_PER_PROCESS = 256 * 1024 * 1024
_TICK_S = 0.2
_REAP_S = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GONE_STATUS = 1
# Whose constructors take a text and a server's words.
_KINDS: dict[str, type[StoreError]] = {
    kind.__name__: kind
    for kind in (
        ChecksumRefused,
        ObjectRefused,
        StoreError,
        StoreFull,
        StoreRefused,
        StoreUnavailable,
        StoreUnsupported,
    )
}

_log = logging.getLogger(__name__)


class SharedGate(Gate):
    """A gate whose time all processes forked from this one see."""

    def __init__(self, clock: Clock) -> None:
        self._cell = mmap.mmap(-1, 8)
        super().__init__(clock)

    @property
    def _open_at(self) -> float:
        return float(struct.unpack("d", self._cell[:8])[0])

    @_open_at.setter
    def _open_at(self, value: float) -> None:
        self._cell[:8] = struct.pack("d", value)


class ProcessCopier:
    """Several processes forked from this one where that is safe and worth it, or else this one alone."""

    def __init__(
        self,
        ports: Ports,
        options: Options,
        *,
        most: int,
        make_ports: Callable[[StopSignal], Ports],
    ) -> None:
        """At most so many processes, each with ports of its own that `make_ports` makes there."""
        self._alone = LocalCopier(ports, options)
        self.route, self.chunk_size, self.log = self._alone.route, self._alone.chunk_size, self._alone.log
        self._ports = ports
        self._options = options
        self._most = most
        self._make_ports = make_ports

    def copy(self, job: CopyJob, *, progress: ProgressListener | None = None) -> TransferResult:
        """Every name of the job is in the store with a receipt, or counted as failed or undone.

        Raises:
            MirrorError: what ended one of the processes; the others then end as on SIGTERM.
            StoreError: receipts could not be written, or a process was killed; the next run finds and records
                what was stored.
        """
        with unwatched():
            if (count := worthwhile_processes(job.fetches, limit=self._most)) > 1:
                return self._share(job, count, progress)
        return self._alone.copy(job, progress=progress)

    def _share(self, job: CopyJob, count: int, progress: ProgressListener | None) -> TransferResult:
        """The sum of what `count` processes copied, or as many as there are slots, which they share."""
        context = multiprocessing.get_context("fork")
        shares = _shares(self._options, count)
        pipes = [context.Pipe(duplex=False) for _ in shares]
        receivers = [receiver for receiver, _ in pipes]
        gate = SharedGate(self._ports.clock)
        children: list[BaseProcess] = []
        for number, part in enumerate(_parts(job.fetches, len(shares))):

            def live(number: int = number, part: list[Fetch] = part) -> None:
                # A fork inherits the ends of all pipes. Each child keeps its own sender alone, and the parent
                # closes its copies once all have started: only then a killed child is the end of its pipe,
                # and not a pipe that somebody might still write to; and a dead parent is an error on the next
                # report.
                for position, (receiver, sender) in enumerate(pipes):
                    receiver.close()
                    if position != number:
                        sender.close()
                stop = _own_stop(already=self._ports.stop.is_set())
                pipe = _ProgressPipe(pipes[number][1])

                def copy() -> TransferResult:
                    options = shares[number]
                    threads = copy_threads(options.workers, processes=len(shares))
                    copier = LocalCopier(self._make_ports(stop), options, threads=threads, gate=gate)
                    with heard(Waits(pipe.hear), watch=True):
                        return copier.copy(
                            msgspec.structs.replace(job, fetches=part), progress=pipe.report_progress
                        )

                _report_end(copy, pipes[number][1])

            children.append(context.Process(target=live, name=f"transfer-{number}"))
        _log.info(
            "processes share the transfer", extra={"processes": len(shares), "fetches": len(job.fetches)}
        )
        try:
            _start(children)
            for _, sender in pipes:
                sender.close()
            return _gather(receivers, children, self._ports.stop, progress)
        finally:
            _end(children, receivers)


def worthwhile_processes(fetches: Sequence[Fetch], *, limit: int) -> int:
    """How many processes a transfer is worth: 1 where it is small or where forking is not safe."""
    if limit < 2 or sys.platform != "linux" or threading.active_count() > 1:
        return 1
    size = sum(fetch.size or 0 for fetch in fetches)
    worth = max(len(fetches) // BOTTLES_PER_PROCESS, min(len(fetches), size // BYTES_PER_PROCESS))
    cores = len(os.sched_getaffinity(0))
    return max(1, min(limit, cores, worth))


def _shares(options: Options, count: int) -> list[Options]:
    """The options of each process. Upstream sees no more of all together than it would of one."""
    slots = options.workers
    count = min(count, slots)
    return [
        msgspec.structs.replace(options, workers=slots // count + (number < slots % count))
        for number in range(count)
    ]


def _start(children: Sequence[BaseProcess]) -> None:
    """All children run. A signal between a fork and the child's own handler would meet its parent's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        for child in children:
            child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _end(children: Sequence[BaseProcess], receivers: list[Connection]) -> None:
    """No child is left: what an error leaves running ends as on SIGTERM."""
    started = [child for child in children if child.pid is not None]
    for child in started:
        if child.is_alive():
            child.terminate()
    # Closed before the wait: a child that still reports would wait for a reader.
    for receiver in receivers:
        receiver.close()
    for child in started:
        child.join()


def _own_stop(*, already: bool) -> GracefulStop:
    """A stop signal for this child: its parent's SIGTERM. Ctrl-C reaches the parent, which passes it on."""
    stop = GracefulStop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if already:
        stop.set()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return stop


class _Failed(msgspec.Struct, frozen=True, tag="failed"):
    """What ended a child: the class of our error, its text, and a server's words."""

    kind: str
    message: str
    status: int = 0
    code: str = ""


class _Gone(Exception):
    """The parent hears no more: it has died, or ends because of another child."""


def _report_end(copy: Callable[[], TransferResult], sender: Connection) -> None:
    """The parent knows what became of the child, and only the parent says it to anybody.

    Raises:
        SystemExit: the parent is gone.
    """
    end: TransferResult | _Failed
    try:
        end = copy()
    except _Gone:
        raise SystemExit(_GONE_STATUS) from None
    except StoreError as error:
        end = _Failed(type(error).__name__, str(error), error.status, error.code)
    except MirrorError as error:
        end = _Failed(type(error).__name__, str(error))
    try:
        sender.send_bytes(msgspec.msgpack.encode(end))
    except OSError:
        raise SystemExit(_GONE_STATUS) from None


def _error_of(failed: _Failed) -> MirrorError:
    """The child's error as one of ours; the class decides what is said of the run."""
    kind = _KINDS.get(failed.kind)
    if kind is None:
        return MirrorError(failed.message)
    return kind(failed.message, status=failed.status, code=failed.code)


class _ProgressPipe:
    """Reports to the parent how far a child is. A parent that is gone ends the child's transfer."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender
        self._waits: tuple[Notice, ...] = ()

    def hear(self, notices: Sequence[Notice]) -> None:
        """What the child waits for; the parent says it, once for all children."""
        self._waits = tuple(notices)

    def report_progress(self, progress: Progress) -> None:
        """The parent hears it.

        Raises:
            _Gone: there is no parent any more.
        """
        try:
            self._sender.send_bytes(
                msgspec.msgpack.encode(msgspec.structs.replace(progress, waits=self._waits))
            )
        except OSError as exc:
            raise _Gone from exc


def _gather(
    receivers: list[Connection],
    children: Sequence[BaseProcess],
    stop: StopSignal,
    listener: ProgressListener | None,
) -> TransferResult:
    """The sum of the children's results."""
    total = TransferResult()
    latest: dict[int, Progress] = {}
    waiting = dict(enumerate(receivers))
    asked_to_stop = False
    while waiting:
        if stop.is_set() and not asked_to_stop:
            asked_to_stop = True
            for child in children:
                child.terminate()
        ready = multiprocessing.connection.wait(list(waiting.values()), timeout=_TICK_S)
        for number in [number for number, receiver in waiting.items() if receiver in ready]:
            end = _next_message(receivers[number], children[number])
            if isinstance(end, Progress):
                latest[number] = end
                continue
            total.add(end)
            del waiting[number]
            if number in latest:
                latest[number] = msgspec.structs.replace(latest[number], waits=())
        look(also=[notice for progress in latest.values() for notice in progress.waits])
        if listener is not None and latest:
            listener(_summed(latest))
    return total


def _next_message(receiver: Connection, child: BaseProcess) -> Progress | TransferResult:
    """How far a child is, or what it did.

    Raises:
        MirrorError: what ended it.
    """
    try:
        message = receiver.recv_bytes()
    except EOFError as exc:
        raise StoreError(f"a transfer process ended without a result: {_how_it_ended(child)}") from exc
    with contextlib.suppress(msgspec.ValidationError):
        return _progress_decoder.decode(message)
    with contextlib.suppress(msgspec.ValidationError):
        raise _error_of(_failed_decoder.decode(message))
    return _result_decoder.decode(message)


def _how_it_ended(child: BaseProcess) -> str:
    child.join(_REAP_S)
    code = child.exitcode
    if code is None:
        return "it closed its pipe and runs on"
    if code >= 0:
        return f"exit code {code}; its output says why"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (the machine may have run out of memory)" if -code == signal.SIGKILL else ""
    return f"it was killed by {name}{hint}; the next sync finds what it stored"


def _summed(latest: dict[int, Progress]) -> Progress:
    parts = list(latest.values())
    return Progress(
        bottles_done=sum(part.bottles_done for part in parts),
        bottles_total=sum(part.bottles_total for part in parts),
        bytes_done=sum(part.bytes_done for part in parts),
        bytes_total=sum(part.bytes_total for part in parts),
        failed=sum(part.failed for part in parts),
        current=parts[-1].current,
    )


_progress_decoder = msgspec.msgpack.Decoder(Progress)
_failed_decoder = msgspec.msgpack.Decoder(_Failed)
_result_decoder = msgspec.msgpack.Decoder(TransferResult)


def _parts(fetches: Sequence[Fetch], count: int) -> list[list[Fetch]]:
    """The fetches dealt out so that every part has about as many bytes, each in the given order."""
    known = [fetch.size for fetch in fetches if fetch.size]
    mean = sum(known) // len(known) if known else 1
    parts: list[list[Fetch]] = [[] for _ in range(count)]
    loads = [0] * count
    for fetch in fetches:
        least = loads.index(min(loads))
        parts[least].append(fetch)
        loads[least] += fetch.size or mean
    return parts
