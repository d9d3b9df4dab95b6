"""Projects to explain: the synced sample, and a small one whose every row is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from published import Published
from small_company import jobs, leads, payments, spend
from support import Project
from templates import Templates


@pytest.fixture(scope="session")
def sample(sample: Published) -> Project:
    """The project of the shipped sample, published. Its tests only read."""
    assert sample.project is not None
    return sample.project


@pytest.fixture(scope="module")
def small(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """November 2024 of a small company. A test that changes it brings it back."""
    with templates.of(november).copy(tmp_path_factory.mktemp("small")) as project:
        yield project


@pytest.fixture
def own(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """The same company, for a test that changes it for good."""
    with templates.of(november).copy(tmp_path) as project:
        yield project


def november(project: Project) -> Project:
    """Puts the exports of the small company and syncs."""
    project.put(
        "Import-1.csv",
        jobs(
            (1, "COD Service", "Google", "Tue Nov 05 2024", "Done", "U1", "6175550101"),
            (2, "COD Service", "google", "Wed Nov 06 2024", "Done", "U2", "6175550102"),
            (3, "COD Repair", "Google", "Fri Nov 29 2024", "Done", "U3", "6175550103"),
            (4, "Warranty", "Google", "Thu Nov 07 2024", "Done", "U4", "6175550104"),
            (5, "COD Service", "Gogle", "Fri Nov 08 2024", "Done", "U5", "6175550105"),
            (6, "COD Service", "", "Sat Nov 09 2024", "Done", "U6", "6175550106"),
            (7, "COD Service", "Google", "Thu Oct 31 2024", "Done", "U7", "6175550107"),
            (8, "COD Service", "Google", "Mon Dec 02 2024", "Done", "U8", "6175550108"),
            (9, "COD Service", "Google", "Sat Nov 31 2024", "Done", "U9", "6175550109"),
            (10, "INS Service", "Rely", "Mon Nov 11 2024", "Done", "U10", "6175550110"),
            more=("Status", "UUID", "Primary Phone"),
        ),
    )
    project.put(
        "payments_1.csv",
        payments(
            (1, "2024-11-06T15:00:00.000Z", "100.00", "cash", "", "p1"),
            (2, "2024-11-07T15:00:00.000Z", "100.01", "cash", "", "p2"),
            (3, "2024-11-30T15:00:00.000Z", "250.00", "card", "", "p3"),
            (3, "2024-12-03T15:00:00.000Z", "50.00", "card", "", "p4"),
            (3, "2024-11-30T16:00:00.000Z", "80.00", "card", "Failed", "p5"),
            more=("Method", "Status", "Transaction ID"),
        ),
    )
    project.put(
        "leads cost Elocals 1.csv",
        leads(
            (101, "2024-11-05 10:00:00 -0500", "25.50", "Billed", "6175550201"),
            (102, "2024-11-06 10:00:00 -0500", "30.00", "Billed", "6175550202"),
            (103, "2024-11-07 10:00:00 -0500", "", "Billed", "6175550203"),
            (104, "2024-10-31 23:30:00 -0400", "20.00", "Billed", "6175550204"),
            (105, "2024-11-08 10:00:00 -0500", "40.00", "Billed", "6175550205"),
            more=("Status", "Caller ID"),
        ),
    )
    project.put(
        "leads cost Elocals 2.csv",
        leads((105, "2024-11-08 10:00:00 -0500", "0.00", "Credited", "6175550205"), more=("Status", "Caller ID")),
    )
    project.put("google spend.csv", spend(("2024-11", "100.00")))
    project.sync()
    return project
