"""Records with their own checksum."""

import json
from hashlib import sha256

import pytest

from rmetrics.lake.files import sealed, unsealed

RECORD = {"name": 'Żółć \\ "record_sha256": "', "sizes": [1, 2, {"record_sha256": "no"}], "rate": 0.5, "none": None}


@pytest.mark.parametrize("record", [{}, {"a": 1}, RECORD])
def test_a_record_comes_back_as_it_was(record: dict[str, object]) -> None:
    assert unsealed(sealed(record)) == record


def test_every_changed_character_of_the_values_is_noticed() -> None:
    text = sealed(RECORD)
    values = text.rindex('"record_sha256"')
    for i in range(values):
        for other in ("x", "1", " ", '"'):
            if text[i] == other:
                continue
            with pytest.raises(ValueError, match=r"checksum|Expecting|Extra data|Invalid|Unterminated"):
                unsealed(text[:i] + other + text[i + 1 :])


def test_a_changed_checksum_is_noticed() -> None:
    text = sealed(RECORD)
    with pytest.raises(ValueError, match="checksum"):
        unsealed(text[:-3] + ("0" if text[-3] != "0" else "1") + text[-2:])


def test_a_record_of_an_earlier_version_is_still_read() -> None:
    values = json.dumps(RECORD, sort_keys=True)
    old = json.dumps({**RECORD, "record_sha256": sha256(values.encode()).hexdigest()}, ensure_ascii=False)
    assert unsealed(old) == RECORD
    with pytest.raises(ValueError, match="checksum"):
        unsealed(old.replace("0.5", "0.6"))


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError):
        unsealed("[]")
