"""The signed API as it is kept in the store: files of one generation, verified, byte for byte.

A generation is what upstream made from one commit of homebrew-core. Hosts behind its CDN are renewed one
after the other: files of different generations are asked for again until they agree.
"""

import hashlib
import itertools
import logging
from collections.abc import Iterable, Sequence

import msgspec

from brew_assets.domain.api import PackagesFile, packages_path, read_packages
from brew_assets.domain.bottle import Digest, is_digest
from brew_assets.domain.publication import API_PREFIX, PublishedApi
from brew_assets.domain.signatures import PublicKey
from brew_assets.engine.clock import go_on_planning
from brew_assets.engine.log_context import facts_of_error
from brew_assets.engine.options import Options
from brew_assets.engine.ports import ApiSource, Clock, FetchedCatalogue, Ports, Store
from brew_assets.engine.retry import Backoff, retrying
from brew_assets.engine.waiting import waiting_for
from brew_assets.errors import (
    UNREADABLE,
    CatalogueRefused,
    CatalogueUnavailable,
    GenerationsDiffer,
    KeyTaken,
    MirrorError,
    ObjectRefused,
    PreconditionFailed,
    PublicationInvalid,
    StoreUnavailable,
    UpstreamError,
)

LATEST_KEY = f"{API_PREFIX}latest.json"
# Upstream's hosts keep a file for ten minutes at most; most agree within one.
_BACKOFF = Backoff(first_s=4.0, cap_s=30.0)

_log = logging.getLogger(__name__)


class KeptApiFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the newest kept file of a tag; the bytes stand under their SHA-256."""

    url: str
    file: PublishedApi
    etag: str
    last_modified: str
    fetched_at: str
    tap_git_head: str


class _Latest(msgspec.Struct, frozen=True):
    tags: dict[str, KeptApiFile] = {}


_latest_decoder = msgspec.json.Decoder(_Latest)


class ApiFile(msgspec.Struct, frozen=True, kw_only=True):
    """One verified packages file: where it is kept, and what it says."""

    published: PublishedApi
    packages: PackagesFile


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The files of all tags that were asked for, made from one commit of homebrew-core."""

    tap_git_head: str
    files: tuple[ApiFile, ...]

    @property
    def generated_at(self) -> int:
        """When the first of its files was made, in seconds since 1970."""
        return min(file.published.generated_at for file in self.files)

    @property
    def packages(self) -> tuple[PackagesFile, ...]:
        """What the files say."""
        return tuple(file.packages for file in self.files)


def fetch_generation(ports: Ports, options: Options, tags: Sequence[str]) -> Generation:
    """The generation that upstream shows now, of all the tags; its files are kept in the store.

    Raises:
        GenerationsDiffer: hosts showed different generations for longer than the options allow.
        CatalogueUnavailable, CatalogueRefused: upstream gave none; a tag has no file, or no API is mirrored.
        PublicationInvalid: a file is not signed by one of the keys, or is of another tag; it is not kept.
        SettingsInvalid: a key cannot be read.
        PlanningStopped: the stop signal came meanwhile.
    """
    if ports.api is None:
        raise CatalogueRefused(
            "expected the signed API to be mirrored, found PUBLISH=off; set it to strict or best_effort"
        )
    clock, until = ports.clock, ports.clock.monotonic() + options.api_consistency_wait_s
    asked = _AskedFiles(ports.store, ports.api, clock)
    failures = itertools.count(1)

    def next_wait_s(_: MirrorError) -> float | None:
        left = until - clock.monotonic()
        return min(_BACKOFF.wait_s(next(failures)), left) if left > 0 else None

    with waiting_for(f"files of one generation at the formulae API {ports.api.url}") as wait:
        wait.pauses()
        try:
            return retrying(
                lambda: asked.generation(tags),
                on=GenerationsDiffer,
                next_wait_s=next_wait_s,
                clock=clock,
                stop=ports.stop,
            )
        except GenerationsDiffer as error:
            go_on_planning(ports.stop)
            waited = f"for {options.api_consistency_wait_s:,.0f} s (API_CONSISTENCY_WAIT_SECONDS)"
            raise GenerationsDiffer(f"{error}, {waited}; the next sync asks again") from error


def generation_for_plan(ports: Ports, options: Options) -> tuple[Generation | None, MirrorError | None]:
    """The signed API as upstream shows it, or why there is none: a plan can be made without.

    Raises:
        SettingsInvalid: a key cannot be read.
        PlanningStopped: the stop signal came meanwhile.
    """
    if ports.api is None:
        return None, None
    try:
        return fetch_generation(ports, options, options.api_tags), None
    except (PublicationInvalid, UpstreamError) as error:
        # One that was refused has had a line of its own.
        _log.warning("planned without the signed API", extra={"reason": error.reason, "error": str(error)})
        return None, error


def kept_generation(
    store: Store, keys: Sequence[PublicKey], files: Iterable[PublishedApi]
) -> Generation | None:
    """The generation of these files as they are kept, verified anew.

    None when one is missing, is not what it was, or they are not of one generation.
    """
    found = [_load(store, file, keys) for file in files]
    whole = [file for file in found if file is not None]
    heads = {file.packages.tap_git_head for file in whole}
    if len(whole) < len(found) or len(heads) != 1:
        return None
    return Generation(tap_git_head=heads.pop(), files=tuple(whole))


