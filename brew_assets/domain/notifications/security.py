"""Security events: what is not what it must be, for those who watch over that."""

from collections.abc import Sequence

from brew_assets.domain.foreign_text import printable
from brew_assets.domain.report import is_security
from brew_assets.domain.sync_status import Deployment, SyncStatus

_ROWS = 50


def security_text(status: SyncStatus, deployment: Deployment) -> str:
    """The findings about a digest, size, host, manifest or API file; empty when there are none.

    A paragraph for what came from upstream, and one for what lies in the store.
    """
    found = [(f.name, f.reason, f.message) for f in status.failures if is_security(f.reason)]
    broken = [run for run in status.broken if is_security(run.reason)]
    found += [(run.platform or "planning", run.reason, run.error) for run in broken]
    found += [("signed API", reason, message) for reason, message in status.api_refusals]
    # The link leads to a run that has found one of these, which need not be a run that failed: a digest that
    # differs is one failed bottle of a run that goes on. So the runs are sought by their platform's report or
    # their own reason. What the checks found in the store stands apart: there "nothing of it was stored"
    # would be untrue.
    finders = {
        platform
        for platform, report in status.newest_reports.items()
        if any(is_security(failure.reason) for failure in report.failed)
    } | {run.platform for run in broken}
    run_id = next(
        (run.run_id for run in status.runs if run.platform in finders and run.run_id), status.run_id
    )
    subject = f"sync {status.sync_id}" if status.has_plan else f"the planning run {status.run_id}"
    texts = [security_event(found, deployment, subject=subject, run_id=run_id)]
    if status.store_findings:
        stored = [(finding.check, "check failed", finding.message) for finding in status.store_findings]
        texts.append(
            security_event(
                stored,
                deployment,
                subject=f"the store after {subject}",
                run_id=status.store_findings[0].run_id,
                consequence="look with brew-mirror verify --deep, mend with --repair",
            )
        )
    return "\n\n".join(text for text in texts if text)


def security_event(
    found: Sequence[tuple[str, str, str]],
    deployment: Deployment,
    *,
    subject: str,
    run_id: str,
    consequence: str = "nothing of it was stored",
) -> str:
    """The text of a security event; empty when nothing was found. Rows: what, reason, message."""
    if not found:
        return ""
    shown = [f"- {printable(f'{name}: {reason}: {message}')}" for name, reason, message in found[:_ROWS]]
    others = [f"... and {len(found) - _ROWS:,} others"] if len(found) > _ROWS else []
    count = f"{len(found):,} finding{'' if len(found) == 1 else 's'}"
    return "\n".join(
        (
            f"{count} in {subject} of {deployment.environment}; {consequence}:",
            *shown,
            *others,
            *(link.url for link in deployment.links.of_run(run_id)),
        )
    )
