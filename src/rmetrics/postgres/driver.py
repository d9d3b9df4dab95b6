"""The PostgreSQL driver, loaded on first use."""

import sys
import threading
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

from rmetrics.errors import SettingsError

_OLDEST = (1, 13)
_LOADING = threading.Lock()
_DRIVER, _DATASETS, _POLARS = "adbc_driver_postgresql.dbapi", "pyarrow.dataset", "polars"


def require_driver() -> None:
    """Refuses a driver version that is known to store wrong amounts.

    Raises:
        SettingsError: the driver is too old.
    """
    version = metadata.version("adbc-driver-postgresql")
    if tuple(int(p) for p in version.split(".")[:2]) < _OLDEST:
        raise SettingsError(
            f"adbc-driver-postgresql {version} stores some amounts incorrectly without an error",
            "Install 1.13 or newer: pip install 'adbc-driver-postgresql>=1.13,<2'",
        )


def adbc_error() -> type[Exception]:
    """The driver's base error."""
    import adbc_driver_manager

    return adbc_driver_manager.Error  # type: ignore[no-any-return,unused-ignore]


def dbapi() -> Any:
    """Returns the driver's DB-API module.

    It imports ``pyarrow.dataset`` only to recognise datasets as input, which no caller here passes. That import loads
    all of Arrow's compute functions and takes longer than importing the driver and connecting, so a stand-in replaces
    it during the import. Polars, which it would use where Arrow is not installed, is left out as well. Other importers
    get the real modules.
    """
    with _LOADING:
        if _DRIVER not in sys.modules and _DATASETS not in sys.modules:
            import pyarrow as pa

            sys.modules[_DATASETS] = pa.dataset = _without_datasets()
            # With other threads, one of them may be importing Polars right now.
            without_polars = _POLARS not in sys.modules and threading.active_count() == 1
            if without_polars:
                sys.modules[_POLARS] = None  # type: ignore[assignment]  # how Python marks a module as missing
            try:
                return import_module(_DRIVER)
            finally:  # the next imports of them are real ones
                del sys.modules[_DATASETS]
                if without_polars:
                    del sys.modules[_POLARS]
        return import_module(_DRIVER)


def _without_datasets() -> ModuleType:
    """A stand-in for ``pyarrow.dataset`` whose classes have no instances."""
    stand_in = ModuleType(_DATASETS)
    stand_in.Dataset, stand_in.Scanner = type("Dataset", (), {}), type("Scanner", (), {})  # type: ignore[attr-defined]
    return stand_in


__all__ = ["adbc_error", "dbapi", "require_driver"]
