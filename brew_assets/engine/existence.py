"""Whether a store holds a mirror: what reads or mends one asks, for a wrong place is no empty mirror."""

from brew_assets.domain.bottle import parse_filename
from brew_assets.domain.object_keys import BACKUP_PREFIX, MANIFEST_KEY, parse_key
from brew_assets.engine.ports import Store
from brew_assets.engine.record.journal import journal_objects
from brew_assets.errors import MirrorMissing, StoreError


def mirror_exists(store: Store, *, backup_suffices: bool = False) -> bool:
    """Whether there is a manifest, a receipt or a bottle in a date folder; a backup if `backup_suffices`.

    Nothing is written. What else stands there, empty folders or files of others, is no mirror.

    Raises:
        StoreError: the store did not answer or refused; the message names it.
    """
    try:
        return (
            any(listed.key == MANIFEST_KEY for listed in store.listing(MANIFEST_KEY))
            or next(journal_objects(store), None) is not None
            # Some servers go on listing a folder whose objects are gone.
            or any(_has_a_bottle(store, folder) for folder in store.date_folders())
            or (backup_suffices and next(iter(store.listing(BACKUP_PREFIX)), None) is not None)
        )
    except StoreError as exc:
        # So that the store is named once: that much may be asked of a text, it decides nothing else.
        if store.url.rstrip("/") in str(exc):
            raise
        raise type(exc)(f"{store.url}: {exc}", status=exc.status, code=exc.code) from exc


def require_mirror(store: Store, *, place: str, backup_suffices: bool = False) -> None:
    """Returns when there is a mirror; `place` is what the operator calls it.

    Raises:
        MirrorMissing: there is none.
        StoreError: the store did not answer or refused.
    """
    if not mirror_exists(store, backup_suffices=backup_suffices):
        raise MirrorMissing(place=place, url=store.url)


def _has_a_bottle(store: Store, folder: str) -> bool:
    places = (parse_key(listed.key) for listed in store.listing(f"{folder}/"))
    return any(place is not None and parse_filename(place[1]) is not None for place in places)
