"""One line, one verdict: in a recipe, a workflow, the script that an image starts, a hook and a README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from grader.checks.dockerfile import facts as dockerfile_facts
from grader.checks.dockerfile.build_context import BuildContext
from grader.checks.dockerfile.image import Builder
from grader.checks.dockerfile.programs import commands_run
from grader.checks.makefile.checks import runs
from grader.checks.project.precommit import hook
from grader.checks.project.recorded_commands import recorded
from grader.checks.workflow.checks import job_runs
from grader.readers.shell.pattern import matches
from grader.tools import Tools
from tests.builders import decide, make_context
from tests.checks.live import parameters
from tests.checks.makefile.test_checks import BareRuntime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.context import Context

PUSH = "docker buildx build --push"
NO_OP = ("-h", "--help")
SCRIPT = "scripts/test.sh"
LINES = (
    (PUSH, "docker buildx build --push .", True),
    (PUSH, "docker buildx build --push=true .", True),
    (PUSH, "docker buildx build --push=false .", False),
    (PUSH, "docker buildx build --push --no-push .", False),
    (PUSH, "docker buildx build --no-push --push .", True),
    (PUSH, "docker --context dev buildx --builder b build . --push", True),
    (PUSH, "docker buildx build -t --pushed .", False),
    (PUSH, "docker buildx bake --push", False),
    ("docker build", "sudo -E docker build .", True),
    ("docker build", "docker --context=dev run build .", False),
    ("docker build", "docker help build", False),
    ("docker build", "docker run image build", False),
    ("docker build *", "docker build", False),
    ("docker build *", "docker build -q --pull .", True),
    ("docker build *", "docker build - < Dockerfile", True),
    ("docker build *", "docker build --help .", False),
    ("kubectl apply -f", "kubectl apply -fdeploy/", True),
    ("kubectl apply -f", "kubectl apply -f deploy/", True),
    ("kubectl apply -f", "kubectl apply -Rf deploy/", True),
    ("kubectl apply -f", "kubectl apply --filename=deploy/", False),
    ("kubectl apply --filename", "kubectl apply --filename=deploy/", True),
    ("kubectl apply -f", "cd deploy && kubectl apply -f .", True),
    ("kubectl apply -f", "kubectl get -f deploy/", False),
    ("kubectl apply", "kubectl --namespace=dev get apply", False),
    ("kubectl apply", "cat deploy/all.yaml | kubectl apply -n dev -f -", True),
    ("kubectl apply", "kubectl apply -h", False),
    ("pytest", "pytest -q", True),
    ("pytest", "python3.11 -m pytest", True),
    ("pytest", "poetry run pytest", True),
    ("pytest", "uv run --with pytest-cov pytest -q", True),
    ("pytest", "env A=1 timeout 60 pytest", True),
    ("pytest", "bash -c 'pytest -q'", True),
    ("pytest", "bash scripts/test.sh unit", True),
    ("pytest", "./scripts/test.sh", True),
    ("pytest", "docker run --rm -itv a:b image pytest -q", True),
    ("pytest", "docker compose -f c.yml run --rm api python -m pytest", True),
    ("pytest", "docker run --name pytest postgres", False),
    ("pytest", "command -v pytest", False),
    ("pytest", "echo pytest", False),
    ("pytest", "pip install pytest", False),
    ("pytest", "pytest --help", False),
    ("python -m pytest", ".venv/bin/pytest", True),
)
TOOLS = ("docker", "kubectl", "pytest", "python", "python3.11", "poetry", "uv", "sudo", "pip", "env")


def opened(root: Path, name: str, text: str, **others: str) -> Context:
    root.mkdir()
    # Where it is not called, its commands would count among those that are recorded.
    script = {SCRIPT: 'exec pytest "$@"\n'} if SCRIPT in "".join((text, *others.values())) else {}
    files: Mapping[str, str | bytes] = {
        # What the lines name is there: a recipe that names what is missing counts nowhere.
        "Dockerfile": "FROM scratch\n",
        "unit/test_it.py": "def test_it(): pass\n",
        "deploy/all.yaml": "kind: Deployment\n",
        **script,
        **others,
        name: text.encode(),
    }
    return make_context(root, files, deliverables={"file": name}, runtime=BareRuntime(root))


def in_a_recipe(root: Path, pattern: str, line: str) -> bool:
    text = f"it:\n\t{line.replace('$', '$$')}\n"
    given = {"target": "it", "commands": (pattern,), "idle": NO_OP, "tools": TOOLS}
    return decide(runs, opened(root, "Makefile", text), file="file", **given).verdict == "passed"


def in_a_workflow(root: Path, pattern: str, line: str) -> bool:
    job = {"runs-on": "x", "steps": [{"run": line}]}
    context = opened(root, ".github/workflows/ci.yml", json.dumps({"on": "push", "jobs": {"a": job}}))
    scenario = parameters("5.1", "workflow.triggered")["scenario"]
    tests = scenario.tests.changed(commands=(pattern,), no_op_options=NO_OP)
    scenario = scenario.changed(workflow="file", tests=tests)
    return decide(job_runs, context, scenario=scenario, work="tests").verdict == "passed"


def in_an_image(root: Path, pattern: str, line: str) -> bool:
    text = 'FROM a\nWORKDIR /a\nCOPY . .\nCMD ["sh", "entry.sh"]\n'
    context = opened(root, "Dockerfile", text, **{"entry.sh": line + "\n"})
    dockerfile = dockerfile_facts.read_dockerfile(context, file="file")
    assert isinstance(dockerfile, dockerfile_facts.Dockerfile)
    builder = Builder(dockerfile, BuildContext(tuple(map(str, context.submission.files))))
    image = builder.image(dockerfile.stages[-1])
    ran = (each.command for each in commands_run(context.submission, image))
    return any(matches(ran, (pattern,), NO_OP))


def in_a_hook(root: Path, pattern: str, line: str) -> bool:
    local = {"id": "it", "name": "it", "language": "system", "entry": line}
    text = json.dumps({"repos": [{"repo": "local", "hooks": [local]}]})
    context = opened(root, ".pre-commit-config.yaml", text)
    return decide(hook, context, file="file", ids=(), repos=(), commands=(pattern,)).verdict == "passed"


def in_a_readme(root: Path, pattern: str, line: str) -> bool:
    context = opened(root, "README.md", f"# It\n\n```bash\n{line}\n```\n")
    return decide(recorded, context, file="file", command=pattern).verdict == "passed"


@pytest.mark.skipif(Tools().find("make") is None, reason="make is not on this machine")
@pytest.mark.parametrize(("pattern", "line", "counts"), LINES)
def test_a_line_is_judged_the_same_everywhere(tmp_path: Path, pattern: str, line: str, counts: bool) -> None:
    places = (in_a_recipe, in_a_workflow, in_an_image, in_a_hook, in_a_readme)
    found = {place.__name__: place(tmp_path / place.__name__, pattern, line) for place in places}
    assert found == {place.__name__: counts for place in places}
