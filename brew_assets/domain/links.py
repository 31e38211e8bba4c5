"""Addresses that lead from a message or a report to the run and its log."""

from urllib.parse import quote

import msgspec

from brew_assets.domain.addresses import shown_url


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An address with what its button says."""

    title: str
    url: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where Dagster's UI and the logs are, empty where there is none; `dagster_url` ends without a slash."""

    dagster_url: str = ""
    log_group: str = ""
    region: str = "us-east-1"

    def __post_init__(self) -> None:
        """Who follows a link logs in as themselves: user and password are not handed on."""
        msgspec.structs.force_setattr(self, "dagster_url", shown_url(self.dagster_url))

    def run_url(self, run_id: str) -> str:
        """The run in Dagster's UI."""
        return f"{self.dagster_url}/runs/{_part(run_id)}" if self.dagster_url and run_id else ""

    def sync_url(self, sync_id: str) -> str:
        """All runs of a sync in Dagster's UI."""
        if not self.dagster_url:
            return ""
        return f"{self.dagster_url}/runs?q%5B0%5D={_part(f'tag:mirror/sync_id={sync_id}')}"

    def logs_url(self) -> str:
        """The log group in CloudWatch's console, which wants names encoded twice with $ for %."""
        if not self.log_group:
            return ""
        name = _part(_part(self.log_group)).replace("%", "$")
        return (
            f"https://console.aws.amazon.com/cloudwatch/home?region={self.region}"
            f"#logsV2:log-groups/log-group/{name}"
        )

    def of_sync(self, sync_id: str) -> tuple[Link, ...]:
        """The buttons to a sync's runs and to what they log."""
        return _given(("View Runs", self.sync_url(sync_id)), ("View Logs", self.logs_url()))

    def of_schedule(self, name: str) -> tuple[Link, ...]:
        """The button to a schedule's page."""
        base = self.dagster_url
        address = f"{base}/locations/__repository__@brew_assets/schedules/{_part(name)}" if base else ""
        return _given(("View Schedule", address))

    def of_run(self, run_id: str) -> tuple[Link, ...]:
        """The button to a run."""
        return _given(("View Run", self.run_url(run_id)))

    def of_failure(self, run_id: str) -> tuple[Link, ...]:
        """The buttons to what a failed run logged, and to the page on which it can be executed again."""
        run = self.run_url(run_id)
        return _given(("View Logs", self.logs_url() or run), ("Retry Sync", run))


def _given(*named: tuple[str, str]) -> tuple[Link, ...]:
    return tuple(Link(title=title, url=url) for title, url in named if url)


def _part(text: str) -> str:
    """The text as a part of an address; half a character, which is in no encoding, is a question mark."""
    return quote(text, safe="", errors="replace")
