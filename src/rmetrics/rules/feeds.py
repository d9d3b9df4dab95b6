"""A feed as declared in TOML: its columns, its forms, and its link to jobs."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Flag, Identifier, Name, Sql, Table, known_zone

ROW_ID = "row_id"
MAX_AMOUNT = Decimal(1_000_000)  # per cell: more is a phone number or id in the wrong column, unless the rules allow it


def _several(headers: tuple[str, ...]) -> tuple[str, ...]:
    if len(headers) == 1:
        msg = 'names one header; join two or more, such as ["Date", "Time"], or use from'
        raise ValueError(msg)
    return headers


Headers = tuple[Annotated[str, StringConstraints(min_length=1)], ...]
Joined = Annotated[Headers, AfterValidator(_several)]
Scale = Annotated[int, NumberRange(Decimal(1), Decimal(10**9), decimals=0, unit="scale")]
ConstantText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Limit = Annotated[Decimal, NumberRange(Decimal("0.01"), Decimal(9_999_999_999), decimals=2, unit="amount")]


class ColumnType(StrEnum):
    """The type of a column of an export."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    TIMESTAMP = "timestamp"
    DATE = "date"
    MONTH = "month"
    DURATION = "duration"
    PHONE = "phone"
    BOOLEAN = "boolean"
    SHARE = "share"
    CURRENCY = "currency"


class Column(Table):
    """A column of a feed: read from the first of its headers that the file has, or derived by an SQL expression.

    ``required``: the file must have the header, and cells of any type but text must not be blank unless
    ``blank = true``. ``decimal = ","``: amounts are written 1.234,56. ``zone``: the zone of times without an offset, if
    not the business's. ``range = true``: a month may come from the date range above the header if the file has no
    column for it. ``default`` replaces a blank text. ``join``: headers whose cells are joined by a space, such as a
    date and a time. ``scale``: amounts are whole numbers of this fraction of a unit (100: cents). ``minus``: the header
    of an amount to subtract, such as a refund. ``values``: maps an export's words to the feed's, ignoring case.
    ``constant``: the same text in every row. ``most``: amounts beyond it, positive or negative, are rejected; a million
    by default for money columns. A column of type ``currency`` holds the row's currency code: rows in a currency other
    than the business's are rejected.
    """

    type: ColumnType
    from_: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(default=(), alias="from")
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] = ()
    required: Flag = False
    publish: Flag = True
    sql: Sql | None = None
    decimal: Literal[".", ","] = "."
    blank: Flag = False
    zone: str | None = None
    default: str | None = None
    range: Flag = False
    join: Joined = ()
    scale: Scale = 1
    most: Limit | None = None
    minus: Headers = ()
    values: dict[str, str] = Field(default_factory=dict)
    constant: ConstantText | None = None
    comment: str = ""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @model_validator(mode="before")
    @classmethod
    def _usual_limit(cls, value: Any) -> Any:
        if isinstance(value, dict) and "most" not in value and value.get("type") == "money":
            return {**value, "most": MAX_AMOUNT}
        return value

    @model_validator(mode="after")
    def _source_of_values(self) -> "Column":
        if self.most is not None and self.type is not ColumnType.MONEY:
            msg = 'most requires type = "money"'
            raise ValueError(msg)
        if self.sql is not None and (self.from_ or self.join or self.constant or self.required or self.formats):
            msg = "a derived column (sql) has no from, join, constant, formats or required"
            raise ValueError(msg)
        if sum(map(bool, (self.from_, self.join, self.constant))) > 1:
            msg = "a value has one origin: keep only one of from, join and constant"
            raise ValueError(msg)
        if self.sql is None and not (self.from_ or self.join or self.constant):
            msg = 'declare the origin of the value: from = ["Header", ...] or sql = "..."'
            raise ValueError(msg)
        return self


class JobLink(Table):
    """The column that names a job, and the job columns it is looked up in, in order."""

    column: Identifier
    match: Annotated[tuple[Identifier, ...], Field(min_length=1)]


