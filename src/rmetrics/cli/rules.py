"""``rmetrics rules``: what the rules say, and whether they can be used."""

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter

rules = typer.Typer(help="The rules: validate them.", no_args_is_help=True, rich_markup_mode=None)


@rules.command("check")
def rules_check(as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Validate the rules: every problem with file, line and key."""
    from rmetrics.errors import RulesError
    from rmetrics.rules import load_rules
    from rmetrics.settings import load_settings

    report = reporter(as_json=as_json, quiet=quiet)
    folder = load_settings().rules_dir
    try:
        loaded = load_rules(folder)
    except RulesError as error:
        if not as_json:
            raise
        report.json({"ok": False, "problems": error.problems, "warnings": []})
        return error.exit_code
    if as_json:
        report.json({"ok": True, "problems": [], "warnings": loaded.warnings})
    for warning in loaded.warnings:
        report.line(f"warning: {warning}", "yellow")
    report.line(f"The rules in {folder} are fine: {len(loaded.sources)} sources, {len(loaded.feeds)} feeds.")
    return 0
