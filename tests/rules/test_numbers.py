"""Every number that rules may hold: its range, and the one message it gives outside of it.

The fields are found by walking the models: a number added without a range, or without a place here, fails.
"""

import json
import os
import shutil
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from acme import FEED
from command_line import command_line
from rmetrics.errors import RulesError
from rmetrics.rules import feeds, load_rules, model
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Flag

ROOT = Path(__file__).parents[2]

SHIPPED = (ROOT / "rules/business.toml").read_text()
BRIEF = (ROOT / "rules/messages.toml").read_text()
SOURCES = "[[calls.sources]]\n"
VARIANT = FEED + '[[feeds.acme_leads.variants]]\nwhen = ["Other"]\n'
SOURCE = '[sources.Acme]\nleads = "jobs"\n'
CHANGE = "[[sources.Acme.changes]]\nfrom = 2026-01-01\n"
COLUMN = FEED.replace('["Price"]', '["Price"], %s = @')
ALERT = '[[alerts]]\nname = "low"\ntitle = "Low"\nover = "%s"\nwhere = "%s"\n'

# How each number is written, @ standing for it.
WRITTEN: dict[tuple[str, str], str] = {
    ("Revenue", "share"): SHIPPED + "\n[[revenue.changes]]\nfrom = 2026-01-01\nshare = @\n",
    ("Cost", "per_lead"): SOURCE + "cost = { per_lead = @ }\n",
    ("Cost", "per_unit"): SOURCE + "[[sources.Acme.cost]]\nper_unit = @\n",
    ("Cost", "per_repair"): SOURCE + CHANGE + "cost = [{ monthly = 1 }, { per_repair = @ }]\n",
    ("Cost", "monthly"): SOURCE + "cost = { monthly = @ }\n",
    ("Calls", "existing_job"): SHIPPED.replace(SOURCES, f"[calls]\nexisting_job = @\n{SOURCES}", 1),
    ("Calls", "called_back"): SHIPPED.replace(SOURCES, f"[calls]\ncalled_back = @\n{SOURCES}", 1),
    ("Calls", "booked"): SHIPPED.replace(SOURCES, f"[calls]\nbooked = @\n{SOURCES}", 1),
    ("Column", "scale"): COLUMN.replace("%s", "scale"),
    ("Column", "most"): COLUMN.replace("%s", "most"),
    ("Dimension", "most"): '[dimensions.town]\nof = "jobs"\ncolumn = "city"\nmost = @\n',
    ("Alert", "months"): ALERT % ("monthly_vs_target", "repairs < 1") + "months = @\n",
    ("Alert", "days"): ALERT % ("daily_cumulative", "repairs < 1") + "days = @\n",
    ("BriefRules", "stale_days"): BRIEF.replace("stale_days = 3 ", "stale_days = @\n#", 1),
    ("Variant", "scale"): VARIANT + "scale = @\n",
    ("VariantColumn", "scale"): VARIANT + "columns = { price = { scale = @ } }\n",
}
# Never a number of any rule, however generous its range.
NEVER = ["-1", "-0.01", "nan", "-nan", "inf", "-inf", '"12"', '"0.35"', "true", "false", "2026-01-01", "[1]", "1e15"]
NEVER += ["12.345678", "1e-9", "{ a = 1 }", '""', "0x1_0000_0000_0000", "1e30000"]
NUMBERS = sorted(WRITTEN)


