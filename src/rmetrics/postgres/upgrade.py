"""Upgrades tables created by an earlier version to the current schema script, in place.

``CREATE TABLE IF NOT EXISTS`` skips an existing table with any columns. So the script's tables are also created as
temporary ones, PostgreSQL's catalog entries of the two are compared, and the differences are applied; rolling back to a
savepoint removes the temporary tables. Rows, grants, and the user's own views and columns are kept. PostgreSQL refuses
changes that are impossible without dropping something (the type of a column that a view uses, for instance); then the
whole upgrade is rolled back.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Session, quoted

_TABLE = re.compile(r"^CREATE TABLE(?: IF NOT EXISTS)? (\w+)", re.MULTILINE)
_OURS = "sync_runs"  # created by every version: without it, a table of the same name is somebody else's
_SET_EXPRESSION = 170_000  # the first server version that can change a generated column in place


@dataclass(frozen=True, slots=True)
class _Column:
    type: str
    not_null: bool
    expression: str
    generated: str


@dataclass(slots=True)
class _Form:
    columns: dict[str, _Column] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)


def upgrade(session: Session, script: Sequence[str]) -> bool:
    """Creates the tables of a script and upgrades existing ones to match it.

    Columns and constraints that are not in the script are kept. A column is never set NOT NULL: it may contain NULL.

    Args:
        session: in a transaction.
        script: the script's statements.

    Returns:
        Whether a table of an earlier version was changed, or a table was added to an existing schema.

    Raises:
        PostgresError: a generated column needs another expression, which the server cannot change in place.
    """
    creating = {match[1]: s for s in script if (match := _TABLE.search(s))}
    existing = {str(name) for (name,) in session.query(
        "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
    )}  # fmt: skip
    for statement in creating.values():
        session.execute(statement)
    if _OURS not in existing:
        return False
    found = _upgrades(session, creating)
    for statement in found:
        session.execute(statement)
    return bool(found) or not creating.keys() <= existing


def _upgrades(session: Session, creating: Mapping[str, str]) -> list[str]:
    """The statements that upgrade existing tables to match the script; none if they already match."""
    existing = _forms(session, "current_schema()::regnamespace", creating)
    session.execute("SAVEPOINT before_upgrade")
    session.execute("SET LOCAL search_path TO pg_temp")  # here an unqualified table is a temporary one
    for statement in creating.values():
        session.execute(statement)
    wanted = _forms(session, "pg_my_temp_schema()", creating)
    session.execute("ROLLBACK TO SAVEPOINT before_upgrade")
    session.execute("RELEASE SAVEPOINT before_upgrade")
    number = int(session.query("SELECT current_setting('server_version_num')")[0][0])
    columns, constraints = list[str](), list[str]()
    for name, statement in creating.items():
        parts = _parts(statement)
        columns += _column_upgrades(name, existing[name], wanted[name], parts, number)
        constraints += _constraint_upgrades(name, existing[name], wanted[name], parts)
    # Foreign keys last: the keys that they reference must exist.
    return columns + sorted(constraints, key=lambda s: "FOREIGN KEY" in s)


def _parts(statement: str) -> dict[str, str]:
    """The definitions of columns and constraints in a CREATE TABLE, by name, in the script's own wording.

    PostgreSQL's rendering of a constraint must not be used in its place: the server would store the same constraint but
    render it differently, and the next upgrade would find a difference.
    """
    body = re.sub(r"--.*", "", statement).partition("(")[2].rpartition(")")[0]
    found, depth, quoted_text, part = list[str](), 0, False, ""
    for letter in body:
        quoted_text ^= letter == "'"
        depth += 0 if quoted_text else (letter == "(") - (letter == ")")
        if letter == "," and not depth and not quoted_text:
            found.append(part)
            part = ""
        else:
            part += letter
    words = [" ".join(p.split()) for p in (*found, part)]
    return {p.split()[1] if p.startswith("CONSTRAINT ") else p.split()[0]: p for p in words if p}


def _forms(session: Session, namespace: str, names: Iterable[str]) -> dict[str, _Form]:
    found = {name: _Form() for name in names}
    chosen = f"c.relnamespace = {namespace} AND c.relkind = 'r' AND c.relname = ANY (string_to_array($1, ','))"
    for table, name, *column in session.query(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attgenerated::text FROM pg_class AS c "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        f"LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) WHERE {chosen} ORDER BY a.attnum",
        [",".join(found)],
    ):
        found[table].columns[name] = _Column(*column)
    for table, name, definition in session.query(
        "SELECT c.relname::text, n.conname::text, pg_get_constraintdef(n.oid) FROM pg_class AS c "
        f"JOIN pg_constraint AS n ON n.conrelid = c.oid AND n.contype IN ('p', 'u', 'c', 'f') WHERE {chosen} "
        "ORDER BY n.conname",
        [",".join(found)],
    ):
        found[table].constraints[name] = definition
    return found


def _column_upgrades(
    table: str, existing: _Form, wanted: _Form, parts: Mapping[str, str], server: int
) -> Iterator[str]:
    alter = f"ALTER TABLE {quoted(table)}"
    for name, column in wanted.columns.items():
        now = existing.columns.get(name)
        if now is None:
            yield f"{alter} ADD COLUMN {parts[name]}"
            continue
        if now.type != column.type:
            yield f"{alter} ALTER COLUMN {quoted(name)} TYPE {column.type}"
        if now.not_null and not column.not_null:
            yield f"{alter} ALTER COLUMN {quoted(name)} DROP NOT NULL"
        if column.expression and not (column.generated or now.generated) and now.expression != column.expression:
            yield f"{alter} ALTER COLUMN {quoted(name)} SET DEFAULT {column.expression}"
        if column.generated and (now.generated, now.expression) != (column.generated, column.expression):
            if not now.generated or server < _SET_EXPRESSION:
                raise PostgresError(
                    f"table {table}: column {name} must be computed as {column.expression}, which this server cannot "
                    "change in place",
                    f"Drop this column with CASCADE, then run rmetrics schema --apply; your own views on {table} "
                    "must then be created again.",
                )
            yield f"{alter} ALTER COLUMN {quoted(name)} SET EXPRESSION AS ({column.expression})"


def _constraint_upgrades(table: str, existing: _Form, wanted: _Form, parts: Mapping[str, str]) -> Iterator[str]:
    alter = f"ALTER TABLE {quoted(table)}"
    for name, definition in wanted.constraints.items():
        if existing.constraints.get(name) == definition:
            continue
        if name in existing.constraints:
            yield f"{alter} DROP CONSTRAINT {quoted(name)}"
        yield f"{alter} ADD {parts[name]}"
