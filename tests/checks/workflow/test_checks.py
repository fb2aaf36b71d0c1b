from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from grader.check import table
from grader.checks.workflow import actions, checks
from grader.checks.workflow.checks import CHECKS
from grader.checks.workflow.events import Event
from grader.checks.workflow.expressions import UNKNOWN, evaluate, read_expressions
from grader.context import Context
from grader.readers.makefile import recipe
from grader.results import Verdict
from tests.builders import decide, make_context
from tests.checks.live import named_parts

TABLE = table(CHECKS)
FILE = ".github/workflows/ci-cd.yml"
HONEST = """
    name: ci
    on: {push: {branches: [main]}}
    env: {IMAGE: ghcr.io/exam/api}
    jobs:
      test:
        runs-on: ubuntu-latest
        steps:
          - uses: actions/checkout@v4
          - run: pytest --cov=src
      scan:
        runs-on: ubuntu-latest
        steps:
          - run: docker build -t x .
          - uses: aquasecurity/trivy-action@0.28.0
            with: {image-ref: x, severity: "CRITICAL,HIGH", exit-code: "1"}
      build:
        needs: [test, scan]
        runs-on: ubuntu-latest
        steps:
          - uses: docker/build-push-action@v6
            with: {push: true, tags: x}
      deploy:
        needs: build
        runs-on: ubuntu-latest
        environment: dev
        steps:
          - run: kubectl apply -f k8s/
"""


def _parts() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        name.removeprefix("5.1."): (part.check, dict(part.parameters)) for name, part in named_parts("5.1")
    }


PARTS = _parts()


def _context(root: Path, text: str, files: Mapping[str, str] | None = None) -> Context:
    return make_context(root, {FILE: text, **(files or {})}, deliverables={"workflow": FILE})


def _lost(root: Path, text: str, files: Mapping[str, str] | None = None) -> set[str]:
    """Which parts of the rubric fail."""
    context = _context(root, text, files)
    return {
        key
        for key, (check, parameters) in PARTS.items()
        if decide(TABLE[check], context, **parameters).verdict is Verdict.FAILED
    }


def _with(old: str, new: str) -> str:
    text = dedent(HONEST)
    assert old in text
    return text.replace(old, new)


def _job(job: str, new: str) -> str:
    """The honest workflow with one job written anew; `new` is indented as a job is."""
    data = yaml.safe_load(dedent(HONEST).replace("\non:", '\n"on":'))
    data["jobs"][job] = {"runs-on": "ubuntu-latest", **yaml.safe_load(dedent(new))}
    return yaml.safe_dump(data, sort_keys=False)


HOSTILE = [
    "",
    "[]",
    "a",
    "on: push",
    "jobs: []",
    "jobs: {a: 1, b: [], c: null, 1: {steps: {}}}",
    "jobs: {a: {needs: [a, b, 1, {}], steps: [1, null, {run: 5}, {uses: []}, {run: {a: b}, env: 3}]}}",
    "jobs: {a: {needs: b}, b: {needs: a}}",
    "on: {push: 5}\njobs: {a: {if: [1], steps: [{if: {a: b}, run: pytest}]}}",
    "on: {push: {branches: [1, {}]}}\njobs: {a: {uses: ./.github/workflows/ci-cd.yml}}",
    "jobs: {a: {if: '" + "(" * 900 + "', steps: [{run: x, with: [1], environment: 3}]}}",
    "jobs: {a: {strategy: {matrix: {include: [1, {a: {}}], a: [{}]}}, environment: [dev], steps: 3}}",
    "defaults: {run: []}\nenv: [1]\njobs: {a: {defaults: 3, env: 3, steps: [{uses: ./}]}}",
    "? [a]\n: b\n1: 2\njobs: {true: {steps: []}}",
]


@pytest.mark.parametrize(("branch", "lost"), [("main", True), ("trunk", False)])
def test_a_workflow_is_read_as_part_of_a_push_to_the_branch(tmp_path: Path, branch: str, lost: bool) -> None:
    check, parameters = PARTS["deploy/dev"]
    text = _with("run: kubectl apply -f k8s/", "run: '${{ github.ref_name }}/apply.sh'")
    text = text.replace("[main]", "[main, trunk]")
    context = _context(tmp_path, text, {"trunk/apply.sh": "kubectl apply -f k8s/"})
    pushed = parameters["scenario"].changed(name=branch, branch=branch)
    decided = decide(TABLE[check], context, **{**parameters, "scenario": pushed})
    assert (decided.verdict is Verdict.FAILED) == lost


@pytest.mark.parametrize("text", HOSTILE)
def test_no_workflow_breaks_a_check(tmp_path: Path, text: str) -> None:
    lost = _lost(tmp_path, text, {"action.yml": "runs: {steps: [{uses: ./}]}"})
    assert lost >= set(PARTS) - {"trigger", "test/pytest"}


