"""The files of the kit, by their path inside ``grafana/``."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rmetrics.grafana.alerts import alert_rules
from rmetrics.grafana.channel import channel
from rmetrics.grafana.data_health import health
from rmetrics.grafana.funnel import funnel
from rmetrics.grafana.links import with_links
from rmetrics.grafana.model import Installation, Json, as_json
from rmetrics.grafana.month_by_month import months
from rmetrics.grafana.own_measures import own_measures
from rmetrics.grafana.this_month import month

_DATASOURCE = """\
# Grafana fills in $NAME from its own environment:
#   GRAFANA_PG_HOST, GRAFANA_PG_PORT, GRAFANA_PG_DATABASE   where rmetrics publishes to
#   GRAFANA_PG_USER, GRAFANA_PG_PASSWORD                    the reader role: rmetrics schema --roles
#   GRAFANA_PG_SSLMODE                                      verify-full; disable only on the same host
# The embedded PostgreSQL: rmetrics db start --port 5433 prints all of them (database postgres, sslmode disable).
apiVersion: 1
prune: true
datasources:
  - name: rmetrics
    uid: rmetrics                     # dashboards and alerts refer to it
    type: grafana-postgresql-datasource
    access: proxy
    url: $GRAFANA_PG_HOST:$GRAFANA_PG_PORT
    user: $GRAFANA_PG_USER
    secureJsonData:
      password: $GRAFANA_PG_PASSWORD
    jsonData:
      database: $GRAFANA_PG_DATABASE  # under jsonData, or the plugin refuses to query
      sslmode: $GRAFANA_PG_SSLMODE
      postgresVersion: 1500
      timescaledb: false
      maxOpenConns: 10
      maxIdleConns: 2
      connMaxLifetime: 14400
      timeInterval: 1d
    editable: false
"""
_PROVIDER = """\
# GRAFANA_RMETRICS_DASHBOARDS: the folder with the dashboards, as Grafana sees it
apiVersion: 1
providers:
  - name: rmetrics
    orgId: 1
    folder: rmetrics
    type: file
    disableDeletion: true
    allowUiUpdates: false             # change the generator, not the copy in the browser
    updateIntervalSeconds: 30
    options:
      path: $GRAFANA_RMETRICS_DASHBOARDS
      foldersFromFilesStructure: false
"""


def dashboards(place: Installation) -> list[Json]:
    """Returns all dashboards."""
    made = (months(place), month(place), channel(place), funnel(place), own_measures(place), health(place))
    return [with_links(d, place.serve) for d in made]


def kit(place: Installation) -> dict[str, str]:
    """Returns every file of the kit: path inside the folder to text. The output is deterministic."""
    files = {f"dashboards/{d['uid'].removeprefix('rmetrics-')}.json": as_json(d) for d in dashboards(place)}
    return files | {
        "provisioning/datasources/rmetrics.yaml": _DATASOURCE,
        "provisioning/dashboards/rmetrics.yaml": _PROVIDER,
        "provisioning/alerting/rmetrics.yaml": "\n".join([*yaml(alert_rules(place)), ""]),
    }


def yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yields the lines of a mapping as YAML: SQL as a block, other text with JSON quoting.

    Dollar signs in text are doubled, as Grafana would expand them as environment variables.
    """
    for key, item in value.items():
        match item:
            case dict():
                yield f"{indent}{key}:"
                yield from yaml(item, indent + "  ")
            case list() if item and isinstance(item[0], dict):
                yield f"{indent}{key}:"
                for part in item:
                    first, *rest = yaml(part, indent + "    ")
                    yield f"{indent}  - {first.strip()}"
                    yield from rest
            case str() if "\n" in item:
                yield f"{indent}{key}: |-"
                yield from (f"{indent}  {line}".rstrip() for line in item.replace("$", "$$").split("\n"))
            case str() if re.fullmatch(r"[A-Za-z][\w .-]*", item) and item not in {
                "null",
                "true",
                "false",
                "no",
                "yes",
            }:
                yield f"{indent}{key}: {item}"
            case str():
                yield f"{indent}{key}: {json.dumps(item.replace('$', '$$'), ensure_ascii=False)}"
            case _:
                yield f"{indent}{key}: {json.dumps(item)}"
