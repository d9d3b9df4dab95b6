"""Files of the inbox whose content changed although size and time did not.

A sync recognises an unchanged file by its size, times and inode and does not read it again. Some tools and file
systems keep all of these when they replace the content; only reading the file reveals the change.
"""

import stat
from pathlib import Path

from rmetrics.lake import Damage, Lake, file_digest
from rmetrics.pipeline.landing.bucket_inbox import BucketInbox
from rmetrics.pipeline.landing.inbox import inbox_files, inbox_name

ALTERED = "the content under this name has changed, although size and time are the same"


def altered_files(inbox: Path | BucketInbox, lake: Lake) -> tuple[list[Damage], int]:
    """Returns the files whose content differs from the one a sync read, and the number compared.

    Skips files with another size or time, which the next sync reads, and files that no sync has read yet.

    Args:
        inbox: the folder of exports; nothing is compared if it does not exist, or in a bucket, where an object with
            new content has a new version.
        lake: holds the last sync's record of the inbox.

    Raises:
        LakeError: a folder of the inbox cannot be read.
        OSError: a file cannot be read.
    """
    if isinstance(inbox, BucketInbox) or not inbox.is_dir():
        return [], 0
    known = lake.load_json("inbox").get("files", {})
    altered, compared = list[Damage](), 0
    for path, status in inbox_files(inbox):
        name = inbox_name(path, inbox)
        size, modified, *_, sha256, feed, _refused, _note = known.get(name) or [None] * 8
        same = (size, modified) == (status.st_size, status.st_mtime_ns)
        if not (same and sha256 and stat.S_ISREG(status.st_mode)):
            continue
        compared += 1
        if file_digest(path) != sha256:
            altered.append(Damage(path, ALTERED, feed or "", sha256, name))
    return altered, compared


__all__ = ["ALTERED", "altered_files"]
