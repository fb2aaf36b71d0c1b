from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader import command as process
from grader.checks.makefile import dry_run, inputs
from grader.checks.makefile.checks import runs
from grader.errors import ToolMissing
from grader.exam.bundled import RUBRICS
from grader.results import Finding, Outcome
from grader.runtime.sandbox.model import Ended, Run
from grader.tools import Tools
from tests.builders import decide, make_context
from tests.checks.live import live_context, lost, parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.context import Context

pytestmark = pytest.mark.skipif(Tools().find("make") is None, reason="make is not on this machine")
DELIVERABLES = {"makefile": "Makefile", "hooks": ".pre-commit-config.yaml"}


class BareCell:
    """Runs make in the open, for the trusted files of these tests."""

    def __init__(self, workspace: Path, home: Path) -> None:
        self.workspace = workspace
        self.home = home

    def python(self, *words: str, env: Mapping[str, str] | None = None, **_: Any) -> Run:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **(env or {})}
        argv = (sys.executable, *words)
        done = process.run(argv, cwd=self.workspace, env=environment)
        return Run(
            argv=argv,
            ended=Ended.EXITED,
            returncode=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
        )


class BareRuntime:
    """Counts its cells, and gives out bare ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = 0

    @contextlib.contextmanager
    def cell(self) -> Iterator[BareCell]:
        self.cells += 1
        with tempfile.TemporaryDirectory() as home:
            yield BareCell(self.root, Path(home))


def parameters() -> dict[str, dict[str, Any]]:
    return {part.parameters["target"]: dict(part.parameters) for part in parts("B2")}


PROJECT = dict.fromkeys(
    (
        "requirements-lock.txt",
        "requirements.txt",
        "pyproject.toml",
        "environment.yml",
        "Dockerfile",
        "compose.yml",
        "k8s/deployment.yaml",
        "k8s/kustomization.yaml",
        "k8s/overlays/dev/kustomization.yaml",
        "charts/api/Chart.yaml",
    ),
    "",
)
"""What the recipes of these tests name."""


def opened(root: Path, text: str, files: Mapping[str, str] | None = None, *, bare: bool = False) -> Context:
    written: dict[str, str | bytes] = {
        "Makefile": text.encode(),
        **({} if bare else PROJECT),
        **(files or {}),
    }
    return make_context(root, written, deliverables=DELIVERABLES, runtime=BareRuntime(root))


def asked(root: Path, text: str, target: str, files: Mapping[str, str] | None = None) -> Outcome:
    return decide(runs, opened(root, text, files), **parameters()[target])


def letters(root: Path, text: str, files: Mapping[str, str] | None = None) -> str:
    context = opened(root, text, files)
    return "".join(decide(runs, context, **given).verdict[0].upper() for given in parameters().values())


def recipe(root: Path, target: str, *lines: str, **files: str) -> str:
    text = f"{target}:\n" + "".join(f"\t{line}\n" for line in lines)
    return asked(
        root, text, target, {name.replace("__", "/"): content for name, content in files.items()}
    ).verdict.value


def test_no_makefile(tmp_path: Path) -> None:
    assert decide(runs, make_context(tmp_path, {}), **parameters()["test"]).verdict == "failed"


def test_nothing_runs_with_static(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"Makefile": "test: ; pytest"}, deliverables=DELIVERABLES)
    with pytest.raises(ToolMissing):
        decide(runs, context, **parameters()["test"])


def test_what_make_refuses_is_told(tmp_path: Path) -> None:
    outcome = asked(tmp_path, "install\n  pip install x\n", "install")
    assert outcome.findings == (
        Finding(message="make cannot parse the Makefile", actual="missing separator.", where="Makefile:1"),
    )


def test_a_missing_target(tmp_path: Path) -> None:
    [finding] = asked(tmp_path, "tests: ; pytest\n", "test").findings
    assert finding == Finding(message="the Makefile has no target `test`", where="make test")
    [finding] = asked(tmp_path, "test: none ; pytest\n", "test").findings
    assert "No rule to make target 'none', needed by 'test'" in finding.actual


@pytest.mark.parametrize(
    ("target", "line", "said"),
    [
        ("test", "echo pytest", "`make test` runs none of the expected commands"),
        ("test", "pytest --co -q", "pytest with --co has no effect"),
        ("lint", "black .", "`make lint` runs no ruff"),
        ("install", "pip install 'pip>=24' build", "pip install only applies to pip, build"),
        ("docker-build", "docker build -t x", "docker build lacks an argument"),
        ("deploy-dev", "kubectl --context prod apply -f k8s/", "kubectl apply targets prod"),
    ],
)
def test_what_is_near_is_told(tmp_path: Path, target: str, line: str, said: str) -> None:
    [finding] = asked(tmp_path, f"{target}:\n\t{line}\n", target).findings
    assert (finding.message, finding.actual) == (said, line)


def test_one_call_a_target(tmp_path: Path) -> None:
    context = opened(tmp_path, "test: ; pytest\n")
    for _ in range(2):
        assert decide(runs, context, **parameters()["test"]).verdict == "passed"
    assert context.runtime.cells == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("install", ["echo pip install -r requirements-lock.txt"]),
        ("install", ["pip install --upgrade pip setuptools"]),
        ("install", ["pip install 'poetry>=1.8'"]),
        ("install", ["pip download x", "pip --version"]),
        ("test", ['@echo "pytest"']),
        ("test", ["command -v pytest"]),
        ("test", ["pytest --version"]),
        ("test", ["# pytest"]),
        ("lint", ["black ."]),
        ("lint", ["ruff check .", "ruff format ."]),
        ("lint", ["echo black; echo ruff"]),
        ("docker-build", [": docker build ."]),
        ("docker-build", ["docker run image build"]),
        ("docker-build", ["docker push image"]),
        ("deploy-dev", ["kubectl apply --dry-run=client -f k8s/"]),
        ("deploy-dev", ["kubectl get pods -n dev"]),
        ("deploy-dev", ["kubectl apply -n production -f k8s/"]),
        ("deploy-dev", ["docker compose up -d"]),
        ("install", ["pip install -q"]),
        ("install", ["pip install black ruff"]),
        ("test", ["$(info pytest)", "@:"]),
        ("test", ["+@echo pytest"]),
        ("test", ["@: $(MAKE); echo pytest"]),
        ("docker-build", ["docker build -t x"]),
        ("docker-build", ["docker build --no-cache --pull"]),
        ("deploy-dev", ["kubectl apply -n dev"]),
        ("deploy-dev", ["kubectl config use-context prod", "kubectl apply -f k8s/"]),
        ("deploy-dev", ["KUBECONFIG=staging.yml kubectl apply -f k8s/"]),
    ],
)
def test_what_does_not_do_it(tmp_path: Path, target: str, lines: list[str]) -> None:
    assert recipe(tmp_path, target, *lines) == "failed"


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("install", ["python3 -m pip install --upgrade pip && pip install -r requirements-lock.txt"]),
        ("install", [". .venv/bin/activate; pip install -e '.[dev]'"]),
        ("install", ["uv sync --frozen"]),
        ("install", ["conda env update -f environment.yml"]),
        ("test", ["PYTHONPATH=src python -m pytest -q --cov=src"]),
        ("test", ["poetry run coverage run -m pytest"]),
        ("test", ["docker compose run --rm api pytest -q"]),
        ("test", ["python -m unittest discover"]),
        ("lint", ["uv run black . && uv run ruff check --fix ."]),
        ("lint", ["-black --check .", "@ruff check ."]),
        ("docker-build", ["DOCKER_BUILDKIT=1 docker build -t x ."]),
        ("docker-build", ["docker --context dev buildx build --push ."]),
        ("docker-build", ["docker compose -f compose.yml build api"]),
        ("docker-build", ["podman build -t x ."]),
        ("deploy-dev", ["kubectl --namespace dev apply -f k8s/"]),
        ("deploy-dev", ["kustomize build k8s/overlays/dev | kubectl apply -f -"]),
        ("deploy-dev", ["helm upgrade --install api charts/api -n dev"]),
        ("deploy-dev", ["kubectl set image deployment/exam-api api=x"]),
        ("deploy-dev", ['if [ -n "$$TAG" ]; then kubectl apply -k k8s; fi']),
        ("deploy-dev", ["kubectl config use-context prod", "kubectl apply -n dev -fk8s/"]),
        ("deploy-dev", ["kubectl apply --filename=k8s/ --context dev"]),
        ("docker-build", ["docker build -t x --pull - < Dockerfile"]),
        ("install", ["pip install -r requirements-lock.txt | cat"]),
    ],
)
def test_what_does_it(tmp_path: Path, target: str, lines: list[str]) -> None:
    assert recipe(tmp_path, target, *lines) == "passed"


def test_what_another_task_asks_for_is_its_own_loss(tmp_path: Path) -> None:
    submission = make_context(tmp_path, {"a/b.txt": ""}).submission
    there = inputs.paths_there(submission, ["tests/test_api.py"])
    assert there == {".", "a", "a/b.txt", "tests", "tests/test_api.py"}
    assert not inputs.absent(there, inputs.Needed(("tests",)), [""])
    assert inputs.absent(there, inputs.Needed(("tests/unit",)), ["", "a"])


TESTS = "def test_it():\n    assert True\n"
NO_CASES = "import unittest\n\n\nclass It(unittest.TestCase):\n    def check(self):\n        pass\n\n\n"
CASES = "import unittest\n\n\nclass It(unittest.TestCase):\n    def test_it(self):\n        pass\n"


@pytest.mark.parametrize(
    ("target", "line", "said"),
    [
        ("install", "pip install -r requirements-dev.txt", "requirements-dev.txt"),
        ("install", "pip install --requirement=requirements-dev.txt -q", "requirements-dev.txt"),
        ("install", "pip install -e ./api", "api/pyproject.toml"),
        ("install", "pip-sync requirements/dev.txt", "requirements/dev.txt"),
        ("install", "pipenv sync", "Pipfile"),
        ("install", "cd api && poetry install", "pyproject.toml"),
        ("install", "conda env create --file conda.yml", "conda.yml"),
        ("test", "pytest -v tests/unit", "tests/unit"),
        ("test", "pytest tests/test_ml.py::test_it", "tests/test_ml.py"),
        ("test", "tox -c tox/tox.ini", "tox/tox.ini"),
        ("test", "python -m unittest discover -s test", "test"),
        ("lint", "black src app && ruff check src", "app"),
        ("docker-build", "docker build -t x api", "api/Dockerfile"),
        ("docker-build", "docker build -f Dockerfile.dev -t x .", "Dockerfile.dev"),
        ("docker-build", "cd docker && docker build -t x .", "Dockerfile"),
        ("docker-build", "docker compose -f compose.dev.yml build", "compose.dev.yml"),
        ("docker-build", "cd k8s && docker compose build", "compose.yaml"),
        ("docker-build", "docker buildx bake -f bake.hcl", "bake.hcl"),
        ("deploy-dev", "kubectl apply -n dev -f deploy/", "deploy"),
        ("deploy-dev", "kubectl apply -n dev -f k8s/deployment.yaml,k8s/service.yaml", "k8s/service.yaml"),
        ("deploy-dev", "kubectl apply -k k8s/overlays/development", "kustomization.yaml"),
        (
            "deploy-dev",
            "kustomize build overlays/dev | kubectl apply -f -",
            "overlays/dev/kustomization.yaml",
        ),
        ("deploy-dev", "helm upgrade --install api ./helm/api -n dev", "helm/api/Chart.yaml"),
        ("deploy-dev", "helm upgrade --install api charts/api -f charts/dev.yaml -n dev", "charts/dev.yaml"),
        ("deploy-dev", "skaffold run -p dev", "skaffold.yaml"),
    ],
)
def test_what_a_recipe_names_has_to_be_there(tmp_path: Path, target: str, line: str, said: str) -> None:
    files = {"src/api.py": "", "tests/test_api.py": TESTS}
    [finding] = asked(tmp_path, f"{target}:\n\t{line}\n", target, files).findings
    assert f"needs {said}" in finding.message or f"{said}, which" in finding.message
    assert finding.message.endswith(", which the submission does not have")


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("install", ["pip-compile -o dev.txt pyproject.toml", "pip install -r dev.txt"]),
        ("install", ["poetry export --output=build/dev.txt", "pip install -r build/dev.txt"]),
        ("install", ["pip install -r https://example.org/requirements.txt"]),
        ("install", ["pip install -r $${FILE}"]),
        ("install", ["[ -f dev.txt ] && pip install -r dev.txt", "pip install -r requirements.txt"]),
        ("install", ["pip install -r dev.txt || true", "pip install -r requirements.txt"]),
        ("install", ["pip install numpy pandas"]),
        ("install", ["pip install -rrequirements.txt"]),
        ("test", ["pytest -k smoke -m unit --maxfail 1 tests"]),
        ("test", ["pytest 'tests/test_*.py'"]),
        ("test", ["docker run --rm image pytest app/tests"]),
        ("test", ["PYTHONPATH=. python -m unittest discover -s cases -p '*_case.py'"]),
        ("test", ["python -m unittest cases.api_case.It"]),
        ("lint", ["black --line-length 100 src && ruff check --select E,F src"]),
        ("docker-build", ["git clone https://example.org/x.git build", "docker build -t x build"]),
        ("docker-build", ["docker build -t x https://example.org/x.git"]),
        ("docker-build", ["cd k8s && docker build -t x -f ../Dockerfile .."]),
        ("deploy-dev", ["kustomize build k8s/overlays/dev > dev.yaml", "kubectl apply -n dev -f dev.yaml"]),
        ("deploy-dev", ["kubectl apply -n dev -f https://example.org/x.yaml"]),
        ("deploy-dev", ["helm repo add exam https://example.org", "helm upgrade -i api exam/api -n dev"]),
        ("deploy-dev", ["helm upgrade --install api oci://ghcr.io/exam/api --version 1.0.0 -n dev"]),
        ("deploy-dev", ["cd k8s && kubectl apply -n dev -f deployment.yaml", "cd k8s && kubectl get pods"]),
        ("deploy-dev", ["$(MAKE) -C k8s up"]),
    ],
)
def test_what_need_not_be_there(tmp_path: Path, target: str, lines: list[str]) -> None:
    files = {
        "src__api.py": "",
        "tests__test_api.py": TESTS,
        "tests__test_smoke.py": "import pytest\n\n\n@pytest.mark.unit\ndef test_smoke(): pass\n",
        "cases__api_case.py": CASES,
        "k8s__Makefile": "up: ; kubectl apply -n dev -f deployment.yaml\n",
    }
    assert recipe(tmp_path, target, *lines, **files) == "passed"


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("python -m unittest discover -s tests", {"tests/test_api.py": TESTS}, False),
        (
            "python -m unittest discover -s tests",
            {"tests/test_api.py": TESTS, "tests/test_b.py": CASES},
            True,
        ),
        ("python -m unittest", {"tests/test_b.py": CASES}, False),
        ("python -m unittest", {"tests/test_b.py": CASES, "tests/__init__.py": ""}, True),
        ("python -m unittest tests.test_api", {"tests/test_api.py": TESTS}, False),
        ("python -m unittest tests/test_b.py", {"tests/test_b.py": CASES}, True),
        ("coverage run -m unittest discover tests", {"tests/test_api.py": TESTS}, False),
        ("pytest src", {"tests/test_api.py": TESTS, "src/api.py": ""}, False),
        ("pytest src tests", {"tests/test_api.py": TESTS, "src/api.py": ""}, True),
        ("pytest checks/api.py", {"tests/test_api.py": TESTS, "checks/api.py": TESTS}, True),
        ("pytest", {}, True),
        ("python -m unittest", {}, True),
        ("pytest -k nothing_like_it", {"tests/test_api.py": TESTS}, False),
        ("pytest -k ok -q", {"tests/test_api.py": "def test_ok(): pass\n"}, True),
        ("pytest --ignore=tests", {"tests/test_api.py": TESTS}, False),
        ("cd tests && pytest -m slow", {"tests/test_api.py": TESTS}, False),
        (
            "python -m unittest discover -s tests",
            {"tests/test_api.py": TESTS, "tests/test_b.py": "from base import *\n", "tests/base.py": CASES},
            True,
        ),
        (
            "python -m unittest discover -s tests",
            {"tests/test_api.py": "import unittest\nclass Test(unittest.TestCase):\n    pass\n" + TESTS},
            False,
        ),
        (
            "python -m unittest discover -s tests",
            {
                "tests/test_api.py": NO_CASES + TESTS,
            },
            False,
        ),
        (
            "PYTHONPATH=src python -m unittest tests.test_b",
            {"src/api.py": "", "tests/test_b.py": "import api\n" + CASES, "tests/__init__.py": ""},
            True,
        ),
    ],
)
def test_what_collects_nothing_runs_no_tests(
    tmp_path: Path, line: str, files: dict[str, str], expected: bool
) -> None:
    outcome = asked(tmp_path, f"test:\n\t{line}\n", "test", files)
    assert (outcome.verdict == "passed") is expected
    assert expected or "finds no test" in outcome.findings[0].message


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["kubectl apply -k k8s/overlays/prod"], "prod"),
        (["kubectl apply -n prod2 -f k8s/dev.yaml"], "prod"),
        (["helm upgrade --install api charts/api -f values-dev.yaml -n production"], "production"),
        (["helm upgrade --install api charts/api --kube-context exam-staging -n dev"], "staging"),
        (["kustomize build k8s/overlays/prod | kubectl apply -f -"], "prod"),
        (["aws eks update-kubeconfig --name exam-prod", "kubectl apply -f k8s/"], "prod"),
        (["gcloud container clusters get-credentials stage-1", "kubectl apply -f k8s/"], "stage"),
        (["export KUBECONFIG=~/.kube/uat && kubectl apply -f k8s/"], "uat"),
        (["kubectl apply -f live/"], "production"),
        (["kubectl apply -k live"], "production"),
        (["skaffold run -p prod"], "prod"),
    ],
)
def test_what_goes_elsewhere(tmp_path: Path, lines: list[str], said: str) -> None:
    files = {
        "k8s__overlays__prod__kustomization.yaml": "",
        "k8s__dev.yaml": "",
        "values-dev.yaml": "",
        "skaffold.yaml": "",
        "live__kustomization.yaml": "resources: [api.yaml]\nnamespace: production\n",
        "live__api.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: api, namespace: production}\n",
    }
    written = {name.replace("__", "/"): content for name, content in files.items()}
    text = "deploy-dev:\n" + "".join(f"\t{line}\n" for line in lines)
    [finding] = asked(tmp_path, text, "deploy-dev", written).findings
    assert finding.message.endswith(f"targets {said}")


def test_a_makefile_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    context = opened(tmp_path, "install\n  pip install x\n")
    found = [decide(runs, context, **given) for given in parameters().values()]
    assert {outcome.cause for outcome in found} == {"Makefile:1: *** missing separator.  Stop."}


def test_variables_includes_and_other_targets(tmp_path: Path) -> None:
    text = """
