"""One try at a lock on an open file, in the system's own way.

Linux and macOS: ``flock``, shared or exclusive. Windows knows no ``flock``; there a byte far behind the text is locked,
for nobody may read what is locked, and every lock is exclusive: what would share it waits instead. Both are freed when
the process ends, however it ends.
"""

import os

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

    _BYTE = 2**30

    def try_lock(descriptor: int, *, alone: bool) -> bool:  # noqa: ARG001 - there is one kind of lock
        """Locks an open file; False where somebody else holds it."""
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
        return True

else:

    def try_lock(descriptor: int, *, alone: bool) -> bool:
        """Locks an open file, shared or for itself alone; False where somebody else holds it.

        Raises:
            OSError: this file system has no locks.
        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


__all__ = ["try_lock"]
