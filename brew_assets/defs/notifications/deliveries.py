"""Which notifications were sent already: tags of the planning run, which is there when the store is not."""

from collections.abc import Sequence
from datetime import UTC
from typing import Literal

import dagster as dg

from brew_assets.defs.notifications.from_before import delivery_from_before
from brew_assets.engine.notifier import Delivery

NOTIFIED_TAG = "mirror/notified"
# The furthest first: a run whose body has lost the tag gets a second row of it, beside the older one.
_STATES: tuple[Literal["sent", "dropped", "sending"], ...] = ("sent", "dropped", "sending")
_KNOWN = [(state, outcome) for state in _STATES for outcome in ("", "success", "warning", "failure")]


class RunDeliveries:
    """The deliveries of one sync: the tags `mirror/notified.<message>.<channel>` of the run that planned it.

    A value names the run, and counts for that run alone: automatic retries and people who execute a run again
    take its tags over. It is asked for by a filter, which reads the table of tags, and never read from
    `run.tags`: Dagster rewrites a run's body with each of its events, and what `add_run_tags` wrote there
    meanwhile is lost. The table keeps it.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, *, subject: str) -> None:
        self.subject = subject
        self._instance = instance
        self._run_id = run_id

    def read(self, name: str, channel: str) -> Delivery | None:
        """What became of the notification; None when it was never sent, or is to be sent again.

        Its time is when anything of the run was last written, which is not before it.
        """
        if not self._with(name, channel, [self._value(*known) for known in _KNOWN]):
            return delivery_from_before(self._instance, f"{self.subject}/{name}/{channel}")
        for state, outcome in _KNOWN:
            for record in self._with(name, channel, [self._value(state, outcome)]):
                at = record.update_timestamp.replace(tzinfo=UTC).timestamp()
                return Delivery(state=state, at=at, outcome=outcome)
        return None

    def write(self, name: str, channel: str, state: str, outcome: str) -> None:
        """Tags the planning run with the state, in the place of the one before.

        Raises:
            DagsterRunNotFoundError: somebody has deleted the run.
        """
        self._instance.add_run_tags(self._run_id, {_tag(name, channel): self._value(state, outcome)})

    def _with(self, name: str, channel: str, values: Sequence[str]) -> Sequence[dg.RunRecord]:
        wanted = dg.RunsFilter(run_ids=[self._run_id], tags={_tag(name, channel): values})
        return self._instance.get_run_records(wanted, limit=1)

    def _value(self, state: str, outcome: str) -> str:
        return ".".join(part for part in (state, outcome, self._run_id) if part)


def _tag(name: str, channel: str) -> str:
    return f"{NOTIFIED_TAG}.{name}.{channel}"


class CursorDeliveries:
    """The deliveries of a message without a planning run, in a dictionary that the sensor's cursor keeps."""

    def __init__(self, states: dict[str, str], *, subject: str) -> None:
        self.subject = subject
        self._states = states

    def read(self, name: str, channel: str) -> Delivery | None:
        """That it was sent or given up; None otherwise: no cursor is kept while something is sent."""
        return Delivery(state="sent", at=0.0) if self._states.get(channel) in ("sent", "dropped") else None

    def write(self, name: str, channel: str, state: str, outcome: str) -> None:
        """Notes the state for the cursor."""
        self._states[channel] = state
