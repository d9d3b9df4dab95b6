"""One company of a group on its way into the group's tables, and into a schema of its own where it has one."""

from collections.abc import Callable
from dataclasses import replace

from rmetrics.errors import SettingsError
from rmetrics.findings import Finding
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.desired import published_rows
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.publication import Outcome, publish_computed
from rmetrics.pipeline.unchanged import NOT_NEEDED
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.pipeline.verify.run_findings import merged
from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.publish import Run
from rmetrics.postgres.publish.group import (
    TABLES,
    CompanyState,
    confirm_company,
    prepare_group,
    published_inputs,
    replace_company,
)
from rmetrics.progress import Progress, timed
from rmetrics.rules import Rules
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables


def state_of(rules: Rules, name: str) -> CompanyState:
    """What the rules say of a company; ``rules`` may be those of all."""
    company = rules.companies[name]
    zone, currency = company.zone_of(rules.business), company.currency_of(rules.business)
    return CompanyState(name, company.title or name, currency, zone)


def publish_company(
    settings: Settings,
    started: Callable[[], Server],
    rules: Rules,
    lake: Lake,
    computed: Computed,
    run: Run,
    findings: tuple[Finding, ...],
    progress: Progress,
    timings: dict[str, float],
    why: Explanations,
    *,
    full: bool,
    force: bool,
    runner: Runner | None = None,
) -> Outcome:
    """Brings the group's tables up to what was computed of a company; see ``publish_computed``.

    Raises:
        SettingsError: the company's own schema is the group's.
        CheckError, LakeError, PostgresError: see ``publish_computed``.
    """
    name, group = rules.company or "", settings.group_schema or "public"
    outcome = None
    if rules.companies[name].publish == "own":
        if settings.pg_schema == group:
            raise SettingsError(
                f"{rules.place(f'companies.{name}')}: the company's own schema {group} is the group's",
                'Give the company another name, or say schema = "..." there.',
            )
        outcome = publish_computed(
            settings,
            started,
            rules,
            lake,
            computed,
            run,
            findings,
            progress,
            timings,
            why,
            full=full,
            force=force,
            runner=runner,
        )
    target = started()
    prepare_group(target, group, schema_script())
    state = replace(state_of(rules, name), run_id=run.run_id, inputs=run.inputs, exports=len(run.exports))
    with connect(target, schema=group) as session:
        before = published_inputs(session, name)
    if before == run.inputs and not full:
        confirm_company(target, group, state)
        return outcome or Outcome("unchanged", {}, NOT_NEEDED, findings)
    if outcome is None:
        with timed(timings, "check"):
            agreed, quality = agree(settings, lake, rules, computed, progress, why, runner)
        outcome = Outcome("published", {}, agreed, merged(findings, quality))
    rows = {t.name: published_rows(computed.rows, t).collect() for t in published_tables(rules) if t.name in TABLES}
    written = replace_company(target, group, state, rows)
    return replace(outcome, status="published", written={**outcome.written, **written})


__all__ = ["publish_company", "state_of"]