def test_a_missing_workflow_fails(tmp_path: Path) -> None:
    outcome = decide(TABLE["workflow.valid"], make_context(tmp_path, {}), file="workflow")
    assert outcome.findings[0].message == "the workflow is missing"


def test_an_honest_workflow(tmp_path: Path) -> None:
    assert _lost(tmp_path, HONEST) == set()


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ("needs: build", "needs: biuld", {"valid"}),
        ("runs-on: ubuntu-latest\n    environment: dev", "environment: dev", {"valid"}),
        ("name: ci\n", "name: ci\nname: cd\n", {"valid"}),
        ("branches: [main]", "branches: main", set()),
        ("branches: [main]", "branches: [dev]", {"trigger"}),
        ("pytest --cov=src", "pytest", {"test/coverage"}),
        ("pytest --cov=src", "echo pytest --cov=src", {"test/pytest", "test/coverage", "build/tested"}),
        ("pytest --cov=src", "pytest --cov=src || true", {"build/tested"}),
        ("pytest --cov=src", "pytest --cov=src | tee log", {"build/tested"}),
        ("pytest --cov=src", "pytest --version --cov", {"test/pytest", "test/coverage", "build/tested"}),
        ("pytest --cov=src", "coverage run --source=src -m pytest", set()),
        ("pytest --cov=src", "python -m unittest", {"test/pytest", "test/coverage"}),
        ("pytest --cov=src", "docker run x pytest --cov", set()),
        ("CRITICAL,HIGH", "CRITICAL", {"scan/fails"}),
        ("CRITICAL,HIGH", "LOW,MEDIUM,HIGH,CRITICAL", set()),
        (', exit-code: "1"', "", {"scan/fails"}),
        ('exit-code: "1"', 'exit-code: "0"', {"scan/fails"}),
        ('severity: "CRITICAL,HIGH", ', "", set()),
        ("image-ref: x,", "image-ref: x, format: sarif,", set()),
        ("push: true", "push: false", {"build/pushes"}),
        ("push: true", "push: \"${{ github.event_name != 'pull_request' }}\"", set()),
        ("push: true", "outputs: 'type=image,push=true'", set()),
        ("push: true", "push: \"${{ github.ref == 'refs/heads/x' }}\"", {"build/pushes"}),
        ("needs: [test, scan]", "needs: scan", {"build/tested"}),
        ("needs: [test, scan]", "needs: test", set()),
        ("needs: [test, scan]", "needs: test\n    if: always()", {"build/tested"}),
        ("needs: [test, scan]", "needs: test\n    if: always() && needs.test.result == 'success'", set()),
        ("needs: [test, scan]", "needs: test\n    if: ${{ !cancelled() }}", {"build/tested"}),
        ("needs: [test, scan]", "needs: test\n    if: github.ref == 'refs/heads/main'", set()),
        ("needs: [test, scan]", "needs: test\n    if: false", {"build/pushes", "build/tested", "deploy/dev"}),
        ("  test:\n", "  test:\n    continue-on-error: true\n", {"build/tested"}),
        ("      - run: pytest", "      - continue-on-error: true\n        run: pytest", {"build/tested"}),
        ("kubectl apply -f k8s/", "echo kubectl apply", {"deploy/dev", "deploy/after_build"}),
        ("kubectl apply -f k8s/", "echo deploying to dev", {"deploy/dev", "deploy/after_build"}),
        (
            "kubectl apply -f k8s/",
            "kubectl apply --dry-run=client -f k",
            {"deploy/dev", "deploy/after_build"},
        ),
        ("environment: dev", "environment: production", {"deploy/dev"}),
        ("environment: dev", "environment: {name: development, url: 'https://x'}", set()),
        ("    environment: dev\n", "", {"deploy/dev"}),
        ("needs: build", "needs: test", {"deploy/after_build"}),
        ("needs: build", "if: true", {"deploy/after_build"}),
    ],
)
def test_one_line_costs_what_it_is_about(tmp_path: Path, old: str, new: str, lost: set[str]) -> None:
    if new == "needs: test\n    if: false":  # then nothing downstream runs either
        lost = lost | {"deploy/after_build"}
    assert _lost(tmp_path, _with(old, new)) == lost


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ("test", "{steps: [{run: 'poetry run pytest -q --cov --cov-report=xml'}]}"),
        ("test", "{steps: [{run: pytest, env: {PYTEST_ADDOPTS: --cov=src}}]}"),
        ("test", "{strategy: {matrix: {python: ['3.11']}}, steps: [{run: 'uv run pytest --cov'}]}"),
        ("test", "{steps: [{run: docker build --target test ci}]}"),
        ("test", "{steps: [{run: docker buildx build -f ci/Dockerfile --target heredoc .}]}"),
        ("test", "{steps: [{run: cd ci && podman build .}]}"),
        ("test", "{steps: [{uses: docker/build-push-action@v6, with: {context: ci, target: test}}]}"),
        ("build", "{steps: [{uses: docker/build-push-action@v6, with: {context: ci, push: true}}]}"),
        ("build", "{steps: [{run: docker build -t x ci && docker push x}]}"),
        ("build", "{steps: [{run: docker buildx build --push ci}]}"),
        ("test", "{steps: [{run: docker compose up --exit-code-from tests}]}"),
        ("test", "{steps: [{run: docker compose up --build --abort-on-container-exit tests}]}"),
        ("test", "{steps: [{run: docker-compose run --rm tests}]}"),
        ("test", "{steps: [{run: make test}]}"),
        ("test", "{steps: [{run: bash scripts/test.sh}]}"),
        ("test", "{steps: [{run: ./test.sh, working-directory: scripts}]}"),
        ("test", "{steps: [{run: cd scripts && ./test.sh}]}"),
        ("test", "{steps: [{run: tox}]}"),
        ("test", "{steps: [{run: nox -s tests}]}"),
        ("test", "{steps: [{uses: ./.github/actions/test, with: {options: --cov}}]}"),
        ("test", "{steps: [{uses: 'nick-fields/retry@v3', with: {command: pytest --cov, max_attempts: 3}}]}"),
        (
            "test",
            "{steps: [{uses: 'Wandalen/wretry.action@v3', with: {command: 'true && pytest --cov'}}]}",
        ),
        ("test", "{steps: [{uses: 'devcontainers/ci@v0.3', with: {runCmd: make test, push: never}}]}"),
        (
            "test",
            "{steps: [{uses: 'addnab/docker-run-action@v3', with: {image: x, run: 'pytest --cov=src'}}]}",
        ),
        ("test", "{steps: [{uses: 'pavelzw/pytest-action@v2', with: {custom-arguments: '--cov=src -q'}}]}"),
        ("test", "{steps: [{run: nix-shell --pure --run 'pytest --cov'}]}"),
        ("test", "{steps: [{run: nix develop .#ci --command pytest --cov}]}"),
        ("test", "{steps: [{run: nix develop -c ./scripts/test.sh}]}"),
        ("test", "{steps: [{run: su app -c 'pytest --cov'}]}"),
        ("test", "{steps: [{run: script -qec 'pytest --cov' /dev/null}]}"),
        ("test", "{steps: [{run: direnv exec . pytest --cov}]}"),
        ("test", "{steps: [{run: doppler run -- pytest --cov}]}"),
        ("test", "{steps: [{run: devcontainer exec --workspace-folder . pytest --cov}]}"),
        ("test", "{steps: [{run: uvx pytest@8.3 --cov}]}"),
        (
            "scan",
            "{steps: [{uses: crazy-max/ghaction-container-scan@v3, with: {severity_threshold: HIGH}}]}",
        ),
        (
            "scan",
            "{steps: [{uses: crazy-max/ghaction-container-scan@v3, with: {severity_threshold: low}}]}",
        ),
        ("build", "{needs: test, steps: [{run: depot build --push -t x .}]}"),
        ("build", "{needs: test, steps: [{run: depot bake --push}]}"),
        ("scan", "{steps: [{run: 'trivy image --severity HIGH,CRITICAL --exit-code 1 x'}]}"),
        ("scan", "{steps: [{run: trivy fs ., env: {TRIVY_SEVERITY: 'HIGH,CRITICAL', TRIVY_EXIT_CODE: 1}}]}"),
        ("scan", "{steps: [{run: 'docker run aquasec/trivy:0.50 image --exit-code=1 -s CRITICAL,HIGH x'}]}"),
        ("scan", "{steps: [{uses: 'docker://aquasec/trivy', with: {args: image --exit-code 1 x}}]}"),
        ("scan", "{steps: [{uses: aquasecurity/trivy-action@v1, with: {trivy-config: trivy-ci.yaml}}]}"),
        ("scan", "{steps: [{run: 'trivy image --exit-code 1 x | tee out', shell: bash}]}"),
        ("build", '{needs: test, steps: [{run: "docker build -t $IMAGE .\\ndocker push $IMAGE"}]}'),
        ("build", "{needs: test, steps: [{run: docker buildx build --push -t x .}]}"),
        ("build", "{needs: test, steps: [{run: podman build .}, {run: podman push x}]}"),
        ("build", "{needs: scan, steps: [{run: pytest}, {run: docker buildx build . --push}]}"),
        ("build", "{steps: [{run: 'pytest && docker buildx build . --push'}]}"),
        (
            "build",
            (
                "{steps: [{id: t, run: pytest, continue-on-error: true}, "
                "{if: steps.t.outcome == 'success', run: docker buildx build . --push}]}"
            ),
        ),
        ("build", "{needs: test, steps: [{run: make docker-build docker-push}]}"),
        ("deploy", "{needs: build, steps: [{run: kubectl -n dev set image deployment/x x=y}]}"),
        ("deploy", "{needs: build, steps: [{run: 'kustomize build overlays/dev | kubectl apply -f -'}]}"),
        ("deploy", "{needs: build, steps: [{run: helm upgrade --install x c -f values-dev.yaml}]}"),
        (
            "deploy",
            "{needs: build, steps: [{run: kubectl config use-context dev}, {run: kubectl apply -f k}]}",
        ),
        ("deploy", "{needs: build, steps: [{run: make deploy-dev}]}"),
        ("deploy", "{needs: build, steps: [{run: bash scripts/deploy.sh dev}]}"),
        ("deploy", "{needs: build, steps: [{run: ./scripts/deploy.sh dev}]}"),
        ("scan", "{steps: [{run: trivy fs --severity HIGH --severity CRITICAL --exit-code 1 .}]}"),
        ("scan", "{steps: [{run: 'trivy fs --severity ${{ vars.SEVERITY }} --exit-code 1 .'}]}"),
        ("deploy", "{needs: build, steps: [{run: kubectl apply -f manifests}]}"),
        ("deploy", "{needs: build, env: {NS: dev}, steps: [{run: kubectl apply -n $NS -f k8s}]}"),
        ("deploy", "{needs: build, steps: [{run: ssh me@dev.example.org 'docker compose up -d'}]}"),
        (
            "deploy",
            "{needs: build, steps: [{uses: appleboy/ssh-action@v1, with: {host: dev.x, script: ls}}]}",
        ),
        ("deploy", "{needs: build, steps: [{run: ansible-playbook -i inventories/dev site.yml}]}"),
        ("deploy", "{needs: build, steps: [{run: 'oc process -f t.yaml | oc apply -n dev -f -'}]}"),
        ("deploy", "{needs: build, steps: [{run: argocd app sync x-dev}]}"),
        ("deploy", "{needs: build, steps: [{run: tk apply environments/dev}]}"),
        ("deploy", "{needs: build, steps: [{run: mytool dev release blue}]}"),
        (
            "deploy",
            "{needs: build, steps: [{uses: 'pulumi/actions@v6', with: {command: up, stack-name: dev}}]}",
        ),
        (
            "deploy",
            "{needs: build, steps: [{uses: 'actions-hub/kubectl@v1', with: {args: apply -n dev -f k8s}}]}",
        ),
        (
            "deploy",
            "{needs: build, steps: [{uses: x/kubectl@v1, with: {cmd: 'pwd; kubectl -n dev apply'}}]}",
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: 'echo ${{ secrets.CONFIG_DEV }} > c'}, {run: kubectl apply -f k}]}",
        ),
        (
            "deploy",
            (
                "{needs: build, strategy: {matrix: {env: [dev, prod]}}, environment: '${{ matrix.env }}', "
                "steps: [{run: helm upgrade x y}]}"
            ),
        ),
    ],
)
def test_other_ways_to_do_it(tmp_path: Path, job: str, text: str) -> None:
    assert _lost(tmp_path, _job(job, text), FILES) == set()


