"""What `make demo` has left in its mirror: every byte read back, the report, and where to look."""

from brew_assets.domain.manifest import decode_manifest
from brew_assets.domain.object_keys import MANIFEST_KEY
from brew_assets.engine.ports import Store
from brew_assets.engine.record.verify import certify
from brew_assets.runtimes.printing import print_line
from brew_assets.runtimes.status import read_status, show_status


def show_held(store: Store, mirror: str, place: str, *, stored: int, downloads: int, again: int) -> bool:
    """Whether all that was stored is whole, and the second sync had nothing to do; both are printed.

    `mirror` is the mirror as a person names it, `place` what the commands that follow need to find it.

    Raises:
        StoreError: the store cannot be read.
    """
    document = store.read(MANIFEST_KEY)
    entries = list(decode_manifest(document.data).entries()) if document else []
    certificates = certify(store, entries, deep=True)
    current = sum(certificate.verdict == "CURRENT" for certificate in certificates)
    show_status(read_status(store))
    copied = stored - downloads
    shared = f" {copied} have the bytes of another one and were copied inside the store." if copied else ""
    print_line(f"Downloaded by the first sync: {downloads}.{shared} By the second: {again}.")
    print_line(f"Re-hashed from disk: {current} of {len(entries)} bottles equal their digest.")
    print_line(f"The manifest: {mirror}/{MANIFEST_KEY}. The bottles: {mirror}/<date>/.")
    print_line(f"Look at the runs, and start some by clicks: make demo-ui{place}, then http://127.0.0.1:3000")
    print_line(
        f'Real bottles: make demo-clean{place}, then make sync FORMULAE="jq ripgrep" PLATFORMS=arm64_sonoma'
    )
    return bool(entries) and current == len(entries) and not again
