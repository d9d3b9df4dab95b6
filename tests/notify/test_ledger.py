"""The ledger: claimed once, marked, doubtful after a death; occurrences begin, go on and end."""

import datetime as dt
import stat
from pathlib import Path

import pytest

from rmetrics.errors import BusyError, LakeError
from rmetrics.notify import ledger as module
from rmetrics.notify.ledger import open_ledger

NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)


def test_a_message_is_claimed_once_per_channel(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        assert ledger.claim("brief", ["2026-11-10"], "a", NOW) == ["2026-11-10"]
        ledger.mark("brief", ["2026-11-10"], "a", "sent", NOW)
    with open_ledger(tmp_path) as ledger:
        assert ledger.claim("brief", ["2026-11-10"], "a", NOW) == []
        assert ledger.claim("brief", ["2026-11-10"], "b", NOW) == ["2026-11-10"]
        assert ledger.claim("brief", ["2026-11-11"], "a", NOW) == ["2026-11-11"]
        assert ledger.claim("brief", ["2026-11-10"], "a", NOW, again=True) == ["2026-11-10"]


def test_a_claim_without_an_end_is_doubtful_and_not_taken_again(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.claim("alerts", ["x", "y"], "a", NOW)
        ledger.mark("alerts", ["y"], "a", "failed", NOW, "401")
    with open_ledger(tmp_path) as ledger:
        assert [(s.key, s.state, s.why) for s in ledger.troubles(NOW)] == [("x", "sending", ""), ("y", "failed", "401")]
        assert ledger.claim("alerts", ["x", "y", "z"], "a", NOW) == ["y", "z"]
        assert ledger.troubles(NOW + dt.timedelta(days=1)) == ()


def test_the_brief_before_is_the_last_that_was_sent(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        assert ledger.last_brief("2026-11-10") is None
        for day, state in (("2026-11-08", "sent"), ("2026-11-09", "failed"), ("2026-11-10", "sent")):
            at = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
            ledger.claim("brief", [day], "a", at)
            ledger.mark("brief", [day], "a", state, at)  # type: ignore[arg-type]
        noon = dt.datetime(2026, 11, 8, 12, tzinfo=dt.UTC)
        assert ledger.last_brief("2026-11-10") == (noon.date(), noon)
        old, late = "2026-11-05", noon + dt.timedelta(days=2)  # one of an earlier day, sent later, is not the last
        ledger.claim("brief", [old], "a", late)
        ledger.mark("brief", [old], "a", "sent", late)
        ledger.claim("brief", ["2026-11-08"], "b", late)  # to another channel
        ledger.mark("brief", ["2026-11-08"], "b", "sent", late)
        assert ledger.last_brief("2026-11-10") == (noon.date(), noon)


def test_occurrences_begin_go_on_end_and_come_back(tmp_path: Path) -> None:
    later = [NOW + dt.timedelta(hours=n) for n in range(4)]
    with open_ledger(tmp_path) as ledger:
        assert ledger.occurring([("cpl", "Google")], later[0]) == {("cpl", "Google"): later[0].isoformat()}
        both = ledger.occurring([("cpl", "Google"), ("stale", "")], later[1])
        assert both == {("cpl", "Google"): later[0].isoformat(), ("stale", ""): later[1].isoformat()}
        assert ledger.occurring([], later[2]) == {}
        assert ledger.occurring([("cpl", "Google")], later[3]) == {("cpl", "Google"): later[3].isoformat()}


def test_one_process_at_a_time_and_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.1)
    with open_ledger(tmp_path), pytest.raises(BusyError, match="another command is sending"), open_ledger(tmp_path):
        pass
    assert stat.S_IMODE((tmp_path / "messages.sqlite").stat().st_mode) == 0o600


def test_a_broken_ledger_sends_nothing(tmp_path: Path) -> None:
    (tmp_path / "messages.sqlite").write_bytes(b"no database at all, and long enough to look at" * 40)
    with pytest.raises(LakeError, match=r"messages\.sqlite cannot be used"), open_ledger(tmp_path):
        pass
