"""What is written to a terminal: nothing in it steers the terminal, hides, or forges a line of ours."""

import json
import re
import unicodedata

import pytest

from command_line import rmetrics
from rmetrics.output.visible import visible, visible_json
from small_company import jobs, payments
from support import Project

HOSTILE = "Go\x1b[31mog\x07le\x9b2J\u202etxt\x7f"
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200B, 0x2028, 0xFEFF, 0xDCFF])
def test_every_character_that_steers_or_hides_is_written_out(code: int) -> None:
    shown = visible(f"a{chr(code)}b")
    assert shown.isprintable()
    assert re.fullmatch(r"a\\[a-zA-Z0-9]+b", shown)


@pytest.mark.parametrize("text", ["plain", "café", "日本", "👩‍🔧", "C:\\new\\table", "naïve", "مرحبا"])
def test_ordinary_letters_of_every_language_stay(text: str) -> None:
    assert visible(text) == text


def test_all_of_unicode_comes_out_without_control_characters() -> None:
    every = "".join(map(chr, range(0x110000)))
    assert not {unicodedata.category(c) for c in visible(every)} & {"Cc", "Cs", "Zl", "Zp"}
    document = visible_json(json.dumps(every, ensure_ascii=False))
    assert not _STEERING.search(document)
    assert json.loads(document) == json.loads(json.dumps(every))
    assert json.loads(visible_json(json.dumps(every, ensure_ascii=False), "ascii")) == json.loads(document)


@pytest.mark.slow
def test_no_command_passes_control_characters_on(project: Project) -> None:
    project.put("Import-1\x1b[32m.csv", jobs((1, "COD Repair", HOSTILE)))
    project.put("pay\x1b]0;x\x07ments.csv", payments((1, "2024-11-05", f"12{HOSTILE}")))
    project.put("odd\x9b.csv", "a,b\n1,2\n")
    commands = [
        ["sync"], ["status"], ["check"], ["plan"], ["rejected", "--reveal"], ["rejected"], ["exports"], ["rules"],
        ["explain", "--source", HOSTILE, "--month", "2024-11", "--rows"], ["history", "--month", "2024-11"],
        ["sql", "SELECT source, count(*) AS n FROM job_facts GROUP BY source"], ["doctor"], ["explain", HOSTILE],
        ["sql", f'SELECT 1 AS "{HOSTILE}"'], ["sql", f"SELECT nothing{HOSTILE}"], ["schema"],
        ["rejected", "show", HOSTILE], ["exports", "withdraw", HOSTILE], ["history", "--month", HOSTILE], [HOSTILE],
    ]  # fmt: skip
    seen = ""
    for command in commands:
        done = rmetrics(project, *command)
        written = done.stdout + done.stderr
        assert not _STEERING.search(written), (command, written)
        assert "Traceback" not in written, (command, written)
        seen += written
    assert "Go\\x1b[31mog\\x07le\\x9b2J\\u202etxt\\x7f" in seen
    document = rmetrics(project, "sql", "SELECT source FROM job_facts", "--json").stdout
    assert not _STEERING.search(document)
    assert json.loads(document)["rows"][0]["source"] == HOSTILE


@pytest.mark.deep
def test_rules_that_hold_control_characters(project: Project) -> None:
    bad = project.rules / "zz.toml"
    bad.write_text('[sources."Go\\u001b[31mog"]\nleads = "no\\u009bsuch\\nerror: all is lost"\n', encoding="utf-8")
    for command in (["rules", "check"], ["sync"]):
        done = rmetrics(project, *command)
        assert done.returncode == 2
        assert not _STEERING.search(done.stderr)
        assert "\nerror: all is lost" not in done.stderr


@pytest.mark.slow
def test_a_line_break_in_a_cell_breaks_no_table(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    assert rmetrics(project, "sync").returncode == 0
    out = rmetrics(project, "sql", "SELECT 'a' || chr(10) || 'b' AS x, 2 AS y").stdout
    assert re.search(r"a\\nb +2", out)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [("INTERVAL 1 DAY", None), ("'x'::BLOB", "78"), ("TIME '01:00'", "01:00:00"), ("'nan'::DOUBLE", "nan"),
     ("'-inf'::DOUBLE", "-inf"), ("[1.10, NULL]", ["1.10", None]), ("{'a': DATE '2024-11-05'}", {"a": "2024-11-05"}),
     ("MAP {'k': 1.5}", None), ("TIMESTAMP '2024-11-05 01:02:03'", "2024-11-05T01:02:03"), ("true", True)],
)  # fmt: skip
@pytest.mark.ordinary(1)
def test_json_is_json_whatever_a_column_holds(published: Project, expression: str, shown: object) -> None:
    done = rmetrics(published, "sql", f"SELECT {expression} AS x", "--json")
    assert done.returncode == 0, done.stderr

    def refuse(name: str) -> None:
        raise AssertionError(name)

    (row,) = json.loads(done.stdout, parse_constant=refuse)["rows"]
    assert shown is None or row["x"] == shown
