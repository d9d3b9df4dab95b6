"""The pages of the sample, and a small company with two months."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from published import Published
from serve_sites import client_of
from small_company import jobs, payments, referrals
from support import Project
from templates import Templates


@pytest.fixture(scope="session")
def site(sample: Published) -> Iterator[TestClient]:
    """The pages of the sample without rows of exports."""
    assert sample.project is not None
    with client_of(sample.project.settings) as client:
        yield client


@pytest.fixture(scope="session")
def site_with_rows(sample: Published) -> Iterator[TestClient]:
    """The pages of the sample with rows of exports."""
    assert sample.project is not None
    with client_of(sample.project.settings, rows=True) as client:
        yield client


def two_months(project: Project) -> None:
    """October and November of a small company, published: 1 lead of Google, 2 of Pro Referral, 100.00 paid.

    The customer of job 2 is the lead b, four days before.
    """
    project.put(
        "Import-1.csv",
        jobs(
            (1, "COD Service", "Google", "10/15/2024", ""),
            (2, "INS Repair", "Rely", "11/20/2024", "6175559131"),
            more=("Primary Phone",),
        ),
    )
    project.put("payments_1.csv", payments((2, "2024-11-20T15:00:00Z", "100.00", "p1"), more=("Transaction ID",)))
    project.put(
        "proref.csv",
        referrals(
            ("a", "11/10/2024 09:00 AM", "Booked", ""),
            ("b", "11/16/2024 09:00 AM", "Booked", "6175559131"),
            more=("Phone",),
        ),
    )
    project.sync()


@pytest.fixture
def small(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """The small company, for a test to change."""
    with templates.of(two_months).copy(tmp_path) as project:
        yield project


@pytest.fixture(scope="session")
def small_to_read(templates: Templates) -> Project:
    """The small company, for tests that change nothing."""
    return templates.of(two_months).project
