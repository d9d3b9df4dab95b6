"""Phone numbers through a sync: proxies are told apart, placeholders are counted and match nobody."""

import polars as pl

import small_company
from small_company import referrals
from support import Project, computed_rows


def test_numbers_of_exports(project: Project) -> None:
    project.put(
        "jobs.csv",
        small_company.jobs(
            ("1", "COD Service", "Google", "11/05/2024", "8084355068 #940"),
            ("2", "COD Service", "Google", "11/05/2024", "0000000000"),
            ("3", "COD Service", "Google", "11/05/2024", "617-555-0101 / 617-555-0102"),
            ("4", "COD Service", "Google", "11/05/2024", "05550124"),
            more=("Primary Phone",),
        ),
    )
    project.put(
        "Pro Referral leads.csv",
        referrals(
            ("a", "11/05/2024 09:00 AM", "Accepted", "(808) 435-5068 ext 941"),
            ("b", "11/05/2024 09:00 AM", "Accepted", "999-999-9999"),
            ("c", "11/05/2024 09:00 AM", "Accepted", "(617) 555-0102"),
            ("d", "11/05/2024 09:00 AM", "Accepted", "05550124"),
            more=("Phone",),
        ),
    )
    result = project.sync()
    (told,) = (f for f in result.findings if f.code == "placeholder-phones")
    assert (told.rows, "jobs (1), proref_leads (1)" in told.message) == (2, True)
    assert [f.rejected for f in result.files] == [0, 0]
    twice = [f for f in result.findings if f.code == "one-phone-two-sources"]
    assert [f.rows for f in twice] == [1]  # the customer with two numbers; not the two behind one proxy
    jobs = computed_rows(project).feed("jobs").sort("job_id").select("client_phone").collect()
    assert jobs.to_series().to_list() == ["8084355068x940", None, "6175550101;6175550102", "05550124"]
    leads = computed_rows(project).feed("proref_leads").select(pl.col("phone").sort_by("lead_id")).collect()
    assert leads.to_series().to_list() == ["8084355068x941", None, "6175550102", "05550124"]
