"""The Grafana kit: dashboards, alert rules and provisioning as text, made from time zone and currency."""