FILES = {
    "Makefile": """\
        IMAGE ?= x
        PYTEST = pytest
        test: prepare
        \t@$(PYTEST) --cov=src
        prepare:
        \techo ready
        docker-build: ; docker build -t $(IMAGE) .
        docker-push:
        \tdocker push ${IMAGE}
        deploy-dev:
        \tkubectl apply -n dev -f k8s/
        """,
    "scripts/test.sh": "#!/bin/bash\nset -e\nexec pytest --cov=src tests\n",
    "scripts/deploy.sh": 'kubectl -n "exam-$1" apply -f k8s/\n',
    "tox.ini": "[testenv]\ncommands =\n    pytest {posargs:--cov=src}\n",
    "noxfile.py": "def tests(session):\n    session.run('pytest', '--cov')\n",
    ".github/actions/test/action.yml": """\
        name: test
        inputs: {options: {default: -q}}
        runs:
          using: composite
          steps: [{run: "pytest ${{ inputs.options }}", shell: bash}]
        """,
    "compose.yaml": "services: {tests: {command: pytest --cov}, db: {image: x}}",
    "ci/Dockerfile": """\
        FROM x AS base
        RUN pip install -r r.txt
        FROM base AS test
        RUN --mount=type=cache,target=/c pytest --cov=src
        FROM base AS quiet
        RUN pytest --cov=src; true
        FROM base AS heredoc
        RUN <<E
        set -e
        pytest --cov=src
        E
        FROM base
        COPY --from=test /x /x
        """,
    "trivy-ci.yaml": "exit-code: 1\nseverity: [HIGH, CRITICAL]\n",
    "manifests/d.yaml": "kind: Deployment\nmetadata: {namespace: exam-dev}\n",
}


