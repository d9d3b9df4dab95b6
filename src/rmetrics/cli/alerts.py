"""``rmetrics alerts``."""

from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, reporter


def alerts(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only evaluate: send nothing, record nothing.")] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Evaluate the alerts of the rules and send new ones.

    Each occurrence is sent once to the channels declared for alerts under [notify]. A sync does the same.
    """
    from rmetrics.output.alerts import show_alerts
    from rmetrics.settings import load_settings
    from rmetrics.usecases.alerts import alerts as evaluate

    result = evaluate(load_settings(), send_them=not dry_run)
    show_alerts(reporter(as_json=as_json, quiet=quiet, form=form), result)
    return DATA_FINDINGS if any(d.failed for d in result.sent) else 0
