from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.cohort.exports.delimited import parse_table
from grader.errors import UsageError


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "f.csv is empty"),
        (b"\xef\xbb\xbf \r\n", "f.csv is empty"),
        (b"sep=;\r\n", "f.csv is empty"),
        (b"a,b\n1,2\n1\n", "f.csv:3 has 1 cells and the header 2"),
        (b'a,b\n"1\n2",3\n"1,2\n', "f.csv:4 has a quote that does not end where a cell does"),
        (b'a,b\n"1"x,2\n', "f.csv:2 has a quote that does not end"),
        (b"PK\x03\x04\x00\x00", "f.csv is no table in text"),
        (b"\xff\xfea", "f.csv is not text in UTF-16-LE (byte 0)"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_table(data, "f.csv")
    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("cp1252"),
        lambda text: text.encode("utf-16"),
    ],
)
def test_only_the_cell_is_written(separator: str, newline: str, encode: object) -> None:
    assert callable(encode)
    lines = [
        ["id", "name", "grade"],
        ["1", '"Müller, ""J"""', ""],
        ["2", f'"a;b{newline}c\td"', '"3"'],
        ["3", " x ", "4"],
    ]
    text = newline.join(separator.join(cells) for cells in lines)
    table = parse_table(encode(text), "f")
    assert [record[1] for record in table.records] == ['Müller, "J"', f"a;b{newline}c\td", " x "]
    assert [record.line for record in table.records] == [2, 3, 5]
    assert table.written({}) == encode(text)
    lines[1][2], lines[2][2] = "85.5", '"7"'
    changes = {table.records[0].cells[2]: "85.5", table.records[1].cells[2]: "7"}
    assert table.written(changes) == encode(newline.join(separator.join(cells) for cells in lines))


def test_a_decimal_comma_is_put_in_quotes_where_commas_separate() -> None:
    table = parse_table(b"a,b\n1,\n", "f")
    assert table.written({table.records[0].cells[1]: "8,5"}) == b'a,b\n1,"8,5"\n'
    table = parse_table(b"sep=;\na;b\n1;\n", "f")
    assert table.written({table.records[0].cells[1]: "8,5"}) == b"sep=;\na;b\n1;8,5\n"


def test_quotes_as_php_writes_them() -> None:
    data = b'a,b\n"x\\"y, z",2\n'
    table = parse_table(data, "f")
    assert (table.records[0][1], table.written({})) == ("2", data)


@given(st.binary(max_size=60), st.sampled_from([b"", b"a,b\n", b'"a",b\r\n', b"\xef\xbb\xbf"]))
def test_whatever_is_read_is_written_again(data: bytes, before: bytes) -> None:
    try:
        table = parse_table(before + data, "f")
    except UsageError:
        return
    assert table.written({}) == before + data