@pytest.mark.parametrize(
    ("job", "text", "lost"),
    [
        ("scan", "{steps: [{run: trivy image x}]}", {"scan/fails"}),
        ("scan", "{steps: [{run: trivy image --exit-code 1 x || true}]}", {"scan/fails"}),
        ("scan", "{steps: [{run: 'trivy image --exit-code 1 x | tee y'}]}", {"scan/fails"}),
        ("scan", "{steps: [{run: trivy image --exit-code 1 x, continue-on-error: true}]}", {"scan/fails"}),
        (
            "scan",
            "{continue-on-error: true, steps: [{run: trivy fs --exit-code 1 .}]}",
            {"scan/fails"},
        ),
        (
            "scan",
            "{steps: [{uses: crazy-max/ghaction-container-scan@v3, with: {severity_threshold: CRITICAL}}]}",
            {"scan/fails"},
        ),
        (
            "scan",
            "{steps: [{uses: crazy-max/ghaction-container-scan@v3, with: {image: x}}]}",
            {"scan/fails"},
        ),
        (
            "scan",
            "{steps: [{uses: crazy-max/ghaction-container-scan@v3, with: {severity_threshold: ''}}]}",
            {"scan/fails"},
        ),
        (
            "test",
            "{steps: [{uses: 'nick-fields/retry@v3', with: {command: 'pytest --cov; echo done'}}]}",
            {"build/tested"},
        ),
        (
            "test",
            "{steps: [{uses: nick-fields/retry@v3, with: {command: pytest --cov, continue_on_error: true}}]}",
            {"build/tested"},
        ),
        (
            "test",
            "{steps: [{uses: 'nick-fields/retry@v3', with: {command: pytest --version}}]}",
            {"test/pytest", "test/coverage", "build/tested"},
        ),
        ("test", "{steps: [{uses: 'pavelzw/pytest-action@v2', with: {verbose: true}}]}", {"test/coverage"}),
        ("test", "{steps: [{run: nix-shell --run 'pytest --cov; true'}]}", {"build/tested"}),
        (
            "test",
            "{steps: [{run: nix-shell -p pytest --run 'echo pytest --cov'}]}",
            {"test/pytest", "test/coverage", "build/tested"},
        ),
        ("build", "{needs: test, steps: [{run: depot build -t x .}]}", {"build/pushes"}),
        (
            "deploy",
            "{needs: build, environment: dev, steps: [{uses: 'x/y-setup@v1', with: {command: up}}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        ("scan", "{steps: [{run: trivy --version}]}", {"scan/trivy", "scan/fails"}),
        (
            "test",
            "{steps: [{run: docker build --target base ci}]}",
            {"test/pytest", "test/coverage", "build/tested"},
        ),
        ("test", "{steps: [{run: docker build --target quiet ci}]}", {"build/tested"}),
        ("build", "{steps: [{run: docker buildx build --push --target base ci}]}", {"build/tested"}),
        ("build", "{steps: [{run: docker buildx build --push --target quiet ci}]}", {"build/tested"}),
        ("build", "{steps: [{run: 'docker push x && docker build ci'}]}", {"build/tested"}),
        ("test", "{steps: [{run: docker build --target test ci || true}]}", {"build/tested"}),
        ("scan", "{steps: [{uses: aquasecurity/setup-trivy@v0.2.0}]}", {"scan/trivy", "scan/fails"}),
        ("scan", "{steps: [{if: false, run: trivy fs --exit-code 1 .}]}", {"scan/trivy", "scan/fails"}),
        (
            "scan",
            "{if: github.event_name == 'pull_request', steps: [{run: trivy fs --exit-code 1 .}]}",
            {"scan/trivy", "scan/fails", *()},
        ),
        ("build", "{needs: test, steps: [{run: docker build .}]}", {"build/pushes"}),
        ("build", "{needs: test, steps: [{run: docker push x}]}", {"build/pushes"}),
        ("build", "{needs: test, steps: [{if: always(), run: docker buildx build . --push}]}", set()),
        (
            "build",
            "{steps: [{run: pytest}, {if: always(), run: docker buildx build . --push}]}",
            {"build/tested"},
        ),
        ("build", "{steps: [{run: docker buildx build . --push}, {run: pytest}]}", {"build/tested"}),
        (
            "deploy",
            '{needs: build, steps: [{run: "pip install -e .[dev] && kubectl apply -f k"}]}',
            {"deploy/dev"},
        ),
        ("deploy", "{needs: build, steps: [{run: kubectl apply -f k > /dev/null}]}", {"deploy/dev"}),
        (
            "deploy",
            "{needs: build, steps: [{run: ansible-playbook --check -i inventories/dev site.yml}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: ansible-playbook -i dev --list-tasks site.yml}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: 'argocd app get x-dev && argocd app list'}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: oc process -n dev -f t.yaml}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: az ml online-deployment show -n blue -e dev}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: tk diff environments/dev}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: nomad job -namespace dev status}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: kluctl --target dev validate}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: awslocal ecs describe-tasks --cluster dev}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{uses: 'pulumi/actions@v6', with: {command: preview, stack-name: dev}}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{uses: 'actions-hub/kubectl@v1', with: {args: get pods -n dev}}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
        (
            "deploy",
            "{needs: build, steps: [{run: kubectl version -n dev}]}",
            {"deploy/dev", "deploy/after_build"},
        ),
    ],
)
def test_defects(tmp_path: Path, job: str, text: str, lost: set[str]) -> None:
    needs_scan = "pull_request" in text  # then the build, which needs the scan, is skipped too
    skipped = {"build/pushes", "build/tested", "deploy/dev", "deploy/after_build"} if needs_scan else set()
    assert _lost(tmp_path, _job(job, text), FILES) == lost | skipped


@pytest.mark.parametrize(
    "command", ["docker compose up -d", "docker compose up tests", "docker compose up -d db tests"]
)
def test_compose_hands_on_no_status_unless_it_is_told_to(tmp_path: Path, command: str) -> None:
    assert _lost(tmp_path, _job("test", f"{{steps: [{{run: {command}}}]}}"), FILES) == {"build/tested"}


def test_makefiles_include_what_stands_where_make_runs(tmp_path: Path) -> None:
    test = _job("test", "{steps: [{run: make -C build test}]}")
    recipe_file = "test:\n\tpytest --cov=src\n"
    including = {"build/Makefile": "include mk/*.mk\n"}
    assert _lost(tmp_path / "a", test, {**including, "build/mk/test.mk": recipe_file}) == set()
    elsewhere = {**including, "mk/test.mk": recipe_file, "build/mk/deep/mk/test.mk": recipe_file}
    assert _lost(tmp_path / "b", test, elsewhere) == {"test/pytest", "test/coverage", "build/tested"}


def test_reusable_workflows_are_followed(tmp_path: Path) -> None:
    called = """
        on: {workflow_call: {inputs: {options: {type: string, default: -q}}}}
        jobs:
          lint: {runs-on: x, steps: [{run: ruff check}]}
          unit: {needs: lint, runs-on: x, steps: [{run: "pytest ${{ inputs.options }}"}]}
    """
    text = yaml.safe_load(dedent(HONEST).replace("\non:", '\n"on":'))
    text["jobs"]["test"] = {"uses": "./.github/workflows/test.yml", "with": {"options": "--cov"}}
    files = {".github/workflows/test.yml": called}
    assert _lost(tmp_path, yaml.safe_dump(text), files) == set()
    text["jobs"]["build"]["needs"] = "scan"
    assert _lost(tmp_path, yaml.safe_dump(text), files) == {"build/tested"}


@pytest.mark.parametrize(
    ("name", "content", "lost"),
    [
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-q --cov=src"\n', set()),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["--cov"]\n', set()),
        ("pytest.ini", "[pytest]\naddopts = --cov-report=xml --cov src\n", set()),
        ("setup.cfg", "[tool:pytest]\naddopts = --cov=src\n", set()),
        ("setup.cfg", "[tool:pytest\naddopts", {"test/coverage"}),
        ("pyproject.toml", "[tool.pytest]\nini_options = 3\n", {"test/coverage"}),
        ("pytest.ini", "[pytest]\naddopts = --covx\n", {"test/coverage"}),
    ],
)
def test_coverage_may_be_configured(tmp_path: Path, name: str, content: str, lost: set[str]) -> None:
    assert _lost(tmp_path, _with("pytest --cov=src", "pytest"), {name: content}) == lost


def test_findings_have_lines(tmp_path: Path) -> None:
    text = dedent(HONEST)
    outcome = decide(
        TABLE["workflow.scan_fails"], _context(tmp_path, text.replace('"1"', '"0"')), **PARTS["scan/fails"][1]
    )
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "trivy-action" in each)
    assert outcome.findings[0].where == f"{FILE}:{line}"


@pytest.mark.parametrize(
    "on",
    [
        "push",
        ["push"],
        ["pull_request", "push"],
        {"push": None},
        {"push": {"branches": "main"}},
        {"push": {"branches": ["main", "dev"]}},
        {"push": {"branches": ["**"]}},
        {"push": {"branches": ["ma*"]}},
        {"push": {"branches": ["mai?n"]}},
        {"push": {"branches": ["[mx]ain"]}},
        {"push": {"branches": ["*x?*x?*x?*x?*x?*x?*m*a*i*n*"]}},
        {"push": {"branches": ["*", "!dev"]}},
        {"push": {"branches": ["!main", "main"]}},
        {"push": {"branches-ignore": ["dev"]}},
        {"push": {"branches": ["main"], "tags": ["v*"]}},
        {"push": {"paths": ["src/**"]}},
        {"push": {}},
    ],
)
def test_runs_on_push_to_main(on: Any) -> None:
    assert Event(branch="main").starts(on)


@pytest.mark.parametrize(
    "on",
    [
        None,
        "pull_request",
        ["pull_request"],
        {"pull_request": {"branches": ["main"]}},
        {"push": {"branches": ["master"]}},
        {"push": {"branches": ["main/*"]}},
        {"push": {"branches": ["!main"]}},
        {"push": {"branches": ["main", "!ma*"]}},
        {"push": {"branches": ["*" * 500 + "a"]}},
        {"push": {"branches": ["*a" * 100]}},
        {"push": {"branches": ["[z-a]"]}},
        {"push": {"branches-ignore": ["ma**"]}},
        {"push": {"tags": ["v*"]}},
        {"push": 5},
        {1: 2},
    ],
)
def test_does_not_run_on_push_to_main(on: Any) -> None:
    assert not Event(branch="main").starts(on)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("github.ref == 'refs/heads/main' && 'a' || 'b'", "a"),
        ("!github.x", True),
        ("contains('Dev-1', 'dev')", True),
        ("startsWith(github.ref, 'refs/tags')", False),
        ("(true || secrets.x) && false", False),
        ("secrets.x", UNKNOWN),
        ("secrets.x && false", False),
        ("secrets.x || true", True),
        ("github['ref']", "refs/heads/main"),
        ("1 < 2", True),
        ("'it''s'", "it's"),
        ("null == ''", True),
        ("a b", UNKNOWN),
        ("(", UNKNOWN),
        ("!" * 1000 + "a", UNKNOWN),
        ("", UNKNOWN),
        ("fromJSON('[]')", UNKNOWN),
    ],
)
def test_expressions(text: str, expected: object) -> None:
    def lookup(path: tuple[str, ...]) -> object:
        known: dict[tuple[str, ...], object] = {("github", "ref"): "refs/heads/main", ("github", "x"): None}
        return known.get(path, UNKNOWN)

    assert evaluate(text, lookup) == expected


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('github.ref == "refs/heads/main"', ['an expression with "']),
        ("${{ github.event_name = 'push' }}", ["an expression with ="]),
        ('a ${{ true }} b ${{ "x" }}', ["", 'an expression with "']),
        ("github.ref == 'a=\"b\"' && 1 >= 0 && github.x != b && c <= 'it''s'", [""]),
        ('${{ env.A }}="x" = y', [""]),
        ("${{ format('{{0}}=\"}}', a) }}", [""]),
        ("${{ github.ref }", ["an expression that is not closed with }}"]),
        ("${{ }}", ["an empty expression"]),
        ("${{ a.b.*[0].c && !fromJSON(d)[0].e || 0x1F > -1.5e3 }}", [""]),
        ("${{ a. }}", ["an expression with a syntax error"]),
        ("${{ contains(a, ) }}", ["an expression with a syntax error"]),
        ("${{ a b }}", ["an expression with a syntax error"]),
        ("", [""]),
    ],
)
def test_expressions_that_github_cannot_read(text: str, problems: list[str]) -> None:
    assert [reading.problem for _, reading in read_expressions(text, whole=True)] == problems


