"""System limits that are checked before an engine is loaded."""

from rmetrics.errors import LakeError

_ADDRESSES = 3 * 10**9  # below 2.6 GB Polars or DuckDB aborts: threads and arenas reserve far more than they use


def require_address_space() -> None:
    """Requires enough address space: under a low ``ulimit -v`` an engine aborts the process without a message.

    Must be called before the engines are loaded.

    Raises:
        LakeError: the limit is lower than the engines need to start.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < _ADDRESSES:
        raise LakeError(
            f"the system allows this program {soft / 1e9:.1f} GB of address space; it needs {_ADDRESSES / 1e9:.1f} GB",
            "Raise the limit (ulimit -v, LimitAS), and limit memory with RMETRICS_MEMORY_LIMIT instead.",
        )
