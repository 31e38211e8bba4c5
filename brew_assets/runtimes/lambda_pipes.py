"""The way back from a Lambda to the Dagster run that invoked it."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesContext,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    PipesMappingParamsLoader,
)

from brew_assets.domain.proof import shown
from brew_assets.errors import EventInvalid

# What Dagster says of a run and its assets has a few KB.
_MAX_PARAMS_BYTES = 1024 * 1024
# Messages come back in the log of the invocation. Other ways would let an event name a file to write to.
_STREAMS = ("buffered_stdio", "stdio")


@contextmanager
def open_pipes(event: object) -> Iterator[PipesContext | None]:
    """The way back to the Dagster run that invoked the function, None when none did.

    A context of its own for each invocation: `open_dagster_pipes` keeps the first one for as long as the
    environment is warm, closed (dagster-io/dagster#22094).

    Raises:
        EventInvalid: the event names a way back that is none.
    """
    params = PipesMappingParamsLoader(event if isinstance(event, Mapping) else {})
    if not isinstance(event, Mapping) or not params.is_dagster_pipes_process():
        yield None
        return
    context = _decoded(event, DAGSTER_PIPES_CONTEXT_ENV_VAR)
    if not isinstance(context.get("data"), dict):
        raise EventInvalid(f"{DAGSTER_PIPES_CONTEXT_ENV_VAR}: expected the data of a run, found none")
    messages = _decoded(event, DAGSTER_PIPES_MESSAGES_ENV_VAR)
    if "path" in messages or not any(messages.get(name) in ("stderr", "stdout") for name in _STREAMS):
        raise EventInvalid(
            f"{DAGSTER_PIPES_MESSAGES_ENV_VAR}: expected a stream of the log, found another way"
        )
    with PipesContext(params, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes:
        yield pipes


def _decoded(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One of Dagster's parameters: JSON, compressed, in base64."""
    text = event.get(name)
    if not isinstance(text, str):
        raise EventInvalid(f"{name}: expected text, found {shown(text)}")
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(text), _MAX_PARAMS_BYTES)
        found = json.loads(data) if unpacking.eof else None
    except (ValueError, RecursionError, zlib.error) as exc:
        raise EventInvalid(f"{name}: expected what Dagster encodes, found {shown(str(exc))}") from exc
    if not isinstance(found, dict):
        raise EventInvalid(f"{name}: expected an object of {_MAX_PARAMS_BYTES:,} bytes at most")
    return found