REFUSED = {
    "the context env is not available in jobs.*.if": _with(
        "    needs: build\n", "    needs: build\n    if: env.A\n"
    ),
    "the context secrets is not available in jobs.*.steps.if": _with(
        "- run: pytest", "- if: secrets.A != ''\n        run: pytest"
    ),
    "unknown context secret; did you mean secrets?": _with(
        "pytest --cov=src", "pytest --cov=${{ secret.A }}"
    ),
    "unknown function startwith; did you mean startswith?": _with(
        "    needs: build\n", "    needs: build\n    if: startwith(github.ref, 'a')\n"
    ),
    "the function always is not available in jobs.*.steps.run": _with(
        "pytest --cov=src", "pytest --cov=${{ always() }}"
    ),
    "the function hashfiles is not available in env": _with("ghcr.io/exam/api", "\"${{ hashFiles('a') }}\""),
    "the function contains is called with 1 argument": _with(
        "    needs: build\n", "    needs: build\n    if: contains('a')\n"
    ),
    "jobs.*.steps.uses takes no expressions": _with(
        "actions/checkout@v4", "actions/checkout@${{ github.sha }}"
    ),
    "an expression that is not closed with }}": _with("pytest --cov=src", "pytest --cov=${{ github.sha }"),
    "uses: actions/checkout does not say at which version": _with("actions/checkout@v4", "actions/checkout"),
    "two steps of job test have the id A": _with(
        "- uses: actions/checkout@v4\n      - run",
        "- {id: a, uses: actions/checkout@v4}\n      - id: A\n        run",
    ),
    "invalid step id '1'": _with("- run: pytest", "- id: '1'\n        run: pytest"),
    "on.push has both branches and branches-ignore": _with("[main]}", "[main], branches-ignore: [x]}"),
    "the jobs need one another in a circle: test -> deploy -> build -> test": _with(
        "  test:\n", "  test:\n    needs: deploy\n"
    ),
}


