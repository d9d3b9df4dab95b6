"""Everything that speaks to PostgreSQL: connections, the embedded server, the schema, the run log, publishing."""
