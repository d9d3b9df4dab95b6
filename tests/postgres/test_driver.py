import subprocess
import sys

CODE = """
import sys
from rmetrics.postgres.driver import dbapi
first = dbapi()
assert dbapi() is first
print(sorted({"pyarrow.compute", "pyarrow.dataset"} & set(sys.modules)))
import pyarrow.dataset
print(pyarrow.dataset.dataset.__module__, sys.modules["pyarrow.dataset"] is pyarrow.dataset, dbapi() is first)
"""


def test_the_driver_comes_without_arrows_datasets_which_still_can_be_imported_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "pyarrow.dataset True True"]


def test_datasets_that_are_there_already_are_left_alone() -> None:
    code = (
        "import pyarrow.dataset as there\nfrom rmetrics.postgres.driver import dbapi\ndbapi()\nimport pyarrow.dataset"
    )
    done = subprocess.run([sys.executable, "-c", f"{code}\nprint(there is pyarrow.dataset)"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == "True\n"
