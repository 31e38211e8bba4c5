"""The settings of what is published and served: a part of those in settings.py, which reads them."""

from typing import Annotated, Literal

import msgspec

from brew_assets.setting_values import Group, in_group

_publication = in_group(Group.PUBLICATION)


class PublicationSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """Which of the signed API is mirrored, when a publication becomes current, and how it is served."""

    api_tags: Annotated[
        tuple[str, ...],
        _publication(
            "Tags whose signed API files are mirrored besides those of `TARGET_PLATFORMS`, comma-separated."
        ),
    ] = ()
    api_public_key: Annotated[
        tuple[str, ...],
        _publication(
            "PEM files with the public keys of the API's signatures, comma-separated, each named by its key's id (`homebrew-1.pem`); empty means Homebrew's own key."
        ),
    ] = ()
    api_consistency_wait_seconds: Annotated[
        float,
        _publication(
            "How long API files of different generations are asked for again, in seconds, before nothing is published.",
            ge=0,
            le=3600,
        ),
    ] = 120.0
    publish: Annotated[
        Literal["strict", "best_effort", "off"],
        _publication(
            "When a sync's publication becomes current: `strict` when nothing lacks, `best_effort` always, `off` never."
        ),
    ] = "strict"
    publish_max_upstream: Annotated[
        int,
        _publication(
            "Bottles that upstream itself cannot serve and that may lack in a strict publication.",
            ge=0,
            le=1_000_000,
        ),
    ] = 50
    publish_max_missing: Annotated[
        int,
        _publication("Other bottles that may lack in a strict publication.", ge=0, le=1_000_000),
    ] = 0
    public_url: Annotated[
        str, _publication("Address under which clients reach the gateway; empty means the one it listens at.")
    ] = ""
    records_served: Annotated[
        int, _publication("Newest publications whose bottles and indexes are served.", ge=1, le=100)
    ] = 8
    reload_seconds: Annotated[
        float, _publication("Seconds between two looks at which publication is current.", gt=0, le=3600)
    ] = 5.0
    presign_seconds: Annotated[
        int,
        _publication(
            "Seconds for which an address that the gateway redirects to is valid.", ge=60, le=604_800
        ),
    ] = 600
    publication_settle_seconds: Annotated[
        int,
        _publication(
            "Seconds after a publication for which no API file is answered with 304.", ge=0, le=86_400
        ),
    ] = 600
