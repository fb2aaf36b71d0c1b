from __future__ import annotations

import ast
import gc
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from grader.documents import (
    MAX_BYTES,
    Problem,
    SourceFile,
    YamlDocument,
    parse_ini,
    parse_json,
    parse_python,
    parse_toml,
    parse_yaml,
)


def source(root: Path, content: bytes, name: str = "file") -> SourceFile:
    (root / name).write_bytes(content)
    return SourceFile(root, PurePosixPath(name))


def bomb() -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "not valid YAML: while parsing a flow sequence did not find expected ',' or ']'"),
        ("a: &a [*a]", "not valid YAML: its aliases repeat or nest without end"),
        (bomb(), "not valid YAML: its aliases repeat or nest without end"),
        ("[" * 3000, "not valid YAML: it is nested too deeply"),
        ("a: 2024-99-99", "not valid YAML: month must be in 1..12"),
        ("- " * 50_000 + "x", "not valid YAML: it is nested too deeply"),
        ("- a\n" * 200_000, "not valid YAML: it has too many values"),
        ("a: 0x" + "f" * 5000, "not valid YAML: it has a number of more than 100 digits"),
        ("0x" + "f" * 200 + ": a", "not valid YAML: it has a number of more than 100 digits"),
        ("? [0x" + "f" * 101 + "]\n: a", "not valid YAML: it has a number of more than 100 digits"),
        ("a: 1" + ":59" * 50, "not valid YAML: it has a number of more than 100 digits"),
        ("a: 1" + "0" * 400 + ".0", "not valid YAML: it has a number of more than 100 digits"),
        ("a: !!bool maybe", "not valid YAML: a tag does not fit the value behind it"),
        ("a: !!int ''", "not valid YAML: a tag does not fit the value behind it"),
        ("a: !!timestamp never", "not valid YAML: a tag does not fit the value behind it"),
        ("a: !!float x", "not valid YAML: could not convert string to float"),
        ("a: \0", "not valid YAML: unacceptable character #x0000"),
        ("a: \ud800", "not valid YAML: 'utf-8' codec can't encode character"),
        ('a: "\\ud800"', "not valid YAML: while parsing a quoted scalar"),
        ("{[1]: 2}", "not valid YAML: while constructing a mapping found unhashable key"),
    ],
)
def test_broken_yaml_is_a_problem(text: str, problem: str) -> None:
    read = parse_yaml(text, "f.yaml")
    assert isinstance(read, Problem)
    assert read.message.startswith(problem[:40])


def test_unknown_tags_are_never_constructed() -> None:
    read = parse_yaml("!!python/object/apply:os.system [id]", "f.yaml")
    assert isinstance(read, Problem)
    assert read.where == "f.yaml:1"


def test_lines_follow_aliases_and_merges() -> None:
    text = "base: &base\n  one: 1\nuse:\n  <<: *base\n  two:\n    - 3\n"
    (document,) = _documents(text)
    assert document.data["use"] == {"one": 1, "two": [3]}
    assert [document.line("use", "one"), document.line("use", "two", 0), document.line("use", "none")] == [
        2,
        6,
        3,
    ]


def test_merges_that_double_are_a_problem() -> None:
    lines = ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
    assert isinstance(parse_yaml("\n".join(lines), "f.yaml"), Problem)


def test_tags_of_the_type_repository_give_plain_data() -> None:
    (document,) = _documents("a: !!binary aGk=\nb: !!set {x, y}\nc: !!omap [k: 1]\nd: =\n")
    assert document.data == {"a": "hi", "b": {"x": None, "y": None}, "c": [{"k": 1}], "d": "="}


def test_a_problem_does_not_quote_the_whole_text() -> None:
    read = parse_yaml("!!" + "x" * 100_000, "f.yaml")
    assert isinstance(read, Problem)
    assert len(read.message) < 400


def test_duplicate_keys_are_told_with_their_line() -> None:
    (document,) = _documents("a: 1\nb: 2\na: 3\n")
    assert document.duplicates == (("a", 3),)


def test_only_some_of_endless_duplicates_are_told() -> None:
    (document,) = _documents("a:\n" * 20_000)
    assert len(document.duplicates) == 20


def test_several_documents_and_empty_ones() -> None:
    assert [document.data for document in _documents("---\n---\na: 1\n---\nb: 2\n")] == [{"a": 1}, {"b": 2}]


def test_on_is_true_in_yaml_1_1_and_a_word_in_1_2(tmp_path: Path) -> None:
    file = source(tmp_path, b"on: {push: yes}\n")
    assert isinstance(file.yaml, tuple)
    assert isinstance(file.yaml12, tuple)
    assert file.yaml[0].data == {True: {"push": True}}
    assert file.yaml12[0].data == {"on": {"push": "yes"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "the file is not text in UTF-8 (byte 0)"),
        (b"x" * (MAX_BYTES + 1), f"the file is too large to read ({MAX_BYTES + 1:,} bytes)"),
    ],
)
def test_what_is_no_text_is_a_problem_in_every_format(tmp_path: Path, content: bytes, message: str) -> None:
    file = source(tmp_path, content)
    expected = Problem("file", message)
    assert (file.text, file.toml, file.yaml, file.python) == (expected,) * 4


def test_a_file_that_went_away(tmp_path: Path) -> None:
    assert SourceFile(tmp_path, PurePosixPath("none")).text == Problem(
        "none", "the file cannot be read: No such file or directory"
    )


