"""Bottles, catalogues and plans as the tests need them: small, valid, and different where they say so."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from brew_assets.domain.bottle import Bottle, Digest, PkgVersion, blob_url, image_name, index_reference
from brew_assets.domain.catalogue import Catalogue, decode_catalogue
from brew_assets.domain.downloads import Fetch
from brew_assets.domain.manifest import HeldEntry, Manifest, Receipt, entry_for
from brew_assets.domain.plan import Plan, PlannedBottle, Request, plan_sync
from brew_assets.domain.seal import seal

DATE = "2026-08-22"
CREATED_AT = f"{DATE}T03:00:00Z"
SYNC_ID = "20260822T030000Z-0badcafe"


def digest_of(content: bytes | str) -> Digest:
    """The SHA-256 of the content."""
    data = content.encode() if isinstance(content, str) else content
    return Digest(hashlib.sha256(data).hexdigest())


def bottle(
    formula: str = "wget",
    version: str = "1.25.0",
    tag: str = "arm64_sonoma",
    *,
    rebuild: int = 0,
    content: bytes | str | None = None,
) -> Bottle:
    """A bottle with the content's digest; without content every name has a digest of its own."""
    own = f"{formula}/{version}/{tag}/{rebuild}"
    digest = digest_of(own if content is None else content)
    return Bottle(
        formula=formula,
        pkg_version=PkgVersion(version),
        tag=tag,
        rebuild=rebuild,
        digest=digest,
        url=blob_url(formula, digest),
    )


def planned(item: Bottle, *, size: int | None = None, source: str | None = None) -> PlannedBottle:
    """The bottle as a plan for its own platform has it."""
    return PlannedBottle(bottle=item, platforms=(item.tag,), size=size, source=source, owner=item.tag)


def resealed(document: bytes, **changes: Any) -> bytes:
    """The sealed document with these fields changed, as somebody would write it who seals what is wrong."""
    fields = {name: value for name, value in json.loads(document).items() if name != "integrity"}
    return bytes(seal(json.dumps(fields | changes).encode()))


def unsealed(document: bytes, **changes: Any) -> bytes:
    """The document without its seal and with these fields changed."""
    fields = {name: value for name, value in json.loads(document).items() if name != "integrity"}
    return json.dumps(fields | changes).encode()


def fetch(*items: Bottle, size: int | None = None, source: str | None = None) -> Fetch:
    """One digest under all these names."""
    names = tuple(planned(item, size=size, source=source) for item in items)
    return Fetch(digest=items[0].digest, names=names)


def receipt(item: Bottle, *, date: str = DATE, size: int = 1000) -> Receipt:
    """Proof that the bottle was stored."""
    return Receipt(key=item.entry_key, entry=entry_for(item, date=date, size=size))


def held(items: Iterable[Bottle], *, date: str = DATE, size: int = 1000) -> dict[str, HeldEntry]:
    """The record of a store that has these bottles."""
    return {
        item.entry_key: HeldEntry(sha256=item.digest, file_size=size, s3_key=item.key(date)) for item in items
    }


def manifest_of(*items: Bottle, date: str = DATE, size: int = 1000) -> bytes:
    """A manifest with these bottles."""
    manifest = Manifest()
    for item in items:
        manifest.put(item.entry_key, entry_for(item, date=date, size=size))
    return manifest.encode(last_updated=CREATED_AT)


def formula(
    name: str = "wget",
    version: str | None = "1.25.0",
    *,
    tags: Sequence[str] | Mapping[str, str] = ("arm64_sonoma",),
    revision: int = 0,
    rebuild: int = 0,
    **other: Any,
) -> dict[str, Any]:
    """One entry of `formula.json`; `tags` may map tags to contents. No tags: a formula without bottle."""
    contents = (
        tags if isinstance(tags, Mapping) else {tag: f"{name}/{version}/{tag}/{rebuild}" for tag in tags}
    )
    files = {
        tag: {"cellar": ":any", "url": blob_url(name, digest_of(content)), "sha256": digest_of(content)}
        for tag, content in contents.items()
    }
    return {
        "name": name,
        "versions": {"stable": version, "head": None, "bottle": bool(files)},
        "revision": revision,
        "bottle": {"stable": {"rebuild": rebuild, "files": files}} if files else {},
        "aliases": [],
        "oldnames": [],
        "disabled": False,
        **other,
    }


def index_json(*items: Bottle, sizes: Mapping[str, int] | None = None) -> bytes:
    """The index of these bottles, with which brew installs each of them; with sizes by digest, if given."""
    entries = []
    for item in items:
        annotations = {
            "org.opencontainers.image.ref.name": item.ref_name,
            "sh.brew.bottle.digest": str(item.digest),
            "sh.brew.tab": '{"homebrew_version":"6.0.18"}',
        }
        if sizes and item.digest in sizes:
            annotations["sh.brew.bottle.size"] = str(sizes[item.digest])
        entries.append({"annotations": annotations})
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def index_of_formula(entry: Mapping[str, Any]) -> dict[tuple[str, str], bytes]:
    """Image and reference -> the index of an entry of `formula.json`; none without a bottle."""
    stable = entry["bottle"].get("stable", {})
    revision = f"_{entry['revision']}" if entry["revision"] else ""
    version = PkgVersion(f"{entry['versions']['stable']}{revision}")
    items = [
        Bottle(
            formula=entry["name"],
            pkg_version=version,
            tag=tag,
            rebuild=stable["rebuild"],
            digest=Digest(file["sha256"]),
            url=file["url"],
        )
        for tag, file in stable.get("files", {}).items()
    ]
    if not items:
        return {}
    return {(image_name(entry["name"]), index_reference(version, stable["rebuild"])): index_json(*items)}


def catalogue_of(*formulae: dict[str, Any]) -> Catalogue:
    """The decoded catalogue of these entries."""
    data = json.dumps(formulae).encode()
    return decode_catalogue(data, sha256=hashlib.sha256(data).hexdigest())


def plan_of(
    catalogue: Catalogue,
    *platforms: str,
    have: Mapping[str, HeldEntry] | None = None,
    skip: frozenset[str] = frozenset(),
    **request: Any,
) -> Plan:
    """A plan over the catalogue."""
    asked = Request(platforms=platforms or ("arm64_sonoma",), **request)
    return plan_sync(catalogue, have or {}, asked, sync_id=SYNC_ID, created_at=CREATED_AT, skip=skip)


def old_shape(*, formulae: int = 318, without_bottle: int = 7) -> bytes:
    """A tap's `formula.json` of 2019: its bottles lie as files at a host of their own, not as blobs."""
    root = "https://archive.example/download/bottles"
    entries = []
    for number in range(formulae):
        name = f"tool{number}"
        entry = formula(name, tags=() if number < without_bottle else ("sierra", "x86_64_linux"))
        del entry["oldnames"], entry["disabled"]
        entry |= {"full_name": f"science/tap/{name}", "oldname": None, "bottle_disabled": False}
        for tag, file in entry["bottle"].get("stable", {}).get("files", {}).items():
            del file["cellar"]
            file["url"] = f"{root}/{name}-1.25.0.{tag}.bottle.tar.gz"
        entries.append(entry)
    return json.dumps(entries).encode()
