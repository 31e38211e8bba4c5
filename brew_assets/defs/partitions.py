"""The partitions: one per platform. Static, so they stand in the UI before anything ran."""

import dagster as dg

from brew_assets.configured import configured_platforms
from brew_assets.settings import Settings, read_settings


def platform_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition per platform of TARGET_PLATFORMS.

    Raises:
        SettingsInvalid: one is not known.
    """
    return dg.StaticPartitionsDefinition(list(configured_platforms(settings)))


platforms = platform_partitions(read_settings())
