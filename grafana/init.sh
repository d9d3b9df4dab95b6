#!/bin/sh
# Runs once, when the container of PostgreSQL makes its data folder: the schema, the reader role, and its password.
set -eu
run="psql --no-psqlrc --set ON_ERROR_STOP=1 --quiet --username $POSTGRES_USER --dbname $POSTGRES_DB"
$run --file /rmetrics/schema.sql
$run --file /rmetrics/reader.sql
# psql quotes the value; it never stands in a command line that others could see.
$run <<'SQL'
\getenv password GRAFANA_PG_PASSWORD
ALTER ROLE grafana_reader PASSWORD :'password';
SQL
