"""One company of a group on its way into the group's tables, and into a schema of its own where it has one."""

from dataclasses import replace

from rmetrics.errors import SettingsError
from rmetrics.pipeline.compute.desired import published_rows
from rmetrics.pipeline.publication import Outcome, Publication, publish_computed
from rmetrics.pipeline.unchanged import NOT_NEEDED
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.postgres.connection import connect
from rmetrics.postgres.publish.group import (
    TABLES,
    CompanyState,
    confirm_company,
    prepare_group,
    published_inputs,
    replace_company,
)
from rmetrics.rules import Rules
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables


def state_of(rules: Rules, name: str) -> CompanyState:
    """What the rules say of a company; ``rules`` may be those of all."""
    company = rules.companies[name]
    zone, currency = company.zone_of(rules.business), company.currency_of(rules.business)
    return CompanyState(name, company.title or name, currency, zone)


def publish_company(of: Publication) -> Outcome:
    """Brings the group's tables up to what was computed of a company; see ``publish_computed``.

    Raises:
        SettingsError: the company's own schema is the group's.
        CheckError, LakeError, PostgresError: see ``publish_computed``.
    """
    rules, run = of.rules, of.run
    name, group = rules.company or "", of.settings.group_schema or "public"
    outcome = None
    if rules.companies[name].publish == "own":
        if of.settings.pg_schema == group:
            raise SettingsError(
                f"{rules.place(f'companies.{name}')}: the company's own schema {group} is the group's",
                'Give the company another name, or say schema = "..." there.',
            )
        outcome = publish_computed(of)
    target = of.started()
    prepare_group(target, group, schema_script())
    state = replace(state_of(rules, name), run_id=run.run_id, inputs=run.inputs, exports=len(run.exports))
    with connect(target, schema=group) as session:
        before = published_inputs(session, name)
    if before == run.inputs and not of.full:
        confirm_company(target, group, state)
        return outcome or Outcome("unchanged", {}, NOT_NEEDED, of.findings)
    if outcome is None:
        refuse_large_sums(rules, of.computed, published_tables(rules))
        agreed, findings = of.agreed()
        outcome = Outcome("published", {}, agreed, findings)
    rows = {t.name: published_rows(of.computed.rows, t).collect() for t in published_tables(rules) if t.name in TABLES}
    written = replace_company(target, group, state, rows)
    return replace(outcome, status="published", written={**outcome.written, **written})


__all__ = ["publish_company", "state_of"]
