"""An upstream on loopback for the demo and the tests: what Homebrew serves, and how it fails."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brew_assets.simulator.access import Access
    from brew_assets.simulator.faults import Fault
    from brew_assets.simulator.model import SimulatedBottle, SimulatedFormula
    from brew_assets.simulator.population import SizeDistribution
    from brew_assets.simulator.server import Simulator
    from brew_assets.simulator.traffic import SeenRequest
    from brew_assets.simulator.world import DEFAULT_TAGS, World

_HOMES = {
    "Access": "access",
    "DEFAULT_TAGS": "world",
    "Fault": "faults",
    "SeenRequest": "traffic",
    "SimulatedBottle": "model",
    "SimulatedFormula": "model",
    "Simulator": "server",
    "SizeDistribution": "population",
    "World": "world",
}
__all__ = [
    "DEFAULT_TAGS",
    "Access",
    "Fault",
    "SeenRequest",
    "SimulatedBottle",
    "SimulatedFormula",
    "Simulator",
    "SizeDistribution",
    "World",
]


def __getattr__(name: str) -> Any:
    """Imported on first use: the command line loads this package to list its commands."""
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
