from __future__ import annotations

import time

import pytest

from grader.report.safe import one_line, points, safe


@pytest.mark.parametrize(
    ("hostile", "clean"),
    [
        ("\x1b[2J\x1b]0;title\x07", "�[2J�]0;title�"),
        ("a\tb\r\nc", "a b�\nc"),
        ("\u202egnp.exe", "�gnp.exe"),
        ("name\udcff", "name�"),
        ("\x9b31m", "�31m"),
        ("\x9b31m\x90q\x9c\x9d8;;http://x\x9c", "�31m�q��8;;http://x�"),
        ("a\u200bb\xadc\ufeffd\u2060e", "a�b�c�d�e"),
        ("a\U000e0041\U000e01ef\u2028b", "a���b"),
        ("a\ufffeb\ufdd0c\U0001fffed\U0010ffff\U0010fffd", "a�b�c�d�\U0010fffd"),
        ("a\b\x7fb\0", "a��b�"),
        ("::error file=x::no", ": :error file=x::no"),
        ("  ::Set-Output name=x::1", "  : :Set-Output name=x::1"),
        ("a" * 110 + "::stop-commands::x", "a" * 110 + ": :stop-commands::x"),
        ("##[group]x ##vso[task.setvariable]y", "# #[group]x # #vso[task.setvariable]y"),
        ("##teamcity[x]", "# #teamcity[x]"),
        ("section_start:1:x\r", "section _start:1:x�"),
        ("tests/test_a.py::test_error PASSED [ 50%] std::vector", None),
        ("## Title\n:: a", None),
        ("héllo ✓ [bold]", "héllo ✓ [bold]"),
    ],
)
def test_nothing_steers_a_terminal_a_reader_or_a_service(hostile: str, clean: str | None) -> None:
    assert safe(hostile) == (hostile if clean is None else clean)


def test_long_text_keeps_both_ends() -> None:
    cut = safe("a" * 50 + "b" * 50, longest=20)
    assert cut == "a" * 10 + "\n… 80 characters left out …\n" + "b" * 10


def test_one_line_is_one_line() -> None:
    assert one_line("a\n  b\n" + "c" * 400, longest=10) == "a b ccccc…"


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2"), (1.5, "1.5"), (0.75, "0.75"), (0, "0"), (110, "110"), (10.0, "10")]
)
def test_points_as_people_write_them(value: float, text: str) -> None:
    assert points(value) == text


def test_megabytes_of_which_little_is_shown_cost_little() -> None:
    start = time.process_time()
    safe("\u202e::error::" * 1_000_000)
    assert time.process_time() - start < 0.1
