"""The Grafana kit: dashboards, alert rules and provisioning as text, generated from time zone and currency."""
