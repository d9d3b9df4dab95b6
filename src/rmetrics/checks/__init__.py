"""The second engine: DuckDB recomputes every number from the typed files and compares.

Nothing here shares code with ``rmetrics.metrics``; both follow the same rules and must agree to the cent.

Conventions of the SQL: identifiers go through ``quoting.ident``, values through ``quoting.text`` and ``quoting.day``;
money is whole cents in BIGINT or HUGEINT, divided with ``//`` and ``%`` only; internal tables are in the schema
``_work``, tables for people in the default schema.
"""
