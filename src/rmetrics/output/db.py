"""The reader's connection details as text and JSON."""

from rmetrics.output.reporter import Report
from rmetrics.postgres.reader import Reader


def show_reader(report: Report, found: Reader) -> None:
    """Shows the reader's address in both forms, the role's rights, and the location of its password."""
    if report.as_json:
        reader = {
            "dsn": found.dsn, "jdbc": found.jdbc, "host": found.host, "port": found.port,
            "database": found.database, "user": found.user, "password_file": str(found.password_file),
        }  # fmt: skip
        report.json({"url": found.url, "reader": reader})
    report.line(found.dsn)
    report.line(found.jdbc)
    report.line(
        f"{found.user} reads aggregates, targets and views, from this machine only (in Grafana: TLS/SSL mode disable)."
    )
    report.line(
        f"Its password is kept in {found.password_file}. The server runs until `rmetrics db stop` or the machine stops."
    )