@pytest.mark.parametrize(("message", "text"), REFUSED.items(), ids=list(REFUSED))
def test_what_github_refuses_costs_the_validity_alone(tmp_path: Path, message: str, text: str) -> None:
    check, parameters = PARTS["valid"]
    outcome = decide(TABLE[check], _context(tmp_path / "a", text), **parameters)
    assert [finding.message for finding in outcome.findings] == [message]
    assert _lost(tmp_path / "b", text) == {"valid"}


ACCEPTED = [
    (
        "    needs: build\n",
        "    needs: build\n    if: vars.A && needs.build.result == 'success' && !cancelled()\n",
    ),
    (
        "- run: pytest",
        "- if: env.A != '' && hashFiles('a', 'b') && steps.x.outputs['y z'].w\n        run: pytest",
    ),
    (
        "- run: pytest",
        "- env: {A: '${{ fromJSON(secrets.A)[0].b || format(''{0}'', matrix.x) }}'}\n        run: pytest",
    ),
    ("runs-on: ubuntu-latest", "runs-on: ${{ vars.RUNNER || 'ubuntu-latest' }}"),
    ("actions/checkout@v4", "./.github/actions/checkout"),
    ("actions/checkout@v4", "docker://alpine:3"),
    ("actions/checkout@v4", "github/codeql-action/init@v3"),
]


