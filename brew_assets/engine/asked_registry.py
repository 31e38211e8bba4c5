"""OCI documents of the registry, asked for until they come or a rule of retry.py ends it."""

from collections.abc import Callable

from brew_assets.engine.options import Options
from brew_assets.engine.ports import Ports
from brew_assets.engine.retry import Gate, SyncBudget, Tries, retrying
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import MirrorError, UpstreamError


class AskedRegistry:
    """The registry's documents for one piece of work on so many formulae, which share their retries.

    Safe for use by several threads.
    """

    def __init__(self, ports: Ports, options: Options, *, formulae: int) -> None:
        self._indexes = ports.indexes
        self._clock = ports.clock
        self._stop = ports.stop
        self._retry = options.retry
        self._gate = Gate(ports.clock)
        self._budget = SyncBudget.for_bottles(formulae, options.retry.attempts)

    def index(self, image: str, reference: str) -> bytes | None:
        """The index, None when the registry has none.

        Raises:
            UpstreamError: the last try's, or a stop signal came.
        """
        return self._persistently(lambda: self._indexes.fetch_index(image, reference))

    def child(self, image: str, digest: str) -> bytes | None:
        """The child manifest with this digest (not compared), None when the registry has none.

        Raises:
            UpstreamError: the last try's, or a stop signal came.
        """
        return self._persistently(lambda: self._indexes.fetch_child(image, digest))

    def interrupt(self) -> None:
        """Documents that any thread is waiting for break off at once."""
        self._indexes.interrupt()

    def _persistently(self, ask: Callable[[], bytes | None]) -> bytes | None:
        def through_gate() -> bytes | None:
            if not self._gate.pass_through(self._stop) or self._stop.is_set():
                raise UpstreamError("stopped before upstream was asked")
            answer = ask()
            self._gate.has_given()
            return answer

        tries = Tries(self._retry, self._budget, self._gate)
        with waiting_for(f"the registry {self._indexes.url}"):
            return retrying(
                through_gate,
                on=MirrorError,
                next_wait_s=tries.next_wait_s,
                clock=self._clock,
                stop=self._stop,
            )