class _AskedFiles:
    """The newest file of each tag that any host has shown since this was made."""

    def __init__(self, store: Store, source: ApiSource, clock: Clock) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._keys = source.keys()
        self._kept = dict(_read_latest(store).tags)
        self._files: dict[str, tuple[ApiFile, str]] = {}

    def generation(self, tags: Sequence[str]) -> Generation:
        """What the hosts agree on; those tags are asked for that are not of the newest generation.

        Raises:
            GenerationsDiffer: they do not agree.
        """
        for tag in self._behind(tags):
            self._ask(tag)
        shown: dict[str, list[str]] = {}
        for tag in tags:
            shown.setdefault(self._files[tag][0].packages.tap_git_head, []).append(tag)
        if len(shown) == 1:
            files = tuple(self._files[tag][0] for tag in tags)
            return Generation(tap_git_head=files[0].packages.tap_git_head, files=files)
        named = "; ".join(f"{', '.join(of)} of commit {head[:12]}" for head, of in shown.items())
        raise GenerationsDiffer(
            f"{self._source.url}: expected signed files of one commit of homebrew-core, found {named}"
        )

    def _behind(self, tags: Sequence[str]) -> list[str]:
        if not self._files:
            return list(tags)
        newest, _ = max(self._files.values(), key=lambda known: known[0].published.generated_at)
        head = newest.packages.tap_git_head
        return [tag for tag in tags if self._files[tag][0].packages.tap_git_head != head]

    def _ask(self, tag: str) -> None:
        where = f"{self._source.url}/{packages_path(tag)}"
        known, etag = self._files.get(tag) or self._loaded(tag) or (None, "")
        fetched = self._source.fetch(tag, etag=etag)
        if fetched is None:
            if known is None:
                raise CatalogueUnavailable(f"{where}: 304 without a condition")
            self._files[tag] = (known, etag)
            return
        try:
            packages = read_packages(fetched.data, self._keys, tag=tag, where=where)
        except PublicationInvalid as error:
            # Here, whoever asked for it: not every caller has a log that somebody watches.
            _log.error("an API file is refused", extra=facts_of_error(error))
            raise
        file = _file_of(fetched.data, packages)
        self._keep(tag, file, fetched)
        before = self._files.get(tag)
        # Of two answers the newer one counts: hosts take turns.
        if before is None or before[0].published.generated_at <= file.published.generated_at:
            self._files[tag] = (file, fetched.etag)

    def _loaded(self, tag: str) -> tuple[ApiFile, str] | None:
        """The newest file that is kept, with its ETag; None when it has to come whole."""
        kept = self._kept.get(tag)
        if kept is None or kept.url != self._source.url or kept.file.tag != tag or not kept.etag:
            return None
        file = _load(self._store, kept.file, self._keys)
        return (file, kept.etag) if file else None

    def _keep(self, tag: str, file: ApiFile, fetched: FetchedCatalogue) -> None:
        """The file stands in the store, if it takes it: a plan can be made without."""
        try:
            _write_once(self._store, file.published.key, fetched.data)
            if self._is_behind_kept(tag, file):
                return
            self._kept[tag] = KeptApiFile(
                url=self._source.url,
                file=file.published,
                etag=fetched.etag,
                last_modified=fetched.last_modified,
                fetched_at=self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
                tap_git_head=file.packages.tap_git_head,
            )
            self._store.write(LATEST_KEY, msgspec.json.encode(_Latest(self._kept)))
        except (ObjectRefused, PreconditionFailed, StoreUnavailable) as error:
            _log.warning("an API file is not kept", extra={"key": file.published.key, "error": str(error)})

    def _is_behind_kept(self, tag: str, file: ApiFile) -> bool:
        """Whether a newer file of the tag, from the same address, is kept whole."""
        kept = self._kept.get(tag)
        if kept is None or kept.url != self._source.url or kept.file.tag != tag:
            return False
        is_newer = kept.file.generated_at > file.published.generated_at
        return is_newer and _load(self._store, kept.file, self._keys) is not None


def _file_of(data: bytes, packages: PackagesFile) -> ApiFile:
    published = PublishedApi(
        tag=packages.tag,
        sha256=Digest(hashlib.sha256(data).hexdigest()),
        size=len(data),
        generated_at=packages.generated_at,
    )
    return ApiFile(published=published, packages=packages)


def _load(store: Store, kept: PublishedApi, keys: Sequence[PublicKey]) -> ApiFile | None:
    """The kept file; None when its bytes are missing, not of its name, or signed by nobody known."""
    try:
        document = store.read(kept.key) if is_digest(kept.sha256) else None
    except (ObjectRefused, StoreUnavailable):
        return None
    if document is None or hashlib.sha256(document.data).hexdigest() != kept.sha256:
        return None
    try:
        return _file_of(document.data, read_packages(document.data, keys, tag=kept.tag, where=kept.key))
    except PublicationInvalid:
        return None


def _write_once(store: Store, key: str, data: bytes) -> None:
    """The bytes stand under their digest: written where nothing stood, or what is not of that name."""
    try:
        store.write(key, data, create_only=True)
    except KeyTaken:
        standing = store.read(key)
        if standing is not None and standing.data != data:
            store.write(key, data, replaces=standing.version)


def _read_latest(store: Store) -> _Latest:
    """What is known of the newest kept files; nothing when the note is missing or unreadable."""
    try:
        document = store.read(LATEST_KEY)
        return _latest_decoder.decode(document.data) if document else _Latest()
    except (*UNREADABLE, ObjectRefused, StoreUnavailable):
        return _Latest()  # they are fetched again, whole