@pytest.mark.parametrize(("old", "new"), ACCEPTED)
def test_what_github_accepts(tmp_path: Path, old: str, new: str) -> None:
    assert _lost(tmp_path, _with(old, new.replace("\\n", "\n"))) == set()


def test_only_conditions_are_expressions_as_a_whole(tmp_path: Path) -> None:
    assert _lost(tmp_path, _with("    needs: build\n", '    name: a = "b"\n    needs: build\n')) == set()
    assert _lost(tmp_path, _with("    needs: build\n", '    if: a == "b"\n    needs: build\n')) == {"valid"}


def test_the_folder_of_a_deployment_tells_where_it_goes(tmp_path: Path) -> None:
    for step in (
        "run: cd k8s/dev && kubectl apply -k .",
        "{run: kubectl apply -k ., working-directory: k8s/dev}",
    ):
        job = f"needs: build\nsteps: [{step if step.startswith('{') else '{' + step + '}'}]"
        assert _lost(tmp_path, _job("deploy", job)) == set()


def test_recipes() -> None:
    text = dedent(FILES["Makefile"])
    assert recipe(text, ["test"], {"PYTEST": "py"}) == "echo ready\npy --cov=src"
    assert recipe(text, [], {}).endswith("pytest --cov=src")
    assert recipe("a: a b\n\tx $(a\nb: a\n\ty $(B)\nB = $(B)$(B)\n", ["a"], {})
    assert recipe("", ["a"], {}) == ""