def test_byte_order_mark_and_windows_lines_are_no_matter(tmp_path: Path) -> None:
    assert source(tmp_path, b"\xef\xbb\xbfa = 1\r\n").toml == {"a": 1}


def test_broken_toml_and_python(tmp_path: Path) -> None:
    file = source(tmp_path, b"a = = 1\n")
    assert isinstance(file.toml, Problem)
    assert file.python == Problem("file", "not valid Python: invalid syntax", 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "1" * 5000, "it has a number of more than 100 digits"),
        ("a = 0x" + "f" * 5000, "it has a number of more than 100 digits"),
        ("a = [{b = [0o" + "7" * 5000 + "]}]", "it has a number of more than 100 digits"),
        (".".join("a" * 100_000) + " = 1", "it is nested too deeply"),
        ('"a" . ' * 100_000 + "a = 1", "it is nested too deeply"),
        ("a = " + "[" * 1000 + "]" * 1000, "it is nested too deeply"),
        ("a = " + "[" * 150 + "]" * 150, "it is nested too deeply"),
        ("a = " + "{a = " * 500 + "1" + "}" * 500, "it is nested too deeply"),
    ],
)
def test_toml_that_is_too_much_is_a_problem(text: str, problem: str) -> None:
    assert parse_toml(text, "f.toml") == Problem("f.toml", f"not valid TOML: {problem}")


def test_long_honest_toml_is_read() -> None:
    text = "".join(f"[[package]]\nname = 'a.b.c'\nsize = {n}\n" for n in range(30_000))
    read = parse_toml(text, "uv.lock")
    assert isinstance(read, dict)
    assert len(read["package"]) == 30_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * 150 + ")" * 150 + "+1" * 4000, "it is nested too deeply"),
        ("1" + "+1" * 500_000, "it is too long"),
        ("1" + "+1" * 50_000, "it is nested too deeply"),
        ("not " * 50_000 + "x", "it is nested too deeply"),
        ("a" + ".b" * 1000, "it is nested too deeply"),
        ("if a: pass\n" + "elif b: pass\n" * 10_000, "it is nested too deeply"),
        ("x = f'" + "{a}" * 100_000 + "'", "it is too long"),
        ("x = 0x" + "f" * 5000, "it has a number of more than 100 digits"),
    ],
)
def test_python_that_is_too_much_is_a_problem(text: str, problem: str) -> None:
    assert parse_python(text, "f.py") == Problem("f.py", f"cannot be read as Python: {problem}")


def test_the_parser_itself_refuses_nul_and_endless_digits() -> None:
    assert isinstance(parse_python("a\0", "f.py"), Problem)
    assert isinstance(parse_python("a = " + "1" * 5000, "f.py"), Problem)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 500 + "]" * 500, '{"a":' * 300 + "1" + "}" * 300, "{", "\0"]
)
def test_json_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_numbers_of_json_that_are_too_long_are_infinite() -> None:
    assert parse_json("[1" + "0" * 400 + ", -1" + "0" * 5000 + ", 1e999, 12]") == [
        math.inf,
        -math.inf,
        math.inf,
        12,
    ]


def test_ini_files() -> None:
    assert isinstance(parse_ini("[a\n", "f.ini"), Problem)
    assert isinstance(parse_ini("x = 1\n", "f.ini"), Problem)
    parser = parse_ini("[a]\nb" + " " * 500_000 + "= 1\nc =\n  " + " " * 500_000 + "d\n", "f.ini")
    assert not isinstance(parser, Problem)
    assert dict(parser["a"]) == {"b": "1", "c": "\nd"}


def test_deeply_nested_python_is_a_problem(tmp_path: Path) -> None:
    assert isinstance(source(tmp_path, b"(" * 5000 + b")" * 5000).python, Problem)


def test_python_is_read_once(tmp_path: Path) -> None:
    file = source(tmp_path, b"x = '\\d'\n")
    assert isinstance(file.python, ast.Module)
    assert file.python is file.python


def _documents(text: str) -> tuple[YamlDocument, ...]:
    read = parse_yaml(text, "f.yaml")
    assert isinstance(read, tuple)
    return read


class Yields:
    """Garbage whose end lets other threads run."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(0)


def test_threads_parse_python_one_after_the_other() -> None:
    """CPython counts depths for all threads together: garbage collected on the way gave a SystemError."""
    text = "x = [" + ", ".join(["f(a, [b, {c: d}])"] * 100) + "]"

    def parse(number: int) -> type:
        Yields()
        return type(parse_python(f"{text}\ny = {number}", "a.py"))

    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(parse, range(200))) == [ast.Module] * 200
    finally:
        gc.set_threshold(*before)


def test_libraries_parse_python_one_after_the_other_too() -> None:
    """`packaging` reads the words of a marker by `ast.literal_eval`, which knows no lock of ours."""
    literal = "[" + ", ".join(["(1, [2, {3: 4}])"] * 100) + "]"
    text = "x = [" + ", ".join(["f(a, [b, {c: d}])"] * 100) + "]"

    def parse(number: int) -> bool:
        Yields()
        if number % 2:
            return isinstance(parse_python(f"{text}\ny = {number}", "a.py"), ast.Module)
        return len(ast.literal_eval(literal)) == 100

    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(parse, range(1000))) == [True] * 1000
    finally:
        gc.set_threshold(*before)
