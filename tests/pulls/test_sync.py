"""``sync --pull``: pulled files are exports like any other, and a pull that fails stops nothing."""

import json

import pytest

from command_line import rmetrics
from support import Project, csv_text
from vendor import Reply, jobs, offsets, serving

TABLE = """\
[pulls.{name}]
feed    = "jobs"
kind    = "http"
url     = "{url}/{name}"
params  = {{ records = "{{size}}", offset = "{{offset}}" }}
paging  = {{ kind = "offset", size = 50 }}
rows    = "data"
total   = "meta.total"
unique  = ["UUID"]
"""


@pytest.mark.deep
def test_a_pull_that_fails_stops_nothing_else(project: Project) -> None:
    project.put(
        "payments.csv", csv_text(["Transaction ID", "Job #", "Date", "Amount"], ["P1", "1", "11/02/2024", "120.05"])
    )
    rows = jobs(60)
    with serving(offsets(rows)) as vendor:
        vendor.fault = lambda asked, reply: (
            reply if asked.path == "/good" else Reply(reply.body | {"data": reply.body["data"][:-1]})
        )
        text = "".join(TABLE.format(name=name, url=vendor.url) for name in ("bad", "good"))
        (project.rules / "pulls.toml").write_text(text)
        first = rmetrics(project, "sync", "--pull", "--json")
        told = json.loads(first.stdout)
        assert (first.returncode, told["status"]) == (3, "published"), first.stderr
        assert [f["code"] for f in told["findings"] if f["severity"] == "error"] == ["pull-incomplete"]
        found = next(f["message"] for f in told["findings"] if f["code"] == "pull-incomplete")
        assert found == (
            "pull bad is not complete: the server declares 60 rows, 58 received: 2 rows missing (page 1 has 49 of 50); "
            "the last complete data remain in force; to try again: rmetrics pull bad"
        )
        assert project.rows("SELECT sum(jobs)::int, sum(revenue_gross)::text FROM monthly_metrics") == [(60, "120.05")]
        ((detail,),) = project.rows("SELECT detail->>'findings' FROM sync_runs")
        assert "pull-incomplete" in detail
        # A few days of the list are no export that was cut.
        del rows[5:]
        rows[0]["Total"] = "7.00"
        vendor.fault = lambda _asked, reply: reply
        second = rmetrics(project, "sync", "--pull", "--json")
        told = json.loads(second.stdout)
        assert (second.returncode, [f["code"] for f in told["findings"] if "pull" in f["message"]]) == (0, [])
        assert project.rows("SELECT count(*)::int, min(total)::text FROM jobs") == [(60, "2.10")]
        assert project.rows("SELECT total::text FROM jobs WHERE job_id = '1'") == [("7.00",)]
        third = rmetrics(project, "sync", "--pull", "--quiet")
        assert (third.returncode, third.stdout, third.stderr) == (0, "", "")


def test_a_dry_run_sends_nothing(project: Project) -> None:
    with serving(offsets(jobs(3))) as vendor:
        (project.rules / "pulls.toml").write_text(TABLE.format(name="good", url=vendor.url))
        run = rmetrics(project, "sync", "--pull", "--dry-run")
        assert (run.returncode, vendor.asked) == (0, [])
        assert f"GET {vendor.url}/good?records=50&offset=0" in run.stdout