include vars.mk
install: .venv/bin/activate
.venv/bin/activate: requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install -r requirements.txt
test: ; @$(PYTHON) -m pytest
lint: fmt
	$(MAKE) check
fmt: ; $(PYTHON) -m black .
check: ; $(PYTHON) -m ruff check .
docker-build: ; $(COMPOSE) build api
deploy-dev:
	make _deploy NAMESPACE=dev
_deploy:
	kubectl -n $(NAMESPACE) apply -f k8s/
"""
    files = {"vars.mk": "PYTHON = .venv/bin/python\nCOMPOSE = docker compose\n", "requirements.txt": "x"}
    assert letters(tmp_path, text, files) == "PPPPP"


def test_scripts_and_hooks_of_the_submission(tmp_path: Path) -> None:
    text = """
install: ; ./scripts/install.sh
test: ; bash scripts/test.sh unit
lint: ; pre-commit run --all-files
docker-build: ; python scripts/build.py
deploy-dev: ; sh scripts/missing.sh
"""
    files = {
        "scripts/install.sh": "#!/bin/sh\nset -e\npip install -r requirements-lock.txt\n",
        "scripts/test.sh": 'exec pytest "$@"\n',
        "unit/test_api.py": TESTS,
        "scripts/build.py": "import subprocess\nsubprocess.run(['docker', 'build', '.'], check=True)\n",
        ".pre-commit-config.yaml": "repos: [{hooks: [{id: black}]}, {hooks: [{id: ruff-check}]}]\n",
    }
    assert letters(tmp_path, text, files) == "PPPPF"


@pytest.mark.parametrize("hooks", ["", "- {", "repos: 3", "repos: [null, {hooks: [3, {id: [black]}]}]"])
def test_broken_hooks_run_nothing(tmp_path: Path, hooks: str) -> None:
    files = {".pre-commit-config.yaml": hooks}
    assert asked(tmp_path, "lint: ; pre-commit run\n", "lint", files).verdict == "failed"


def test_nox_sessions(tmp_path: Path) -> None:
    source = "@nox.session\ndef lint(session):\n    session.run('black', '.')\n    session.run('ruff')\n"
    assert asked(tmp_path, "lint: ; nox -s lint\n", "lint", {"noxfile.py": source}).verdict == "passed"


def test_a_file_named_like_a_target_makes_make_do_nothing(tmp_path: Path) -> None:
    assert asked(tmp_path, "test: ; pytest\n", "test", {"test": "x"}).verdict == "failed"


def test_programs_that_are_looked_for_are_there(tmp_path: Path) -> None:
    text = """
