from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.project.pyproject import metadata, requires
from grader.results import Finding, Outcome, Verdict, failed, passed
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path


def project(root: Path, text: str | bytes, **others: str) -> Outcome:
    context = make_context(root, {"pyproject.toml": text}, deliverables={"pyproject": "pyproject.toml"})
    return decide(metadata, context, file="pyproject", **others)


def needs(root: Path, text: str, package: str = "pandas", at_least: str = "2.1.0", **files: str) -> Outcome:
    named = {name.replace("_", ".", 1): content for name, content in files.items()}
    context = make_context(
        root, {"pyproject.toml": text, **named}, deliverables={"pyproject": "pyproject.toml"}
    )
    return decide(requires, context, file="pyproject", package=package, at_least=at_least)


def standard(*lines: str) -> str:
    listed = ",\n".join(f"  {line!r}" for line in lines)
    return f'[project]\nname = "x"\nversion = "1"\ndependencies = [\n{listed}\n]\n'


INVALID = {
    "not TOML": ("name = = 1", "not valid TOML"),
    "not UTF-8": (b"\xff\xfe\x00", "not text in UTF-8"),
    "empty": ("", "there is no project metadata"),
    "no version": ('[project]\nname = "x"', "version"),
    "no name": ('[project]\nversion = "1"', "name"),
    "bad version": ('[project]\nname = "x"\nversion = "latest"', "version"),
    "bad requirement": (
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["pandas >== 2"]',
        "dependencies",
    ),
    "project is no table": ('project = "x"', "project"),
    "version given twice over": ('[project]\nname = "x"\nversion = "1"\ndynamic = ["version"]', "version"),
    "build system without requires": (
        '[build-system]\nbuild-backend = "b"\n[project]\nname = "x"\nversion = "1"',
        "build-system",
    ),
    "Poetry without a version": ('[tool.poetry]\nname = "x"', "no valid version"),
    "Poetry with a strange name": ('[tool.poetry]\nname = "x y"\nversion = "1"', "no valid name"),
    "Poetry is no table": ("[tool]\npoetry = 3", "there is no project metadata"),
    "name is a list": ('[project]\nname = ["x"]\nversion = "1"', "name"),
}


@pytest.mark.parametrize(("text", "said"), INVALID.values(), ids=INVALID)
def test_invalid_metadata(tmp_path: Path, text: str | bytes, said: str) -> None:
    outcome = project(tmp_path, text)
    assert outcome.verdict is Verdict.FAILED
    assert said in outcome.findings[0].message


def test_a_value_that_is_not_valid_is_shown(tmp_path: Path) -> None:
    assert project(tmp_path, '[project]\nname = "x"\nversion = "latest"') == failed(
        Finding(
            message="the project metadata is invalid: `project.version` must be pep440",
            actual="'latest'",
            where="pyproject.toml",
        )
    )


