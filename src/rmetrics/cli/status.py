"""``rmetrics status``: the state of a project."""

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter


def status(as_json: AsJson = False, form: AsForm = OutputForm.TABLE, quiet: Quiet = False) -> None:
    """Show the last runs, feeds and published tables."""
    from rmetrics.output.status import show_status
    from rmetrics.settings import load_settings
    from rmetrics.usecases.status import status as run_status

    show_status(reporter(as_json=as_json, quiet=quiet, form=form), run_status(load_settings()))
