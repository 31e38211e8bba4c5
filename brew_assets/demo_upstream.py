"""The upstream of `make demo`, the same every time; for `make demo-ui` it moves on by weeks."""

import hashlib
import os
import random
import re
from pathlib import Path

import msgspec

from brew_assets.compose.store import CLOCK
from brew_assets.configured import configured_platforms
from brew_assets.domain.catalogue import choose_bottles, decode_catalogue
from brew_assets.engine.ports import Clock
from brew_assets.settings import Settings, read_settings
from brew_assets.simulator import Fault, Simulator, SizeDistribution, World
from brew_assets.simulator.model import SimulatedBottle

_FORMULAE = 40
_SEED = 20
_SIZES = SizeDistribution.lognormal(median_bytes=40_000, p90_bytes=400_000, max_bytes=8_000_000)
# What a week brings: about 20 bottles for the default platforms, which together take some ten seconds.
_NEWS = 6
_NEWS_BYTES = 240_000
_NEWS_BYTES_PER_SECOND = 120_000
_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
# What a person may choose for the demo; all other settings are about a real mirror.
_CHOSEN = {"TARGET_PLATFORMS", "SCHEDULE_ENABLED", "SCHEDULE_EXPRESSION"}


def demo_world(clock: Clock = CLOCK) -> World:
    """The upstream of the demo, with the same bottles every time; what it publishes is of today."""
    return World.generate(seed=_SEED, formulae=_FORMULAE, sizes=_SIZES, now=lambda: clock.now().timestamp())


def move_on(world: World, week: int) -> list[SimulatedBottle]:
    """The bottles of that week's new versions; the weeks before it must have passed in this world."""
    names = sorted(
        formula.name for formula in world.formulae if len(formula.bottles) > 1 and not formula.disabled
    )
    new: list[SimulatedBottle] = []
    for name in random.Random(f"{_SEED}/week/{week}").sample(names, _NEWS):
        formula = next(formula for formula in world.formulae if formula.name == name)
        version = _LAST_NUMBER.sub(lambda number: str(int(number[0]) + 1), formula.version)
        new += world.publish(
            name,
            version,
            tags=[bottle.tag for bottle in formula.bottles],
            size_bytes=_NEWS_BYTES,
            deprecated=formula.deprecated,
        )
    return new


def slow_down(upstream: Simulator, bottles: list[SimulatedBottle]) -> None:
    """These come slowly enough to be watched."""
    for bottle in bottles:
        upstream.fault(bottle.filename, Fault.slow(_NEWS_BYTES_PER_SECOND, times=None))


def demo_environment(upstream: Simulator, mirror: Path, home: Path) -> dict[str, str]:
    """This process's environment for Dagster on that mirror; its settings are the demo's.

    Whoever has a bucket, a proxy or a webhook in the shell wants no simulated bottles, or messages, there.
    """
    theirs = {field.encode_name for field in msgspec.structs.fields(Settings)} - _CHOSEN
    kept = {name: value for name, value in os.environ.items() if name.upper() not in theirs}
    return kept | {
        **upstream.environment(),
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MIRROR_URL": str(mirror),
        # All of it is on this machine, which no proxy leads back to.
        "no_proxy": "*",
    }


def describe_upstream(world: World, url: str) -> str:
    """How many bottles upstream has, and how many of them the demo mirrors."""
    data = world.catalogue_json()
    catalogue = decode_catalogue(data, sha256=hashlib.sha256(data).hexdigest())
    platforms = configured_platforms(read_settings())
    wanted = len(choose_bottles(catalogue, platforms))
    return (
        f"Upstream: {len(world.bottles)} simulated bottles for all platforms, at {url}; "
        f"{wanted} of them serve {', '.join(platforms)}"
    )
