import random

import pytest

from grader.readers.shell.parser import Command, commands, script_file


def _programs(script: str, **known: str) -> list[tuple[str, ...]]:
    return [(command.program, *command.arguments) for command in commands(script, known)]


@pytest.mark.parametrize(
    "script",
    [
        "",
        "'open",
        '"open $(',
        "((((",
        "))))",
        "&& || ; |",
        "<<",
        "<<EOF",
        "if then else",
        "$(" * 500,
        "sh -c " * 100,
        "A=$A$A\n" * 100,
        "a |" * 2000,
        "\\",
        "`",
        "${",
        "sudo -u",
        "python -m",
        "timeout",
        "\0\x1b",
    ],
)
def test_no_text_breaks_it(script: str) -> None:
    assert isinstance(commands(script), tuple)


def test_no_mixture_breaks_it() -> None:
    generator = random.Random(1)
    letters = "ab \n'\"$(){}`;&|<>#\\=-E1\t"
    for _ in range(2000):
        commands("".join(generator.choice(letters) for _ in range(generator.randint(0, 60))))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a && b || c; d | e & f", ["a", "b", "c", "d", "e", "f"]),
        ("a \\\n  b", ["a b"]),
        ("# no\na # no\nb#c", ["a", "b#c"]),
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("for x in 1 2; do a $x; done", ["a $x"]),
        ("while ! a; do b; done", ["a", "b"]),
        ("( a; { b; } )", ["a", "b"]),
        ("f() { a; }", ["a"]),
        ("a > x 2>&1 < y", ["a"]),
        ("a <<E && b\nno\nE\nc", ["a", "b", "c"]),
        ("a <<-'E'\n\tno\n\tE\nc", ["a", "c"]),
        ("a $(b c)", ["b c", "a $(b c)"]),
        ("x=$(b)", ["b"]),
        ("sh -c 'a && b'", ["a", "b", "sh -c a && b"]),
        ("bash -euo pipefail -c 'a'", ["a", "bash -euo pipefail -c a"]),
        ("sh <<E\na\nE", ["a", "sh"]),
        ("eval 'a b'", ["a b", "eval a b"]),
        ("nix-shell --pure --run 'a; b'", ["a", "b", "nix-shell --pure --run a; b"]),
        ("su me -c 'a b'", ["a b", "su me -c a b"]),
        ("script -qec 'a' /dev/null", ["a", "script -qec a /dev/null"]),
        ("a \"b c\" 'd e' f\\ g", ["a b c d e f g"]),
    ],
)
def test_commands(script: str, expected: list[str]) -> None:
    assert [" ".join(words) for words in _programs(script)] == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("FOO=1 pytest -q", ("pytest", "-q")),
        ("sudo -E -u me pytest", ("pytest",)),
        ("env A=b pytest", ("pytest",)),
        ("/opt/venv/bin/pytest", ("pytest",)),
        ("poetry run pytest -x", ("pytest", "-x")),
        ("poetry -C app run pytest", ("pytest",)),
        ("uv run --with pytest-cov --frozen pytest", ("pytest",)),
        ("uv run -m pytest", ("pytest",)),
        ("uv run src/train.py", ("python", "src/train.py")),
        ("uvx --from black black .", ("black", ".")),
        ("uvx ruff@0.8 check", ("ruff", "check")),
        ("uv tool run ruff@latest check", ("ruff", "check")),
        ("pipx run black==24.10.0 .", ("black", ".")),
        ("nix develop .#ci --command pytest -q", ("pytest", "-q")),
        ("nix shell nixpkgs#ruff -c ruff check", ("ruff", "check")),
        ("nix build -c x", ("nix", "build", "-c", "x")),
        ("direnv exec . pytest", ("pytest",)),
        ("aws-vault exec -d 1h dev -- pytest -q", ("pytest", "-q")),
        ("flock -w 5 /tmp/lock pytest", ("pytest",)),
        ("conda run -n env pytest", ("pytest",)),
        ("python3.11 -W error -m pytest -q", ("pytest", "-q")),
        ("python -mpytest", ("pytest",)),
        ("python3 -u a.py", ("python", "-u", "a.py")),
        ("python -c 'x'", ("python", "-c", "x")),
        ("pip3.11 install a", ("pip", "install", "a")),
        ("timeout -k 5 10m pytest", ("pytest",)),
        ("exec nohup nice -n 5 pytest", ("pytest",)),
        ("ls | xargs -n 1 pytest", ("pytest",)),
        ("py.test", ("pytest",)),
        ("uv pip install a", ("uv", "pip", "install", "a")),
    ],
)
def test_wrappers_are_taken_off(script: str, expected: tuple[str, ...]) -> None:
    assert _programs(script)[-1] == expected