KUBECTL := $(shell command -v kubectl)
ifndef KUBECTL
$(error kubectl is not installed)
endif
deploy-dev: ; $(KUBECTL) apply -n dev -f k8s/
"""
    assert asked(tmp_path, text, "deploy-dev").verdict == "passed"


def test_a_file_that_is_included_is_made_first(tmp_path: Path) -> None:
    text = "include .env\n.env: ; echo RUN=pytest > $@\ntest: ; $(RUN)\n"
    assert asked(tmp_path, text, "test").verdict == "passed"


@pytest.mark.parametrize(
    "head", ["SHELL := /bin/bash\n.SHELLFLAGS := -ec\n.ONESHELL:\n", "MAKEFLAGS += -j4 -O\n"]
)
def test_other_shells_and_flags(tmp_path: Path, head: str) -> None:
    text = head + "X := $(shell echo its)\ntest:\n\t@echo $(X) \\\n\t  so\n\t@touch made; echo pytest\n"
    [finding] = asked(tmp_path, text, "test").findings
    words = finding.actual.replace("\\;", "").split()
    assert words == ["echo", "its", "so;", "touch", "made;", "echo", "pytest"]


def test_a_shell_that_is_none(tmp_path: Path) -> None:
    text = "SHELL := python3\ntest:\n\t[print(1)]\n"
    outcome = asked(tmp_path, text, "test")
    assert (outcome.verdict, outcome.findings[0].actual) == ("failed", "[print(1)]")


def test_what_was_seen_is_told(tmp_path: Path) -> None:
    text = "test: unit\n\t@echo done\nunit:\n\t$(MAKE) none\nnone:\n\ttrue \\\n\t  pytest\n"
    [finding] = asked(tmp_path, text, "test").findings
    assert finding.actual == "make none; true pytest; echo done"


def test_make_calling_itself_ends(tmp_path: Path) -> None:
    assert asked(tmp_path, "test:\n\tmake test X=$(X)1\n", "test").verdict == "failed"


NOTICES = (
    "ifneq (,$(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))))",
    "ifneq (-c,$(.SHELLFLAGS))",
    "ifneq (/bin/sh,$(SHELL))",
    "ifneq (,$(filter command% override,$(origin SHELL) $(origin .SHELLFLAGS) $(origin PATH)))",
    "ifneq (,$(MAKEOVERRIDES))",
    "ifneq (0,$(MAKELEVEL))",
    "ifneq (Makefile,$(shell ls -A | tr -d ' \\n'))",
    "ifneq (make,$(firstword $(shell tr '\\0' ' ' < /proc/$$PPID/cmdline)))",
    "ifneq (,$(shell tr '\\0' ' ' < /proc/$$PPID/cmdline | grep -e ' -'))",
    "ifneq (,$(shell grep -h TracerPid /proc/$$PPID/status | grep -v '\\b0$$'))",
    "ifneq (,$(shell cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o [w]atch_make))",
    "ifneq (,$(shell cmp /bin/sh /usr/bin/dash))",
    "ifneq (,$(shell env | grep -e recorder -e LD_PRELOAD))",
)


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("notice", NOTICES)
def test_nothing_tells_make_that_it_is_watched(tmp_path: Path, notice: str, dry: bool) -> None:
    # Where a recipe stops, make is asked again with no recipe running: that must not show either.
    check = "" if not dry else "\t@false\n"
    text = f"{notice}\nRUN = pytest\nelse\nRUN = true\nendif\ntest:\n{check}\t$(RUN)\n"
    [finding] = decide(runs, opened(tmp_path, text, bare=True), **parameters()["test"]).findings
    assert (finding.message, finding.actual) == (
        "`make test` runs none of the expected commands",
        "false; true" if dry else "true",
    )


@pytest.mark.parametrize(
    "recipe",
    [
        '@test -n "$(KUBECONFIG)" || (echo "KUBECONFIG is not set"; exit 1)',
        "@[ -f .env ]",
        "@trivy --version | grep -q Version",
        "-@rm -r nothing",
        "@if ! docker info >/dev/null 2>&1; then echo docker does not run; exit 1; fi",
        "$(BIN)/pip install -U pip",
        "bash -euo pipefail -c 'nosuch | cat'",
        "until nc -z localhost 5432; do sleep 30; done",
    ],
)
def test_recipes_that_check_what_this_machine_lacks(tmp_path: Path, recipe: str) -> None:
    text = f"BIN = .venv/bin\ntest: check\n\t$(BIN)/python -m pytest\ncheck:\n\t{recipe}\n"
    assert asked(tmp_path, text, "test").verdict == "passed"


def test_what_earlier_recipes_leave_is_there(tmp_path: Path) -> None:
    text = "test: prepare\n\t$(if $(wildcard .done/x),@true,pytest)\nprepare: ; @mkdir .done; touch .done/x\n"
    assert asked(tmp_path, text, "test").verdict == "failed"


def test_tools_do_not_run(tmp_path: Path) -> None:
    text = 'test:\n\tpython -c \'open("made", "w")\'\n\tpython3 -c \'open("made", "w")\' && pytest\n'
    assert asked(tmp_path, text, "test").verdict == "passed"
    assert not (tmp_path / "made").exists()


def test_what_is_run_while_make_reads_is_no_recipe(tmp_path: Path) -> None:
    text = "X := $(shell sh -c 'pytest --co'; sh -c pytest)\ntest: ; @true\n"
    assert asked(tmp_path, text, "test").verdict == "failed"


def test_a_make_of_ones_own_is_not_believed(tmp_path: Path) -> None:
    sly = "import os; os.execv('/bin/sh', ['sh', '-c', 'pytest'])"
    text = f"X := $(shell cp $$(readlink -f $$(command -v python3)) make; ./make -c '{sly}')\ntest: ; @true\n"
    assert asked(tmp_path, text, "test").verdict == "failed"


@pytest.mark.slow
def test_in_a_real_cell(tmp_path: Path) -> None:
    folder = RUBRICS.parent / "reference_solution"
    reference: dict[str, str | bytes] = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    with live_context(tmp_path / "a", reference, deliverables=DELIVERABLES) as context:
        assert lost(context, "B2") == {}
    # What stands in $(shell …) runs even so; it must not reach this machine.
    sly = "X := $(shell touch /tmp/escaped ../escaped; echo pytest)\ntest:\n\t+touch /tmp/escaped\n\t$(X)\n"
    with live_context(tmp_path / "b", {"Makefile": sly}, deliverables=DELIVERABLES) as context:
        decide(runs, context, **parameters()["test"])
    assert not Path("/tmp/escaped").exists()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.slow
def test_a_makefile_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "SECONDS", 2)
    sly = "X := $(shell sleep 1000)\ntest: ; pytest\n"
    with live_context(tmp_path, {"Makefile": sly}, deliverables=DELIVERABLES) as context:
        [finding] = decide(runs, context, **parameters()["test"]).findings
    assert finding.actual.startswith("make did not finish")


@pytest.mark.slow
def test_a_makefile_that_computes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "SECONDS", 2)
    sly = "X := $(shell while :; do :; done)\ntest: ; pytest\n"
    with live_context(tmp_path, {"Makefile": sly}, deliverables=DELIVERABLES) as context:
        [finding] = decide(runs, context, **parameters()["test"]).findings
    assert finding.actual.startswith(("make did not finish", "make was stopped"))
