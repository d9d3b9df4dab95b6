"""``rmetrics schema``: prints or applies the DDL."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter


def schema(
    apply: Annotated[bool, typer.Option("--apply", help="Apply it to the server instead of printing it.")] = False,
    roles: Annotated[
        bool, typer.Option("--roles", help="Print the SQL of the three roles instead: owner, writer, reader (Grafana).")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the SQL of the published tables and views.

    With --apply, missing ones are created in the database.
    """
    from rmetrics.settings import load_settings
    from rmetrics.usecases.schema import schema_apply, schema_ddl, schema_roles

    report = reporter(as_json=as_json, quiet=quiet)
    if apply and roles:
        raise typer.BadParameter(
            "--roles and --apply cannot be combined: one prints the script of the roles, the other applies the tables"
        )
    if roles:
        script = schema_roles(load_settings())
        if as_json:
            report.json({"sql": script})
        report.script(script)
        return
    if apply:
        server = schema_apply(load_settings())
        if as_json:
            report.json({"applied": True, "server": server})
        report.line(f"The schema is up to date on {server}.")
        return
    ddl = schema_ddl(load_settings())
    if as_json:
        report.json({"ddl": ddl})
    report.script(ddl)