def test_recipes_of_pattern_rules() -> None:
    text = dedent("""\
        lint: lint-black lint-ruff
        lint-black: OPTIONS = --check .
        lint-%: ; $(BIN)/$* $(OPTIONS)
        OPTIONS := check .
        BIN := .venv/bin
        deploy-%: k8s/%/all.yaml
        \tkubectl apply -k $(<D) -n exam-$* # $@ $$@ ${<F}
        deploy-dev: build
        build:
        \tmake it
        """)
    assert recipe(text, ["lint"], {}) == ".venv/bin/black --check .\n.venv/bin/ruff check ."
    assert recipe(text, ["lint-black"], {"OPTIONS": "-q"}) == ".venv/bin/black -q"
    applied = "kubectl apply -k k8s/dev -n exam-dev # deploy-dev $@ all.yaml"
    assert recipe(text, ["deploy-dev"], {}) == f"make it\n{applied}"


def test_recipes_of_included_files() -> None:
    files = {
        "mk/*.mk": ["test:\n\tpytest\n", "include again.mk\n"],
        "again.mk": ["include again.mk\nPYTEST = x\nagain: ; $(PYTEST)\n"],
        "local.mk": ["local: ; y\n"],
    }
    text = (
        "DIR := mk\nall: test again local\n"
        "include $(sort $(wildcard $(DIR)/*.mk)) # ours\n-include local.mk\n"
    )
    assert recipe(text, [], {}, lambda glob: files.get(glob, [])) == "pytest\nx\ny"
    assert recipe(text, [], {}) == ""


def test_what_was_not_read_costs_no_point(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAX_ACTS", 3)
    monkeypatch.setattr(checks, "MAX_ACTS", 3)
    context = _context(root, HONEST)
    found = {key: decide(TABLE[check], context, **given) for key, (check, given) in PARTS.items()}
    assert {key: outcome.verdict for key, outcome in found.items()} == {
        **dict.fromkeys(found, Verdict.UNVERIFIED),
        **dict.fromkeys(("valid", "trigger", "test/pytest", "test/coverage"), Verdict.PASSED),
    }
    said = "only the first 3 actions and commands of the workflow were read"
    assert [finding.message for finding in found["test/pytest"].findings] == [said]
    assert found["scan/trivy"].findings[0].message.endswith(f"; {said}")
