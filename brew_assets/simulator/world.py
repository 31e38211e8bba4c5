"""What upstream has: formulae, their bottles and the bytes behind every digest, all from one seed.

Digests are equal wherever the seed and zlib are, and so are dates, unless a clock is given. A bottle is made
once to learn its digest and then forgotten; its bytes are made again when somebody asks, and small ones stay
in a 64 MiB cache.
"""

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence

from brew_assets.simulator import archive, catalogue, oci, population
from brew_assets.simulator.model import (
    FIRST_GENERATED_AT,
    SECONDS_APART,
    Edition,
    SimulatedBottle,
    SimulatedFormula,
)
from brew_assets.simulator.population import SMALL, SizeDistribution

DEFAULT_TAGS = ("arm64_tahoe", "arm64_sequoia", "arm64_sonoma", "sonoma", "x86_64_linux", "arm64_linux")
CACHE_BYTES = 64 * 2**20
KEPT_EDITIONS = 16
CACHED_BLOB_BYTES = 8 * 2**20  # larger ones are streamed from their seed


class World:
    """An upstream that can be published to. Safe to change while a Simulator serves it."""

    def __init__(
        self, *, seed: int = 0, sizes: SizeDistribution = SMALL, now: Callable[[], float] | None = None
    ) -> None:
        """`now`, in seconds since 1970, dates each edition; without it they are a minute apart."""
        self.seed = seed
        self._now = now
        self.sizes = sizes
        self.revision = 0  # counts changes
        self._lock = threading.RLock()
        self._formulae: dict[str, SimulatedFormula] = {}
        self._baked: dict[str, archive.Baked] = {}
        self._named: dict[str, dict[str, SimulatedBottle]] = {}  # digest -> filename -> bottle, old ones too
        self._indexes: dict[str, dict[str, tuple[SimulatedBottle, ...]]] = {}  # image -> reference
        self._filenames: set[str] = set()
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._catalogue: bytes | None = None
        self._editions: deque[Edition] = deque(maxlen=KEPT_EDITIONS)
        self._editions.append(Edition(seed=seed, number=0, generated_at=self._date()))

    @classmethod
    def generate(
        cls,
        *,
        seed: int,
        formulae: int,
        tags: Sequence[str] = DEFAULT_TAGS,
        sizes: SizeDistribution = SMALL,
        all_share: float = 0.13,
        shared_digest_share: float = 0.08,
        progress: Callable[[int, int], None] | None = None,
        now: Callable[[], float] | None = None,
    ) -> "World":
        """A world with the shapes of the real catalogue; the first thirteen formulae show each shape once.

        shared_digest_share is the share of formulae with several tags in which two tags have one digest.
        `progress` hears (formulae made, formulae in all). `now`, in seconds since 1970, dates each edition.
        """
        world = cls(seed=seed, sizes=sizes, now=now)
        shares = population.Shares(all_tag=all_share, shared_digest=shared_digest_share)
        for number, planned in enumerate(population.invent(seed, formulae, tuple(tags), shares), 1):
            world._publish(planned)
            if progress is not None:
                progress(number, formulae)
        world._changed()
        return world

    @property
    def formulae(self) -> list[SimulatedFormula]:
        """What the catalogue lists now, in the order of publication."""
        with self._lock:
            return list(self._formulae.values())

    @property
    def bottles(self) -> list[SimulatedBottle]:
        """Every bottle that the catalogue lists now."""
        return [bottle for formula in self.formulae for bottle in formula.bottles]

    def publish(
        self,
        name: str,
        version: str,
        *,
        revision: int = 0,
        rebuild: int = 0,
        tags: Sequence[str] = ("arm64_sonoma",),
        size_bytes: int | None = None,
        content_seed: str | None = None,
        disabled: bool = False,
        deprecated: bool = False,
        shared_digest: bool = False,
        dependencies: Sequence[str] | None = None,
        keg_version: str | None = None,
    ) -> list[SimulatedBottle]:
        """The formula's new bottles; its earlier ones leave the catalogue, their blobs stay fetchable.

        Another content_seed gives other bytes under the same names. With shared_digest all tags carry the
        same bytes. Without dependencies it needs what its version before did. keg_version is the pkg_version
        inside the tar where that differs: the bytes are then those that were published for it. No tags means
        a formula without bottle.
        """
        if dependencies is None:
            before = self._formulae.get(name)
            dependencies = before.dependencies if before is not None else ()
        planned = population.Planned(
            name=name,
            version=version,
            revision=revision,
            rebuild=rebuild,
            tags=tuple(tags),
            shared=tuple(tags) if shared_digest else (),
            dependencies=tuple(dependencies),
            disabled=disabled,
            deprecated=deprecated,
        )
        made = self._publish(planned, size_bytes=size_bytes, content_seed=content_seed, keg=keg_version)
        with self._lock:
            self._changed()
        return list(made.bottles)

    def remove(self, name: str) -> None:
        """The formula is no longer in the catalogue; its blobs and indexes stay fetchable.

        Raises:
            KeyError: there is no such formula.
        """
        with self._lock:
            del self._formulae[name]
            self._changed()

    def catalogue_json(self) -> bytes:
        """The body of `api/formula.json`."""
        with self._lock:
            if self._catalogue is None:
                self._catalogue = catalogue.catalogue_json(self._editions[-1])
            return self._catalogue

    def edition(self, back: int = 0) -> Edition:
        """What upstream shows now, or showed so many changes ago.

        Raises:
            ValueError: no such edition is known (any more).
        """
        with self._lock:
            if back >= len(self._editions):
                raise ValueError(f"{len(self._editions)} editions are known, asked for number {back} before")
            return self._editions[-1 - back]

    def index_json(
        self,
        image: str,
        reference: str,
        *,
        lacking: Collection[str] = (),
        without: Mapping[str, Collection[str]] | None = None,
    ) -> bytes | None:
        """The OCI index under a version's reference, or None.

        `lacking` are names of bottles that have no entry, `without` maps such names to annotations that
        their entries lack.
        """
        bottles = self.indexed(image, reference)
        return oci.index_json(bottles, lacking=lacking, without=without or {}) if bottles else None

    def manifest_json(self, image: str, digest: str) -> bytes | None:
        """The child manifest with that digest (64 hex digits), or None."""
        with self._lock:
            candidates = [bottle for held in self._indexes.get(image, {}).values() for bottle in held]
        for bottle in candidates:
            document = oci.manifest_json(bottle)
            if hashlib.sha256(document).hexdigest() == digest:
                return document
        return None

    def indexed(self, image: str, reference: str) -> tuple[SimulatedBottle, ...]:
        """The bottles that one index names; empty when there is no such index."""
        with self._lock:
            return self._indexes.get(image, {}).get(reference, ())

    def named(self, digest: str) -> tuple[SimulatedBottle, ...]:
        """Every bottle, listed now or earlier, that has this digest."""
        with self._lock:
            return tuple(self._named.get(digest, {}).values())

    def knows(self, filename: str) -> bool:
        """Whether a bottle of that name was ever published."""
        return filename in self._filenames

    def open_blob(self, digest: str) -> archive.Blob:
        """The archive behind a digest, readable at any offset without being held in memory.

        Raises:
            KeyError: nothing was ever published with this digest.
        """
        return archive.open_blob(self._baked[digest])

    def blob(self, digest: str) -> bytes:
        """The archive's bytes, all of them in memory: for small bottles.

        Raises:
            KeyError: nothing was ever published with this digest.
        """
        with self._lock:
            cached = self._cache.get(digest)
            if cached is not None:
                self._cache.move_to_end(digest)
                return cached
        content = self.open_blob(digest).read()
        if len(content) <= CACHED_BLOB_BYTES:
            self._keep(digest, content)
        return content

    def _keep(self, digest: str, content: bytes) -> None:
        with self._lock:
            if digest not in self._cache:
                self._cached_bytes += len(content)
            self._cache[digest] = content
            while self._cached_bytes > CACHE_BYTES:
                _, dropped = self._cache.popitem(last=False)
                self._cached_bytes -= len(dropped)

    def _publish(
        self,
        planned: population.Planned,
        *,
        size_bytes: int | None = None,
        content_seed: str | None = None,
        keg: str | None = None,
    ) -> SimulatedFormula:
        keg = keg or planned.pkg_version
        bottles = tuple(
            self._bottle(planned, tag, self._bake(planned, tag, keg, content_seed, size_bytes))
            for tag in planned.tags
        )
        formula = SimulatedFormula(
            name=planned.name,
            version=planned.version,
            revision=planned.revision,
            rebuild=planned.rebuild,
            bottles=bottles,
            dependencies=planned.dependencies,
            deprecated=planned.deprecated,
            disabled=planned.disabled,
        )
        with self._lock:
            self._formulae[planned.name] = formula
            for bottle in bottles:
                self._named.setdefault(bottle.digest, {})[bottle.filename] = bottle
                self._filenames.add(bottle.filename)
            if bottles:
                self._indexes.setdefault(bottles[0].image, {})[bottles[0].reference] = bottles
        return formula

    def _bake(
        self,
        planned: population.Planned,
        tag: str,
        keg: str,
        content_seed: str | None,
        size_bytes: int | None,
    ) -> archive.Baked:
        owner = planned.shared[0] if tag in planned.shared else tag
        seed = f"{self.seed}/{planned.name}/{keg}/{planned.rebuild}/{owner}/{content_seed or ''}"
        wished = self.sizes.sample(seed) if size_bytes is None else size_bytes
        filler_bytes = archive.filler_for(wished, planned.name)
        baked = archive.bake(archive.Recipe(planned.name, keg, seed, filler_bytes))
        with self._lock:
            return self._baked.setdefault(baked.digest, baked)

    @staticmethod
    def _bottle(planned: population.Planned, tag: str, baked: archive.Baked) -> SimulatedBottle:
        return SimulatedBottle(
            formula=planned.name,
            pkg_version=planned.pkg_version,
            tag=tag,
            rebuild=planned.rebuild,
            digest=baked.digest,
            size=baked.size,
            image=oci.image_name(planned.name),
        )

    def _changed(self) -> None:
        """A new edition, of one commit, for all that the API serves."""
        self.revision += 1
        formulae = tuple(self._formulae.values())
        edition = Edition(seed=self.seed, number=self.revision, generated_at=self._date(), formulae=formulae)
        self._editions.append(edition)
        self._catalogue = None

    def _date(self) -> int:
        """When what is shown now was made; never before the edition that it follows."""
        if self._now is None:
            return FIRST_GENERATED_AT + SECONDS_APART * self.revision
        return max([int(self._now()), *(edition.generated_at for edition in self._editions)])