def in_models() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every field of every table of the rules that holds a number, also as one of several kinds."""
    for kind in {**vars(model), **vars(feeds)}.values():
        if isinstance(kind, type) and issubclass(kind, model.Table) and kind is not model.Table:
            for name, field in kind.model_fields.items():
                if any(t in {int, float, Decimal} for t in kinds_in(field.annotation)):
                    yield kind.__name__, name, field


def kinds_in(annotation: object) -> Iterator[object]:
    inner = typing.get_args(annotation)
    if annotation is None or not inner:
        yield annotation
    elif typing.get_origin(annotation) is typing.Literal:
        yield from map(type, inner)
    else:
        for part in inner:
            yield from kinds_in(part)


def ranges_of(annotation: object) -> Iterator[NumberRange]:
    """The ranges of an annotation, with those of the members of a union."""
    yield from (m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, NumberRange))
    for part in typing.get_args(annotation):
        yield from ranges_of(part)


def number_range(kind: str, name: str) -> NumberRange:
    field = next(f for k, n, f in in_models() if (k, n) == (kind, name))
    found = [m for m in field.metadata if isinstance(m, NumberRange)] or list(ranges_of(field.annotation))
    assert len(found) == 1, f"{kind}.{name} has no range: give it a NumberRange"
    return found[0]


def test_every_number_of_the_models_is_tried_here() -> None:
    assert sorted((k, n) for k, n, _ in in_models()) == NUMBERS


def test_the_walk_looks_into_unions_lists_and_literals() -> None:
    numbers = {int, float, Decimal}
    assert numbers & set(kinds_in(tuple[int | None, ...])) == {int}
    assert numbers & set(kinds_in(dict[str, typing.Literal["a", 3]])) == {int}
    assert not numbers & set(kinds_in(Flag))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers") / "rules"
    shutil.copytree(ROOT / "rules", folder, ignore=shutil.ignore_patterns("examples"))
    return folder


def written(folder: Path, field: tuple[str, str], number: str) -> Path:
    """The file that holds the number; the shipped rules are whole beside it."""
    for name, text in (("business.toml", SHIPPED), ("messages.toml", BRIEF), ("acme.toml", "")):
        (folder / name).write_text(text)
    files = {"Revenue": "business.toml", "Calls": "business.toml", "BriefRules": "messages.toml"}
    path = folder / files.get(field[0], "acme.toml")
    path.write_text(WRITTEN[field].replace("@", number))
    return path


def problems(folder: Path) -> list[str]:
    try:
        load_rules(folder)
    except RulesError as error:
        return [str(p) for p in error.problems]
    return []


@pytest.mark.parametrize("field", NUMBERS, ids=".".join)
@pytest.mark.parametrize("number", NEVER)
@pytest.mark.ordinary(80, deep=400)
def test_what_is_no_number_of_a_rule_gives_one_error_with_file_line_and_key(
    shipped: Path, field: tuple[str, str], number: str
) -> None:
    path = written(shipped, field, number)
    (told,) = problems(shipped)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if f"{field[1]} = {number}" in text)
    assert told.startswith(f"{path}:{line}: ")
    assert f".{field[1]}: must be " in told
    assert ("a number from " in told) or "power of ten" in told
    if number[0] not in "{[0123456789":
        assert "found " in told


@pytest.mark.parametrize("field", NUMBERS, ids=".".join)
def test_the_ends_of_a_range_are_taken_and_what_is_just_beyond_is_not(shipped: Path, field: tuple[str, str]) -> None:
    allowed = number_range(*field)
    step = Decimal(1).scaleb(-allowed.decimals)
    assert step >= Decimal("0.0001")
    for number in (allowed.low, allowed.high):
        written(shipped, field, f"{number:f}")
        assert problems(shipped) == []
        written(shipped, field, f"{number:f}.000000" if number == number.to_integral() else f"{number:f}0000")
        assert problems(shipped) == [], "zeros at the end are no digits"
    for number in (allowed.low - step, allowed.high + step, allowed.low + step / 10):
        written(shipped, field, f"{number:f}")
        assert len(problems(shipped)) == 1


@pytest.mark.parametrize(
    ("typed", "instead"), [("35", "0.35"), ("42.5", "0.425"), ("100", "1"), ("4e1", "0.4"), ("1.5", "0.015")]
)
def test_a_share_typed_as_a_percentage_names_the_share(shipped: Path, typed: str, instead: str) -> None:
    written(shipped, ("Revenue", "share"), typed)
    (told,) = problems(shipped)
    assert f"% write {instead}, found" in told


@pytest.mark.parametrize("typed", ["101", "-35", "33.333", "nan"])
def test_no_share_is_proposed_for_what_is_no_percentage(shipped: Path, typed: str) -> None:
    written(shipped, ("Revenue", "share"), typed)
    (told,) = problems(shipped)
    assert "% write" not in told


@pytest.mark.parametrize("number", ["9" * 5000, "1e99999999999999999999"], ids=["too many digits", "too far a power"])
def test_a_number_python_cannot_read_names_its_line(shipped: Path, number: str) -> None:
    path = written(shipped, ("Cost", "monthly"), number)
    (told,) = problems(shipped)
    assert told.startswith(f"{path}:3: ")
    assert "more digits than any rule allows" in told


def test_numbers_keep_their_digits(shipped: Path) -> None:
    written(shipped, ("Cost", "per_lead"), "12.30")
    cost = load_rules(shipped).sources["Acme"].latest.cost[0]
    assert str(cost.per_lead) == "12.30"
    written(shipped, ("Column", "scale"), "1e2")
    scale = load_rules(shipped).feeds["acme_leads"].columns["price"].scale
    assert (scale, type(scale)) == (100, int)


def test_a_flag_is_true_or_false_and_nothing_that_could_be_meant_so(shipped: Path) -> None:
    for flag in ("1", '"yes"', '"true"', "0.0"):
        (shipped / "acme.toml").write_text(FEED.replace("required = true", f"required = {flag}", 1))
        assert any("must be true or false, found" in told for told in problems(shipped))


def test_the_command_line_shows_the_place_and_exits_2(tmp_path: Path, shipped: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(shipped, folder)
    written(folder, ("Cost", "monthly"), '"300"')
    ran = command_line("rules", "check", "--json", folder=tmp_path, environment=os.environ)
    assert ran.returncode == 2
    (told,) = json.loads(ran.stdout)["problems"]
    assert told | {"message": ""} == {
        "path": "rules/acme.toml",
        "line": 3,
        "key": "sources.Acme.cost.0.monthly",
        "message": "",
    }
    allowed = "must be a number from 0 to 1,000,000,000 with at most 2 decimals, without quotes, found '300'"
    assert told["message"] == allowed
