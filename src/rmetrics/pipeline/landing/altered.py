"""Files of the inbox that changed although size and time say that they did not.

A sync recognises an unchanged file by its size, times and inode and does not read it again. Some tools and file
systems keep all of these when they replace the content; only reading the file shows it.
"""

import stat
from pathlib import Path

from rmetrics.lake import Damage, Lake, file_digest
from rmetrics.pipeline.landing.bucket_inbox import BucketInbox
from rmetrics.pipeline.landing.inbox import inbox_files, inbox_name

ALTERED = "the content is not what was read under this name, though size and time are the same"


def altered_files(inbox: Path | BucketInbox, lake: Lake) -> tuple[list[Damage], int]:
    """The files whose content is not the one that a sync read, and how many were compared.

    A file of another size or time is left out: the next sync reads it. So is one that no sync has read yet.

    Args:
        inbox: the folder of exports; nothing is compared where it does not exist, or in a bucket: an object has another
            version once it has another content.
        lake: remembers what the last sync found there.

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
