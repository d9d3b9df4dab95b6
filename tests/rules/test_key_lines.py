"""The line of every key, quoted or not, in tables, arrays of tables and their subtables."""

from rmetrics.rules.files import key_lines

TEXT = """\
[sources.Google]   # bare
leads = "jobs"
cost.per_lead = 20.00
[sources."Tom \\"T.\\" O'Hara"]
'a b' = 1
[[jobs.segments]]
name = "x"
[jobs.segments.more] # of the first
y = 1
[[ jobs . segments ]]
name = "y"
[[feeds.payments.variants]]
[feeds.payments.variants.columns]
-z_9 = 1
[not a header
= 3
"""


def test_every_header_and_key_has_its_line() -> None:
    assert list(key_lines(TEXT)) == [
        ("sources.Google", 1), ("sources.Google.leads", 2), ("sources.Google.cost.per_lead", 3),
        ('sources.Tom "T." O\'Hara', 4), ('sources.Tom "T." O\'Hara.a b', 5),
        ("jobs.segments", 6), ("jobs.segments.0", 6), ("jobs.segments.0.name", 7),
        ("jobs.segments.0.more", 8), ("jobs.segments.0.more.y", 9),
        ("jobs.segments.1", 10), ("jobs.segments.1.name", 11),
        ("feeds.payments.variants", 12), ("feeds.payments.variants.0", 12),
        ("feeds.payments.variants.0.columns", 13), ("feeds.payments.variants.0.columns.-z_9", 14),
    ]  # fmt: skip
