from __future__ import annotations

import pytest

from grader.readers.shell.containers import contained
from grader.readers.shell.parser import commands
from grader.readers.shell.pattern import parse_pattern


def problems(pattern: str, line: str) -> list[str | None]:
    """What the commands of a line make of a pattern; those of containers among them."""
    wanted = parse_pattern(pattern, ("--version", "--dry-run"), ("pip",), ("-n", "--tag", "-t"))
    found = [inner for command in commands(line) for inner in (command, *contained(command))]
    matches = [wanted.match(command) for command in found]
    return list(dict.fromkeys(None if match is None else match.problem for match in matches))


@pytest.mark.parametrize("text", ["", "  ", "*"])
def test_a_pattern_names_a_program(text: str) -> None:
    with pytest.raises(ValueError, match="names a program"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("docker buildx build --push", "docker buildx build --push=true ."),
        ("docker buildx build --push", "docker --context=x buildx --builder b build . --push"),
        ("docker buildx build --push", "docker buildx build --push=false --push ."),
        ("kubectl apply -f", "kubectl apply -fk8s/"),
        ("kubectl apply -f", "kubectl apply -Rf k8s/"),
        ("kubectl apply -f", "kubectl apply -f=k8s/"),
        ("kubectl apply *", "kubectl -n dev apply -f k8s/"),
        ("kubectl apply *", "kubectl -ndev apply -f - < x"),
        ("kubectl apply *", "kubectl apply --dry-run=none -f k8s/"),
        ("kubectl apply *", "kubectl apply -- k8s/"),
        ("pip install *", "python3.11 -m pip install pip x"),
        ("python -m pytest", "sudo env A=1 poetry run pytest -q"),
        ("pytest", "bash -c 'cd x && uv run pytest'"),
        ("pytest", "docker run --name x -itv a:b --rm image pytest"),
        ("pytest", "docker compose -f c.yml run --rm api python -m pytest"),
        ("pytest", "docker run --entrypoint pytest image -q"),
        ("pytest", "docker run $OPTIONS image pytest"),
        ("trivy image", "podman run -v a:b ghcr.io/aquasec/trivy:0.50 image x"),
    ],
)
def test_it_does_it(pattern: str, line: str) -> None:
    assert "" in problems(pattern, line)


@pytest.mark.parametrize(
    ("pattern", "line", "problem"),
    [
        ("docker buildx build --push", "docker buildx build --push=false .", None),
        ("docker buildx build --push", "docker buildx build --push --no-push .", None),
        ("docker build", "docker --context=prod run build .", None),
        ("docker build", "docker run image build", None),
        ("docker build", "docker help build", None),
        ("docker build *", "docker build -t x", "docker build lacks an argument"),
        ("kubectl apply", "kubectl -ndev get apply", None),
        ("kubectl apply", "kubectl -n apply get pods", None),
        (
            "kubectl apply",
            "kubectl apply --dry-run=server",
            "kubectl apply with --dry-run=server has no effect",
        ),
        ("pip install", "pip install 'pip>=24'", "pip install only applies to pip"),
        ("pytest", "command -v pytest", None),
        ("pytest", "docker run --name pytest postgres", None),
        ("pytest", "docker run -v pytest postgres -c x", None),
        ("pytest", "docker run", None),
        ("pytest", "echo pytest", None),
    ],
)
def test_it_does_not(pattern: str, line: str, problem: str | None) -> None:
    assert [each for each in problems(pattern, line) if each is not None] == [problem] * (problem is not None)
