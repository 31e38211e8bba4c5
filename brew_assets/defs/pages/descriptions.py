"""What the assets are, as their pages in the UI say it (Markdown); lists show the first line as it stands."""

FORMULA_CATALOG = """
Homebrew's formulae as upstream shows them now, kept byte for byte and checked.

Asked for with the last ETag: a catalogue that has not changed is not sent again. The data version is the
SHA-256 of its bytes. The catalogue of [formulae.brew.sh](https://formulae.brew.sh/docs/api/) names every
bottle, its digest and its address.
"""

PENDING_BOTTLES = """
What has to be copied: the catalogue minus what is held, per platform, with sizes and the route.

Each materialization is one plan with a sync id of its own, an object in the store that never changes. The
sensor `route_pending_bottles` starts one run of `bottles` for every platform with something pending; a
backfill that has planned starts its own. The run config of `selective_sync` narrows a plan to formulae, with
what they need, and platforms; without it a plan is for `MIRROR_FORMULAE`, or for all.
"""

BOTTLES = """
The bottles that serve one platform, each with the SHA-256 that the catalogue names. One partition per
platform.

A run copies by the plan that its tag `mirror/sync_id` names, or its backfill's: the first run of a backfill
plans for all of its platforms. Any other run plans for its own platform first. What is held is not downloaded
again. At its end a run fetches the indexes that held bottles lack: without one that fits brew installs no
bottle. `report` names each bottle and each index that failed, and why; the others are stored, and the run
fails.
"""

HASH_MANIFEST = """
bottles_hash.json: the one record of what is held, and of nothing else.

`report` says what the sync has done so far, with charts of what is held by tag and by date. The total
plots over time, and so does how many are servable: held, with an index that fits. The checks compare the
manifest with a sample of the stored bottles.
"""

PUBLICATION = """
What clients are served: one record of bottles, indexes and API files, and the pointer to it.

It is `published/current.json`. A run follows when `hash_manifest` has changed and nobody is at work on it; a
plan of which nothing is pending publishes by itself. The API is the one by which the newest sync was planned.
With `PUBLISH=strict` the pointer stays where it is while bottles lack that the API names and the mirror is
meant to hold: the run fails and names them, and clients are served the last publication on. While other runs
of the sync have bottles to copy, and after a sync of a part, nothing is published and nothing has failed.
`lag_s` is how old the API is that clients are served.
"""
