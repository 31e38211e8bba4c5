"""What the checks in a sync's runs found wrong in the store."""

from collections.abc import Iterable

import dagster as dg

from brew_assets.defs.checks import held_objects_present, manifest_checks
from brew_assets.defs.pages.markdown import without_escapes
from brew_assets.domain.sync_status import StoreFinding

_OF_STORED_DATA = {
    spec.name for check in (manifest_checks, held_objects_present) for spec in check.check_specs
}


def store_findings(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> tuple[StoreFinding, ...]:
    """The checks of stored data that failed in these runs; a warning found nothing wrong."""
    findings = []
    for run_id in run_ids:
        evaluated = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        for record in evaluated.records:
            event = record.event_log_entry.dagster_event
            check = event.asset_check_evaluation_data if event else None
            if check is None or check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
                continue
            if check.check_name in _OF_STORED_DATA:
                message = without_escapes(check.description or "")
                finding = StoreFinding(run_id=run_id, check=check.check_name, message=message)
                findings.append(finding)
    return tuple(findings)