def test_a_module_is_told_from_a_program() -> None:
    assert [command.module for command in commands("python -m src.train\nsrc.train")] == [True, False]


def test_variables() -> None:
    assert _programs("I=x/y\nA='b c'\nrun $I $A \"$A\" '$A' ${N:-d} $U", U="u")[-1] == (
        *("run", "x/y", "b", "c", "b c", "$A", "d", "u"),
    )
    assert _programs("I=$(id -u)\nA=\"-x $(id (-g)) `a b`  y\"\nrun '['$I']' $A")[-1] == (
        *("run", "[$(id -u)]", "-x", "$(id (-g))", "`a b`", "y"),
    )
    assert _programs("run ${{ github.sha || 'a b' }} $K")[0][1:] == ("${{ github.sha || 'a b' }}", "$K")


def test_environment() -> None:
    exported, prefixed = commands("export A=1\nB=2 run\n")[1], commands("env C=3 run")[0]
    assert exported.environment == {"A": "1", "B": "2"}
    assert prefixed.environment == {"C": "3"}


@pytest.mark.parametrize(
    ("script", "ignored"),
    [
        ("a", False),
        ("a || true", True),
        ("a && b || :", True),
        ("a || echo failed", True),
        ("a || exit 1", False),
        ("a || exit 0", True),
        ("a || { echo no; exit 1; }", False),
        ("( a ) || true", True),
        ("a ||\n  true", True),
        ("a &", True),
        ("a; b || true", False),
        ("a || b", True),
        ("sh -c a || true", True),
    ],
)
def test_ignored_failures(script: str, *, ignored: bool) -> None:
    found = next(command for command in commands(script) if command.program == "a")
    assert found.failure_ignored is ignored


def test_pipes_lines_and_heredocs() -> None:
    found = commands("a |\n b\n\nc <<E\nbody\nE\nd")
    assert [(each.program, each.line, each.stdin) for each in found] == [
        ("a", 1, ""),
        ("b", 2, ""),
        ("c", 4, "body"),
        ("d", 7, ""),
    ]


def test_options() -> None:
    command = Command((), "trivy", ("image", "--severity=HIGH", "--exit-code", "1", "--push=false", "--last"))
    assert command.option("--severity", "-s") == "HIGH"
    assert command.option("--exit-code") == "1"
    assert command.option("--none") is command.option("--last") is None
    assert command.has("--severity")
    assert not command.has("--push")


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("bash -e scripts/a.sh x", "scripts/a.sh"),
        ("./scripts/a.sh", "./scripts/a.sh"),
        ("source env.sh", "env.sh"),
        ("bash -c 'a'", ""),
        ("/usr/bin/a", ""),
        ("a", ""),
    ],
)
def test_script_files(script: str, path: str) -> None:
    assert script_file(commands(script)[-1]) == path


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"])
def test_blanks_that_are_none_to_a_shell_are_parts_of_words(blank: str) -> None:
    [command] = commands(f"echo a{blank}b {blank}")
    assert command.arguments == (f"a{blank}b", blank)
