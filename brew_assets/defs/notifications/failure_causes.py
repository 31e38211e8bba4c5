"""Why a run failed: what our error or the failed check says, not the words that Dagster puts around it."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.domain.addresses import with_shown_urls
from brew_assets.domain.foreign_text import printable
from brew_assets.domain.report import kinds

CHECK_FAILED = "check failed"
_ERROR_CHARACTERS = 1000
# Dagster's own classes by name, which is all that an event has of them.
_FAILURE, _BLOCKED = "Failure", "DagsterAssetCheckFailedError"
# An exception that quotes itself, or a chain that somebody forged.
_LONGEST_CHAIN = 50

Cause = tuple[str, str]


def why_it_failed(instance: dg.DagsterInstance, run_id: str) -> Cause:
    """Our reason, if it was one of our errors or a check, and what went wrong.

    A step that failed says it best, then the run's failure, then what failed before there was a run worker.
    """
    events = _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE)
    for event in events:
        if (cause := _in_our_words(instance, run_id, event)) is not None:
            return cause
    # The launcher's errors are events of their own; the failure after them has a sentence that is always so.
    launching = _events(instance, run_id, dg.DagsterEventType.ENGINE_EVENT)
    for event in (*events, *launching):
        if (error := _error_of(event)) is not None:
            return _of_error(error)
    for event in events:
        if event.message:
            return "", _shown(event.message)
    return "", "the run ended without saying why"


def _events(
    instance: dg.DagsterInstance, run_id: str, *of_type: dg.DagsterEventType
) -> Sequence[dg.DagsterEvent]:
    records = instance.get_records_for_run(run_id, of_type=set(of_type)).records
    return [event for record in records if (event := record.event_log_entry.dagster_event) is not None]


def _in_our_words(instance: dg.DagsterInstance, run_id: str, event: dg.DagsterEvent) -> Cause | None:
    """What a failure of ours, an error of ours or a blocking check says; None when the event has none."""
    failure = getattr(event.event_specific_data, "user_failure_data", None)
    if failure is not None:
        reason = failure.metadata.get("reason")
        found = reason.value if reason else ""
        return found if isinstance(found, str) else "", (failure.description or "")[:_ERROR_CHARACTERS]
    error = _error_of(event)
    if error is None:
        return None
    if any(one.cls_name == _BLOCKED for one in _chain(error)) and (found := _failed_checks(instance, run_id)):
        return CHECK_FAILED, found
    reason, text = _of_error(error)
    return (reason, text) if reason else None


def _error_of(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    error = getattr(event.event_specific_data, "error", None)
    return error if isinstance(error, SerializableErrorInfo) else None


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> str:
    """What the blocking checks that failed in the run have found, each with its name."""
    found = []
    for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        if check.passed or check.severity != dg.AssetCheckSeverity.ERROR or check.blocking is False:
            continue
        description = without_escapes(check.description or "it gives no description")
        found.append(f"check {check.check_name}: {description}")
    return _on_one_line("; ".join(found))


def _of_error(error: SerializableErrorInfo) -> Cause:
    """Reason and text of the innermost error of ours; without one, the text of what caused all of it."""
    chain = list(_chain(error))
    for one in reversed(chain):
        if one.cls_name in _REASONS:
            return _REASONS[one.cls_name], _on_one_line(_text_of(one))
    for one in reversed(chain):
        if one.cls_name == _FAILURE:
            return "", _on_one_line(_text_of(one))
    causes = error
    for _ in range(_LONGEST_CHAIN):
        if causes.cause is None:
            break
        causes = causes.cause
    return "", _shown(causes.message)


def _chain(error: SerializableErrorInfo) -> Iterator[SerializableErrorInfo]:
    """The error and those behind it, outermost first."""
    one: SerializableErrorInfo | None = error
    for _ in range(_LONGEST_CHAIN):
        if one is None:
            return
        yield one
        one = one.cause or one.context


def _text_of(error: SerializableErrorInfo) -> str:
    """The error's own words: what follows its class."""
    return error.message.partition(": ")[2] or error.message


def _shown(text: str) -> str:
    """A text that is not ours: an address in it may hold a password."""
    return _on_one_line(with_shown_urls(text))


def _on_one_line(text: str) -> str:
    return printable(" ".join(text.split()), _ERROR_CHARACTERS)


# Class name -> reason.
_REASONS = {kind.__name__: kind.reason for kind in kinds()}
