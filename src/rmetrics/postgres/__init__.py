"""PostgreSQL access: connections, the embedded server, the schema, the run log, publishing."""
