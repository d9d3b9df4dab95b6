"""One attempt to lock an open file, with the system's own mechanism.

Linux and macOS: ``flock``, shared or exclusive. Windows has no ``flock``; there a byte far beyond the text is locked,
because locked bytes cannot be read, and every lock is exclusive: a shared one waits. Both are released when the process
ends, however it ends.
"""

import os

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

    _BYTE = 2**30

    def try_lock(descriptor: int, *, exclusive: bool) -> bool:  # noqa: ARG001 - there is one kind of lock
        """Locks an open file; False if another process holds it."""
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

    def try_lock(descriptor: int, *, exclusive: bool) -> bool:
        """Locks an open file, shared or exclusively; False if another process holds it.

        Raises:
            OSError: the file system does not support locks.
        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


__all__ = ["try_lock"]
