from __future__ import annotations

import pytest

from grader.readers.requirements import Line, parse_requirements


def test_a_file_of_endless_lines_is_not_read_to_its_end() -> None:
    lines = parse_requirements("a\n" * 10_002)
    assert len(lines) == 10_001
    assert lines[-1] == Line(
        number=10_001, raw="a", error="it comes after 10,000 lines, which are all that is read"
    )


def only(text: str) -> Line:
    (line,) = parse_requirements(text)
    return line


@pytest.mark.parametrize(
    "text",
    [
        "===",
        "six == ",
        "six=1.16",
        "a b c",
        "@",
        "six; python_version",
        "[]",
        "-",
        "\0",
        "((((" * 5000,
        "six; " + "(" * 20_000 + "os_name == 'a'" + ")" * 20_000,
        "six; " + "(" * 60 + "os_name == 'a'" + ")" * 60,
        "six>=" + "1." * 100_000,
        "six>=1,<<2",
    ],
)
def test_nonsense_is_an_error_and_no_crash(text: str) -> None:
    line = only(text)
    assert line.error
    assert line.requirement is None
    assert line.pin is None
    assert line.name == ""


def test_nothing_is_nothing() -> None:
    assert parse_requirements("\ufeff\r\n# only a comment\n\n   \n\\\n") == ()


def test_hashes_continue_over_lines_and_comments_are_dropped() -> None:
    text = """\
# made by a tool
Scikit_Learn[extra]==1.5.2 \\
    --hash=sha256:aa \\
    --hash sha256:bb
    # via
    #   nobody
six==1.16.0  # pinned
"""
    first, second = parse_requirements(text)
    assert (first.number, first.name, first.pin, first.hashes) == (
        2,
        "scikit-learn",
        "1.5.2",
        ("sha256:aa", "sha256:bb"),
    )
    assert (second.number, second.raw, second.pin) == (7, "six==1.16.0", "1.16.0")


def test_a_comment_ends_a_continuation_as_in_pip() -> None:
    lines = parse_requirements("six==1.16.0 \\\n# why\nattrs==24.1.0\n")
    assert [line.raw for line in lines] == ["six==1.16.0", "attrs==24.1.0"]


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("six==1.16.0", "1.16.0"),
        ("six (==1.16.0)", "1.16.0"),
        ("six===1.16.0", "1.16.0"),
        ("six==1.16.*", None),
        ("six>=1.16.0", None),
        ("six==1.16.0,!=1.15", None),
        ("six", None),
        ("six @ https://example.org/six-1.16.0-py3-none-any.whl", None),
    ],
)
def test_only_one_exact_version_is_a_pin(text: str, pin: str | None) -> None:
    line = only(text)
    assert line.error is None
    assert line.pin == pin


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("-r other.txt", "-r", "other.txt"),
        ("-rother.txt", "-r", "other.txt"),
        ("--constraint=pins.txt", "--constraint", "pins.txt"),
        ("--index-url https://example.org/index", "--index-url", "https://example.org/index"),
        ("--no-index", "--no-index", ""),
    ],
)
def test_options(text: str, option: str, value: str) -> None:
    line = only(text)
    assert (line.option, line.value, line.reference, line.error) == (option, value, None, None)


@pytest.mark.parametrize(
    ("text", "reference", "local"),
    [
        ("-e .", ".", True),
        (".[dev]", ".[dev]", True),
        ("-e file:///home/me/project", "file:///home/me/project", True),
        ("--editable git+https://example.org/x.git#egg=x", "git+https://example.org/x.git#egg=x", False),
        (
            "mine @ file:///me/mine-1.0-py3-none-any.whl",
            "file:///me/mine-1.0-py3-none-any.whl",
            True,
        ),
        ("./wheels/mine-1.0-py3-none-any.whl", "./wheels/mine-1.0-py3-none-any.whl", True),
        ("mine-1.0.tar.gz", "mine-1.0.tar.gz", True),
        ("https://example.org/mine-1.0.tar.gz", "https://example.org/mine-1.0.tar.gz", False),
    ],
)
def test_references(text: str, reference: str, local: bool) -> None:
    line = only(text)
    assert (line.reference, line.local, line.pin, line.error) == (reference, local, None, None)


@pytest.mark.parametrize(
    ("text", "itself"),
    [
        *(("-e .", True), ("-e ./", True), ("--editable=.[dev, test]", True), (".", True), (".[dev]", True)),
        *(("-e ..", False), ("-e ./lib", False), ("-e file:///home/me/project", False), ("six==1.0", False)),
    ],
)
def test_the_project_itself(text: str, itself: bool) -> None:
    assert only(text).itself is itself


def test_markers_are_evaluated_for_the_environment_asked_about() -> None:
    line = only("pywin32==306 ; sys_platform == 'win32'")
    assert not line.applies({"sys_platform": "linux"})
    assert line.applies({"sys_platform": "win32"})
    assert only("six==1.16.0").applies()
    assert only("six==1.16.0 ; os_name ~= 'posix'").applies()
