"""Publishing one company of a group to the group's tables, and to a schema of its own if it has one."""

from collections.abc import Callable
from dataclasses import replace

from rmetrics.errors import SettingsError
from rmetrics.lake import Lake
from rmetrics.pipeline.companies import ComputedCompany
from rmetrics.pipeline.compute.compute import last_computed
from rmetrics.pipeline.compute.desired import published_rows
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.project import Places, Project
from rmetrics.pipeline.publication import Outcome, Publication, publish_computed
from rmetrics.pipeline.unchanged import NOT_NEEDED
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.run_findings import merged
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.publish.group import (
    TABLES,
    CompanyState,
    confirm_companies,
    prepare_group,
    published_inputs,
    replace_company,
)
from rmetrics.progress import Progress
from rmetrics.rules import Rules, load_rules
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables


def state_of(rules: Rules, name: str) -> CompanyState:
    """Returns a company's declared title, currency and time zone; ``rules`` may be those of the whole group."""
    company = rules.companies[name]
    zone, currency = company.zone_of(rules.business), company.currency_of(rules.business)
    return CompanyState(name, company.title or name, currency, zone)


def publish_company(of: Publication) -> Outcome:
    """Brings the group's tables up to date with a company's computation; see ``publish_computed``.

    Raises:
        SettingsError: the company's own schema is the group's.
        CheckError, LakeError, PostgresError: see ``publish_computed``.
    """
    project, rules, run = of.project, of.project.rules, of.run
    name, group = rules.company or "", project.places.group_schema or "public"
    outcome = None
    if rules.companies[name].publish == "own":
        if project.database.schema == group:
            raise SettingsError(
                f"{rules.place(f'companies.{name}')}: the company's own schema {group} is also the group's",
                'Give the company another name, or set schema = "..." there.',
            )
        outcome = publish_computed(of)
    target = of.started()
    prepare_group(target, group, schema_script())
    state = replace(state_of(rules, name), run_id=run.run_id, inputs=run.inputs, exports=len(run.exports))
    with connect(target, schema=group) as session:
        before = published_inputs(session, name)
    if before == run.inputs and not of.full:
        confirm_companies(target, group, [name])
        return outcome or Outcome("unchanged", {}, NOT_NEEDED, of.findings)
    if outcome is None:
        refuse_large_sums(rules, of.computed, published_tables(rules))
        agreed, findings = of.agreed()
        outcome = Outcome("published", {}, agreed, findings)
    rows = {t.name: published_rows(of.computed.rows, t).collect() for t in published_tables(rules) if t.name in TABLES}
    with connect(target, schema=group) as session:
        written = replace_company(session, state, rows)
    return replace(outcome, status="published", written={**outcome.written, **written})


def publish_made(
    places: Places,
    rules: Rules,
    lake: Lake,
    made: ComputedCompany,
    started: Callable[[], Server],
    session: Callable[[], Session],
    progress: Progress,
    *,
    full: bool = False,
    force: bool = False,
) -> Outcome:
    """Publishes a task's results for a company, once its lake's records are in force; see ``publish_company``.

    A company without a schema of its own needs neither its rules nor its rows here. If the published figures have the
    same inputs, it needs nothing at all: the caller records that it was checked.

    Args:
        places: the company's.
        rules: of the group.
        lake: the company's, under its lock.
        made: the task's result, without a failure.
        started: waits for the server and returns it.
        session: opens a session in the group's schema, or returns the open one.
        progress: receives progress reports.
        full: write every row again.
        force: publish although published exports are lost.

    Raises:
        SettingsError, CheckError, LakeError, PostgresError: see ``publish_company``.
    """
    run, name = made.run, made.name
    if run is None:
        msg = "a company that was computed has a run"
        raise AssertionError(msg)
    if rules.companies[name].publish == "own":
        own = Project(places, lake, load_rules(places.rules_dir, name))
        computed, why = last_computed(lake, own.rules, lake.raw_files()), Explanations()
        ready = Publication(
            own, started, computed, run, made.findings, progress, {}, why, full=full, force=force, verdict=made.agreed
        )
        outcome = publish_company(ready)
        return replace(outcome, findings=(*outcome.findings, *why.failed))
    if made.agreed is None:
        return Outcome("unchanged", {}, NOT_NEEDED, made.findings)
    agreed, quality = made.agreed
    state = replace(state_of(rules, name), run_id=run.run_id, inputs=run.inputs, exports=len(run.exports))
    written = replace_company(session(), state, made.frames())
    return Outcome("published", written, agreed, merged(made.findings, quality))


__all__ = ["publish_company", "publish_made", "state_of"]