class When(Table):
    """The files of a feed that a variant reads: every given condition must hold.

    ``headers``: all are present. ``any``: at least one is present. ``without``: none is present. ``files``: the file
    name matches one of the globs. A bare list means ``headers``, a bare string a glob.
    """

    headers: Headers = ()
    any: Headers = ()
    without: Headers = ()
    files: Headers = ()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"files": [value]}
        return {"headers": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _require_condition(self) -> "When":
        if not (self.headers or self.any or self.files):
            msg = 'must select files: when = ["Header", ...], or { headers, any, without, files }'
            raise ValueError(msg)
        return self


class VariantColumn(Table):
    """The differences of a column in a variant; an absent key keeps the value of the feed's column."""

    from_: Headers | None = Field(default=None, alias="from")
    join: Joined | None = None
    constant: ConstantText | None = None
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] | None = None
    required: Flag | None = None
    blank: Flag | None = None
    default: str | None = None
    decimal: Literal[".", ","] | None = None
    zone: str | None = None
    scale: Scale | None = None
    minus: Headers | None = None
    values: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, list) else value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @model_validator(mode="after")
    def _require_one_origin(self) -> "VariantColumn":
        if sum(map(bool, (self.from_, self.join, self.constant))) > 1:
            msg = "a value has one origin: keep only one of from, join and constant"
            raise ValueError(msg)
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The given keys, by their names in ``Column``."""
        return {n: v for n in type(self).model_fields if (v := getattr(self, n)) is not None}


class Variant(Table):
    """Another form of the same export, from another program or another account.

    ``zone`` and ``formats`` apply to all dates, ``decimal`` to all numbers, ``scale`` to all amounts, ``join`` to the
    feed's ``date``; a column's own keys take precedence. ``identity``, ``one_of`` and ``without`` replace the feed's.
    Types, key and published columns are the feed's: all variants share one table.
    """

    name: Name | None = None
    when: When
    zone: str | None = None
    decimal: Literal[".", ","] | None = None
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] | None = None
    scale: Scale | None = None
    join: Joined | None = None
    identity: tuple[Identifier, ...] | None = None
    one_of: tuple[Identifier, ...] | None = None
    without: Headers | None = None
    columns: dict[Identifier, VariantColumn] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """Hashes some of the compared fields, as dicts have no hash: variants are arguments of cached functions."""
        return hash((self.name, self.when.headers, tuple(self.columns)))

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)


class Feed(Table):
    """One kind of export.

    ``key``: the newest export wins per key. ``identity``: the columns that identify a row if the key column is blank or
    missing; the key is then a hash of them plus the occurrence within the file. ``repeats = "sum"``: rows that repeat a
    key within a file are parts of one amount and are summed. ``publish_by``: the grain published in Postgres.
    ``one_of``: columns of which the file must have at least one. ``needs``: columns of which a row must have at
    least one; rows without any are totals or remarks. ``without``: headers that identify another kind of file.
    ``distinctive``: headers of which one must be present unless the file name matches. ``refuse``: headers that make a
    file unusable, each with the reason. ``variants``: other forms of the export, read into the same table.
    """

    files: tuple[Annotated[str, StringConstraints(min_length=1)], ...]
    date: Identifier
    key: tuple[Identifier, ...] = ()
    identity: tuple[Identifier, ...] = ()
    local_date: Identifier | None = None
    where: Sql | None = None
    repeats: Literal["newest", "sum"] = "newest"
    publish_by: tuple[Identifier, ...] = ()
    job: JobLink | None = None
    one_of: tuple[Identifier, ...] = ()
    needs: tuple[Identifier, ...] = ()
    without: tuple[str, ...] = ()
    distinctive: tuple[str, ...] = ()
    refuse: dict[str, str] = Field(default_factory=dict)
    encoding: str | None = None
    comment: str = ""
    columns: dict[Identifier, Column]
    variants: tuple[Variant, ...] = ()

    def __hash__(self) -> int:
        """Hashes some of the compared fields, as dicts have no hash: feeds are arguments of cached functions."""
        return hash((self.files, self.key, self.date, tuple(self.columns)))

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key of a typed row: as declared, or the generated id for feeds without a key."""
        return self.key or (ROW_ID,)

    @property
    def mapped(self) -> dict[str, Column]:
        """The columns read from the export, in declared order."""
        return {n: c for n, c in self.columns.items() if c.sql is None}

    @property
    def derived(self) -> dict[str, Column]:
        """The columns computed from the mapped ones."""
        return {n: c for n, c in self.columns.items() if c.sql is not None}

    def variant_name(self, index: int) -> str:
        """Returns the name of a variant in messages."""
        return self.variants[index].name or f"variant {index + 1}"

    @property
    def business_date(self) -> str:
        """The column with the row's business day, for conditions, tables and screens."""
        if self.local_date is not None:
            return self.local_date
        if self.columns[self.date].type is not ColumnType.TIMESTAMP:
            return self.date
        return self.date.removesuffix("_at") + "_date"
