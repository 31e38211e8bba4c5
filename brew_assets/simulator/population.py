"""Formulae as Homebrew has them: names, versions, revisions, rebuilds, tags and sizes, invented from a seed.

Shares are those of the catalogue of 2026-08-22 (8,554 formulae).
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from brew_assets.simulator.oci import image_name

# Newest first; within one architecture an older one serves a newer macOS.
_MACOS = ("tahoe", "sequoia", "sonoma", "ventura", "monterey", "big_sur", "catalina")
_STEMS = """
    amber basil cedar delta ember fable gravel hazel indigo jasper kelp larch maple nectar onyx pepper quartz
    raven saffron timber umber velvet willow xenon yarrow zephyr
"""
_ENDS = "cli core db fmt gen graph http kit lint make net parse sync tools view xml"
# What the first formulae of every world are, so that a small world shows each shape.
_SHOWCASE = """
    plain versioned plus underscore dotted dashed bottleless all shared older deprecated disabled rebuilt
"""


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of formulae with `all` bottles, and of those with several tags where two have one digest."""

    all_tag: float
    shared_digest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One formula before its bottles are made; the tags in shared carry the same bytes."""

    name: str
    version: str
    revision: int = 0
    rebuild: int = 0
    tags: tuple[str, ...]
    shared: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    disabled: bool = False
    deprecated: bool = False

    @property
    def pkg_version(self) -> str:
        return f"{self.version}_{self.revision}" if self.revision else self.version


def invent(seed: int, formulae: int, tags: tuple[str, ...], shares: Shares) -> Iterator[Planned]:
    """That many formulae, each with a name and an image name of its own."""
    draw = random.Random(f"population/{seed}")
    showcase = _SHOWCASE.split()
    names: list[str] = []
    served: dict[str, frozenset[str]] = {}
    images: set[str] = set()
    for number in range(formulae):
        shape = showcase[number] if number < len(showcase) else _shape(draw, shares)
        if shape == "all" and not shares.all_tag:
            shape = "plain"
        name = _name(draw, shape)
        while image_name(name) in images:
            name = _name(draw, shape)
        made = _formula(draw, name, shape, tags=tags, shares=shares, known=names)
        needs = _systems(made.tags)
        # As in core: what is needed can be had wherever what needs it can.
        yield replace(made, dependencies=tuple(n for n in made.dependencies if needs <= served[n]))
        names.append(name)
        served[name] = needs if made.tags and not made.disabled else frozenset()
        images.add(image_name(name))


def _systems(tags: tuple[str, ...]) -> frozenset[str]:
    """Which systems the bottles serve; of a formula without bottles nobody knows."""
    if "all" in tags or not tags:
        return frozenset({"linux", "macos"})
    return frozenset("linux" if tag.endswith("_linux") else "macos" for tag in tags)


def _shape(draw: random.Random, shares: Shares) -> str:
    if draw.random() < shares.all_tag:
        return "all"
    shapes = ("versioned", "plus", "underscore", "dotted", "dashed", "older", "deprecated", "disabled")
    weights = (2.2, 0.3, 0.9, 0.2, 1.2, 2.0, 5.1, 2.3)
    return draw.choices((*shapes, "plain"), (*weights, 100 - sum(weights)))[0]


def _name(draw: random.Random, shape: str) -> str:
    base = draw.choice(_STEMS.split())
    if draw.random() < 0.9:
        base += f"-{draw.choice(_ENDS.split())}"
    if draw.random() < 0.7:
        base += str(draw.randrange(2, 1000))
    if shape == "versioned":
        return f"{base}@{draw.choice(('3', '11', '3.12', '2.7'))}"
    if shape == "plus":
        return base + draw.choice(("++", "+", "++@2"))
    if shape == "underscore":
        return base.replace("-", "_") if "-" in base else f"{base}_tool"
    return f"{base}.sh" if shape == "dotted" else base


def _formula(
    draw: random.Random, name: str, shape: str, *, tags: tuple[str, ...], shares: Shares, known: list[str]
) -> Planned:
    own_tags = _tags(draw, shape, tags)
    rebuilt = shape == "rebuilt"
    return Planned(
        name=name,
        version=_version(draw, shape),
        revision=draw.randrange(1, 6) if rebuilt or draw.random() < 0.144 else 0,
        rebuild=draw.randrange(1, 4) if rebuilt or draw.random() < 0.189 else 0,
        tags=own_tags,
        shared=_shared(draw, shape, own_tags, shares),
        dependencies=tuple(draw.sample(known, min(len(known), draw.randrange(3)))),
        disabled=shape == "disabled",
        deprecated=shape == "deprecated",
    )


def _version(draw: random.Random, shape: str) -> str:
    major, minor, patch = draw.randrange(12), draw.randrange(30), draw.randrange(20)
    if shape == "dashed":
        dashed = (
            f"{major}.{minor}.{patch}-r3",
            f"1.6.0-{600 + minor}",
            f"2026-{1 + major:02}-{1 + patch:02}",
        )
        return draw.choice(dashed)
    return f"{major}.{minor}" if draw.random() < 0.2 else f"{major}.{minor}.{patch}"


def _tags(draw: random.Random, shape: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    if shape == "bottleless":
        return ()
    if shape == "all":
        return ("all",)
    if shape == "older":
        newest = _newest_with_older(tags)
        return tuple(tag for tag in tags if tag not in newest)
    linux = tuple(tag for tag in tags if tag.endswith("_linux"))
    macos = tuple(tag for tag in tags if tag not in linux)
    # Formulae that exist for one system only: 163 without macOS, about as many without Linux.
    chance = draw.random()
    if linux and macos and shape == "plain" and chance < 0.035:
        return linux if chance < 0.02 else macos
    return tags


def _newest_with_older(tags: tuple[str, ...]) -> set[str]:
    """The newest macOS tag of every architecture that has an older one too."""
    newest = set()
    for prefix in ("arm64_", ""):
        present = [prefix + release for release in _MACOS if prefix + release in tags]
        if len(present) > 1:
            newest.add(present[0])
    return newest


def _shared(draw: random.Random, shape: str, tags: tuple[str, ...], shares: Shares) -> tuple[str, ...]:
    wanted = shape == "shared" or draw.random() < shares.shared_digest
    if not wanted or not shares.shared_digest or len(tags) < 2:
        return ()
    first = draw.randrange(len(tags) - 1)
    return tags[first : first + 2]


# The 90th percentile of the standard normal distribution.
_Z90 = 1.2815515655446004


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeDistribution:
    """Bottle sizes in bytes: log-normal, or all alike when sigma is 0."""

    median_bytes: int
    sigma: float
    max_bytes: int

    @classmethod
    def fixed(cls, size_bytes: int) -> "SizeDistribution":
        """Every bottle has about this size; an archive cannot be much below 750 bytes."""
        return cls(median_bytes=size_bytes, sigma=0.0, max_bytes=size_bytes)

    @classmethod
    def lognormal(cls, *, median_bytes: int, p90_bytes: int, max_bytes: int) -> "SizeDistribution":
        """Half of the bottles are below the median, nine tenths below p90, none above max.

        Raises:
            ValueError: the three are not positive and in order.
        """
        if not 0 < median_bytes <= p90_bytes <= max_bytes:
            raise ValueError(f"median {median_bytes} <= p90 {p90_bytes} <= max {max_bytes} does not hold")
        sigma = math.log(p90_bytes / median_bytes) / _Z90
        return cls(median_bytes=median_bytes, sigma=sigma, max_bytes=max_bytes)

    def sample(self, seed: str) -> int:
        """The size that belongs to this seed."""
        if not self.sigma:
            return self.median_bytes
        drawn = random.Random(seed).lognormvariate(math.log(self.median_bytes), self.sigma)
        return min(self.max_bytes, round(drawn))


# Small enough that a world of thousands is made in seconds; real bottles are about a hundred times larger.
SMALL = SizeDistribution.lognormal(median_bytes=6_000, p90_bytes=48_000, max_bytes=1_000_000)
