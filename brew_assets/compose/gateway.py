"""What the gateway is made of: the records that it serves, and how it gets at the objects."""

from brew_assets.adapters.directory_store.served_files import ServedFiles
from brew_assets.compose.store import CLOCK, bucket_of, build_store, reach_of, s3_options
from brew_assets.configured import path_of
from brew_assets.engine.ports import Clock
from brew_assets.engine.served import ServedRecords
from brew_assets.engine.served_objects import ServedObjects
from brew_assets.settings import Settings


def build_served_records(settings: Settings, *, clock: Clock = CLOCK) -> ServedRecords:
    """What follows the pointer of the mirror's store. Nothing is contacted yet.

    Raises:
        SettingsInvalid: MIRROR_URL is neither a directory nor s3://bucket/prefix.
    """
    return ServedRecords(
        build_store(settings, clock=clock),
        clock,
        most=settings.records_served,
        reload_s=settings.reload_seconds,
        settle_s=settings.publication_settle_seconds,
    )


def build_served_objects(settings: Settings, *, clock: Clock = CLOCK) -> ServedObjects:
    """The objects of that store, as clients get at them. Nothing is contacted yet.

    Raises:
        SettingsInvalid: as of build_served_records.
    """
    if not settings.mirror_url.startswith("s3:"):
        return ServedFiles(path_of("MIRROR_URL", settings.mirror_url))
    from brew_assets.adapters.s3.served_addresses import ServedAddresses

    bucket, prefix = bucket_of(settings)
    return ServedAddresses(
        s3_options(settings, bucket=bucket, prefix=prefix),
        reach_of(settings),
        prefix=f"{prefix}/" if prefix else "",
        presign_s=settings.presign_seconds,
        clock=clock,
    )
