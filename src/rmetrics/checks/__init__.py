"""The second engine: DuckDB recomputes every number from the typed files and compares.

Nothing here shares code with ``rmetrics.metrics``; both follow the same rules and must agree to the cent.

Conventions of the SQL: identifiers go through ``sql.ident``, values through ``sql.text`` and ``sql.day``; money is
whole cents in BIGINT or HUGEINT, divided with ``//`` and ``%`` only; what rmetrics needs for itself stands in the
schema ``_work``, what people may read in the default schema.
"""
