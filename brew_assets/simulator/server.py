"""An upstream on loopback: the formulae API, the registry and its CDN, each at a port of its own."""

import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from brew_assets.simulator.access import Access
from brew_assets.simulator.api import FormulaeApi
from brew_assets.simulator.cdn import Cdn
from brew_assets.simulator.faults import Fault, FaultScript
from brew_assets.simulator.http_server import LoopbackServer
from brew_assets.simulator.packages import PACKAGES_FILE
from brew_assets.simulator.registry import Registry
from brew_assets.simulator.signing import key_of_this_run
from brew_assets.simulator.traffic import SeenRequest, Traffic
from brew_assets.simulator.world import World


class Simulator:
    """Serves a World over real HTTP between start() and stop(), with the faults that it was given.

    With token_required the anonymous bearer is refused and only tokens from /token are accepted; `access`
    says more of how the registry is reached. `cdn_url` is what the registry calls the CDN, where that stands
    behind something else.
    """

    def __init__(
        self,
        world: World,
        *,
        gzip: bool = True,
        token_required: bool = False,
        access: Access | None = None,
        cdn_url: str = "",
    ) -> None:
        self._cdn_url = cdn_url
        self.world = world
        self._traffic = Traffic()
        self._script = FaultScript()
        self._stopped = threading.Event()
        self._api = FormulaeApi(world, self._script, self._traffic, compress=gzip)
        self._cdn = Cdn(world, self._script, self._traffic, self._stopped)
        self._registry = Registry(
            world,
            self._script,
            self._traffic,
            access=access or Access(scheme="token" if token_required else "any"),
            locate=self._signed_url,
            stopped=self._stopped,
        )
        self._servers: list[LoopbackServer] = []
        self._keys: TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Three free ports of 127.0.0.1 answer; a stopped simulator starts again at other ports."""
        if self._servers:
            return
        self._stopped.clear()
        self._servers = [LoopbackServer(host.answer) for host in (self._api, self._registry, self._cdn)]
        self._registry.url = self.registry_url
        self._keys = TemporaryDirectory(prefix="simulated-upstream-")
        # A public key: tasks that run as another user read it too.
        Path(self._keys.name).chmod(0o755)

    def stop(self) -> None:
        """The ports are closed and every connection is cut; counts and faults remain."""
        self._stopped.set()
        servers, self._servers = self._servers, []
        for server in servers:
            server.stop()
        if self._keys is not None:
            self._keys.cleanup()
            self._keys = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        return f"http://{self._address(0)}/api"

    @property
    def registry_url(self) -> str:
        return f"http://{self._address(1)}"

    @property
    def cdn_host(self) -> str:
        """Host and port to which the registry redirects."""
        return self._address(2)

    @property
    def api_public_key(self) -> Path:
        """A PEM file with the key of this run, named by it; it is gone when the simulator stops."""
        if self._keys is None:
            raise RuntimeError("the simulator is not started")
        key = key_of_this_run()
        path = Path(self._keys.name) / f"{key.kid}.pem"
        if not path.exists():
            path.write_bytes(key.public_pem())
        return path

    def environment(self) -> dict[str, str]:
        """The settings that turn a client to this upstream."""
        return {
            "FORMULAE_API_URL": self.api_url,
            "BOTTLE_REGISTRY_URL": self.registry_url,
            "BOTTLE_CDN_HOSTS": self.cdn_host,
            "API_PUBLIC_KEY": str(self.api_public_key),
        }

    def fault(self, filename: str, *faults: Fault) -> None:
        """These play for the bottle of that name, after what was scripted for it before.

        `<image>:<reference>` instead of a filename scripts answers for that index, and
        `internal/packages.<tag>.jws.json` those for this file of the API.

        Raises:
            ValueError: no bottle or index of that name was ever published, or no edition so far back, so
                nothing could play.
        """
        if PACKAGES_FILE.fullmatch(filename):
            for fault in faults:
                self.world.edition(fault.editions_back)
            self._script.add(filename, faults)
            return
        image, _, reference = filename.partition(":")
        if not self.world.knows(filename) and not self.world.indexed(image, reference):
            raise ValueError(f"no bottle or index is called {filename!r}")
        self._script.add(filename, faults)

    def clear_faults(self) -> None:
        """Nothing is scripted any more; the API is up and shows the world's catalogue."""
        self._script.clear()
        self.api_down = False
        self.api_body_override = None

    @property
    def api_down(self) -> bool:
        """Whether the API answers 503 to everything."""
        return self._api.down

    @api_down.setter
    def api_down(self, down: bool) -> None:
        self._api.down = down

    @property
    def api_body_override(self) -> bytes | None:
        """What the API serves instead of the world's catalogue."""
        return self._api.body_override

    @api_body_override.setter
    def api_body_override(self, body: bytes | None) -> None:
        self._api.body_override = body

    @property
    def weak_etag(self) -> bool:
        """Whether the API's ETag is weak, as the real one's is."""
        return self._api.weak_etag

    @weak_etag.setter
    def weak_etag(self, weak: bool) -> None:
        self._api.weak_etag = weak

    @property
    def downloads(self) -> Counter[str]:
        """Digest -> how often the CDN began to send the blob or a part of it."""
        return self._traffic.downloads

    @property
    def completed(self) -> Counter[str]:
        """Digest -> how often the CDN sent the right bytes up to the blob's end."""
        return self._traffic.completed

    @property
    def bytes_sent(self) -> int:
        """Blob bytes that left the CDN."""
        return self._traffic.bytes_sent

    @property
    def refused_logins(self) -> int:
        """How often somebody came with wrong credentials."""
        return self._traffic.refused_logins

    @property
    def most_bodies(self) -> int:
        """How many bodies the CDN was sending at the same time, at most."""
        with self._traffic.lock:
            return self._traffic.most_bodies

    @property
    def connections(self) -> int:
        """How many connections all its hosts have taken since the start."""
        return sum(server.accepted for server in self._servers)

    @property
    def violations(self) -> list[str]:
        """What clients did that a real upstream would refuse."""
        with self._traffic.lock:
            return list(self._traffic.violations)

    @property
    def requests(self) -> list[SeenRequest]:
        """Every request so far, in order of arrival."""
        with self._traffic.lock:
            return list(self._traffic.requests)

    def _signed_url(self, digest: str) -> str:
        return f"{self._cdn_url or f'http://{self.cdn_host}'}{self._cdn.sign(digest)}"

    def _address(self, number: int) -> str:
        if not self._servers:
            raise RuntimeError("the simulator is not started")
        return f"127.0.0.1:{self._servers[number].port}"
