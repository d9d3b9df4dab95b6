"""What all peers share: which exports belong to which feed, from old to new, and how a result is handed back."""

import json
from pathlib import Path

# The feeds by the beginning of a file's name: a peer knows its files, rmetrics recognises them by their headers.
FEEDS = {
    "jobs": "Import",
    "payments": "payments",
    "elocals_leads": "leads cost Elocals",
    "proref_leads": "Pro Referral leads",
    "calls": "callrail calls",
    "google_spend": "google spend",
}


def exports(inbox: Path) -> dict[str, list[Path]]:
    """The exports of each feed, from old to new (modification time, then name)."""
    found = sorted((p for p in inbox.iterdir() if p.suffix == ".csv"), key=lambda p: (p.stat().st_mtime, p.name))
    return {feed: [p for p in found if p.name.startswith(start)] for feed, start in FEEDS.items()}


def report(folder: Path, rows: dict[str, int], **figures: float) -> None:
    """Writes what a peer has to say beside its ``daily_metrics.parquet``: rows kept by feed, seconds of its parts."""
    (folder / "peer.json").write_text(json.dumps({"rows": rows, **figures}))