VALID = {
    "PEP 621": '[project]\nname = "x"\nversion = "1"',
    "dynamic version": '[project]\nname = "x"\ndynamic = ["version"]',
    "Poetry": '[tool.poetry]\nname = "x"\nversion = "0.1.0-beta.1"',
    "both": '[project]\nname = "x"\nversion = "1"\n[tool.poetry]\npackage-mode = false',
    "a foreign table": '[project]\nname = "x"\nversion = "1"\n[black]\nline-length = 100',
    "a tool's own mistakes": '[project]\nname = "x"\nversion = "1"\n[tool.setuptools]\npackages = 3',
    "unknown classifiers": '[project]\nname = "x"\nversion = "1"\nclassifiers = ["Not :: A Classifier"]',
    "a byte order mark": '\ufeff[project]\nname = "x"\nversion = "1"',
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_metadata(tmp_path: Path, text: str) -> None:
    assert project(tmp_path, text) == passed()


def test_missing_file(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    assert decide(metadata, context, file="pyproject").verdict is Verdict.FAILED
    assert (
        decide(requires, context, file="pyproject", package="pandas", at_least="1").verdict is Verdict.FAILED
    )


WIDE = {
    "bare": "pandas",
    "lower floor": "pandas>=2.0",
    "just above a lower release": "pandas>2.0",
    "compatible from lower": "pandas~=2.0",
    "upper bound only": "pandas<3",
    "exclusion only": "pandas!=2.0.3",
    "older": "pandas==1.5.3",
    "older wildcard": "pandas==2.*",
    "nothing left": "pandas>=2.1,<2.1",
    "below the floor alone": "pandas>=1,<2",
    "URL": "pandas @ https://example.org/pandas-2.2.0.tar.gz",
    "another package": "pandas-stubs>=2.1",
    "for another platform": 'pandas>=2.1; sys_platform == "win32"',
    "for an extra": 'pandas>=2.1; extra == "all"',
}


@pytest.mark.parametrize("line", WIDE.values(), ids=WIDE)
def test_requirement_below_the_floor(tmp_path: Path, line: str) -> None:
    assert needs(tmp_path, standard(line)).verdict is Verdict.FAILED


NARROW = {
    "floor": ">=2.1",
    "floor in full": ">=2.1.0",
    "compatible": "~=2.2",
    "compatible patch": "~=2.1.0",
    "exact": "==2.3.1",
    "exact floor": "==2.1.0",
    "arbitrary": "===2.2.0",
    "bounded": ">=2.1,<3",
    "above": ">2.1",
    "with exclusions": ">=2.0,!=2.0.*",
    "wildcard": "==2.2.*",
    "extras": "[performance]>=2.1",
    "spaces": " >= 2.1 , < 3.0 ",
    "parentheses": "(>=2.1)",
    "true marker": ">=2.1; python_version >= '3.9'",
    "next major": ">=3",
}


@pytest.mark.parametrize("specifier", NARROW.values(), ids=NARROW)
def test_requirement_above_the_floor(tmp_path: Path, specifier: str) -> None:
    assert needs(tmp_path, standard("pandas" + specifier)) == passed()


@pytest.mark.parametrize("name", ["scikit_learn", "Scikit.Learn", "scikit-learn"])
def test_names_are_normalised(tmp_path: Path, name: str) -> None:
    assert needs(tmp_path, standard(f"{name}>=1.3"), "scikit-learn", "1.3.0") == passed()


def test_a_line_for_another_python_says_nothing(tmp_path: Path) -> None:
    lines = ("pandas>=2.1; python_version >= '3.9'", "pandas>=1.5; python_version < '3.9'")
    assert needs(tmp_path, standard(*lines)) == passed()


def test_the_finding_names_a_version_and_the_line(tmp_path: Path) -> None:
    assert needs(tmp_path, standard("numpy", "pandas>=1.5")) == failed(
        Finding(
            message="versions below 2.1.0 are allowed, such as 1.5",
            expected="pandas>=2.1.0",
            actual="pandas>=1.5",
            where="pyproject.toml:6",
        )
    )


ELSEWHERE = {
    "extra": '[project]\nname = "x"\nversion = "1"\n[project.optional-dependencies]\nml = ["pandas>=2.1"]',
    "group": '[project]\nname = "x"\nversion = "1"\n[dependency-groups]\nml = ["pandas>=2.1"]',
    "Poetry group": '[tool.poetry.group.dev.dependencies]\npandas = "^2.1"',
    "Poetry dev": '[tool.poetry.dev-dependencies]\npandas = "^2.1"',
    "Poetry optional": '[tool.poetry.dependencies]\npandas = {version = "^2.1", optional = true}',
}


@pytest.mark.parametrize("text", ELSEWHERE.values(), ids=ELSEWHERE)
def test_not_a_runtime_dependency(tmp_path: Path, text: str) -> None:
    assert needs(tmp_path, text).verdict is Verdict.FAILED


def test_a_line_that_does_not_hold_is_named_as_such(tmp_path: Path) -> None:
    assert needs(tmp_path, standard('pandas>=2.1; sys_platform == "win32"')) == failed(
        Finding(
            message="pandas is not among the runtime dependencies, only with a marker that is false"
            " on the exam's Python",
            expected="pandas>=2.1.0",
            where="pyproject.toml:5",
        )
    )


def poetry_table(entry: str) -> str:
    return f'[tool.poetry]\nname = "x"\nversion = "1"\n[tool.poetry.dependencies]\n{entry}\n'


@pytest.mark.parametrize(
    "entry",
    [
        'pandas = "^2.1"',
        'pandas = "~2.1"',
        'Pandas = ">=2.1 <3.0"',
        'pandas = "2.2.*"',
        'pandas = ">=2.1.*"',
        'pandas = "2.x, >=2.1"',
        'pandas = "2.2.0"',
        'pandas = "~=2.2"',
        'pandas = "^2.1 || ^3.0"',
        'pandas = {version = "^2.1", extras = ["performance"]}',
        'pandas = [{version = "^2.1", python = ">=3.9"}, {version = "^1.5", python = "<3.9"}]',
        'pandas = [{version = "^2.1"}, {version = "^1.5", markers = "sys_platform == \'win32\'"}]',
    ],
)
def test_poetry_above_the_floor(tmp_path: Path, entry: str) -> None:
    assert needs(tmp_path, poetry_table(entry)) == passed()


@pytest.mark.parametrize(
    "entry",
    [
        'pandas = "*"',
        'pandas = ""',
        'pandas = "^2.0"',
        'pandas = "~2"',
        'pandas = "^1.5 || ^2.1"',
        'pandas = "2.0.3"',
        'pandas = "newest"',
        'pandas = {git = "https://example.org/pandas.git"}',
        "pandas = 2",
        "pandas = [[1], 2]",
        f'pandas = "^{"9" * 5000}"',
    ],
)
def test_poetry_below_the_floor(tmp_path: Path, entry: str) -> None:
    assert needs(tmp_path, poetry_table(entry)).verdict is Verdict.FAILED


def test_the_standard_table_decides_over_poetry(tmp_path: Path) -> None:
    text = standard("pandas>=1.5") + '[tool.poetry.dependencies]\npandas = "^2.1"\n'
    assert needs(tmp_path, text).verdict is Verdict.FAILED


@pytest.mark.parametrize("value", ['"requirements.txt"', '["requirements.txt"]'])
def test_dependencies_from_a_file(tmp_path: Path, value: str) -> None:
    text = (
        '[project]\nname = "x"\nversion = "1"\ndynamic = ["dependencies"]\n'
        f"[tool.setuptools.dynamic]\ndependencies = {{file = {value}}}\n"
    )
    assert needs(tmp_path, text, requirements_txt="# ours\npandas>=2.1\n") == passed()
    assert needs(tmp_path, text, requirements_txt="pandas>=2.0\n") == failed(
        Finding(
            message="versions below 2.1.0 are allowed, such as 2.0",
            expected="pandas>=2.1.0",
            actual="pandas>=2.0",
            where="requirements.txt:1",
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "project = 1",
        "[project]\ndependencies = 'pandas'",
        "[project]\ndependencies = [1, ['pandas'], {a = 1}]",
        "[tool]\npoetry = []",
        "[tool.poetry]\ndependencies = ['pandas']",
        "tool = 1",
        "[[project]]\nname = 'x'",
        "[project.optional-dependencies]\nx = 1\ny = [1]",
        "dependency-groups = 4",
        f"[project]\ndependencies = ['pandas>={'9' * 5000}']",
        f"[project]\ndependencies = ['pandas=={'9' * 4000}.*']",
        f"[project]\ndependencies = ['pandas>={'9' * 4500}']",
        "[tool.setuptools.dynamic]\ndependencies = {file = ['../../etc/passwd', 7]}",
    ],
)
def test_wrong_types_are_no_crash(tmp_path: Path, text: str) -> None:
    assert needs(tmp_path, text).verdict is Verdict.FAILED
    assert project(tmp_path, text).verdict is Verdict.FAILED
