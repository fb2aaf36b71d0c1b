"""The bundled exam, in a copy in which everything that an exam may name has another name.

That is: sections, tasks, criteria, parts, deliverables, scenarios and worlds; experiments, runs, models and
metrics; files, columns, endpoints and alerts; the branch, the ports and the model's class. What others lay
down keeps its name: the stages of MLflow's registry and its `Default` experiment; files that git, DVC,
pre-commit and make look for, and their folders; the parameters of scikit-learn's classes; keys of
Kubernetes, GitHub and Prometheus; and this grader's checks and their parameters.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import yaml

from grader.exam.bundled import FIXTURES, REFERENCE_SOLUTION, ROOT, RUBRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

WORDS: Mapping[str, str] = {
    # on the tracking server
    "exam-training": "contest-fits",
    "ExamClassifier": "LeaverGuesser",
    "accuracy": "hit_share",
    "precision": "exactness",
    "recall": "completeness",
    "f1": "balance",
    "RandomForestClassifier": "ExtraTreesClassifier",
    "amber-finch": "red-barrel",
    "plain-shrew": "tall-candle",
    "brisk-otter": "wide-drawer",
    "lost-lynx": "old-engine",
    "calm-heron": "grey-funnel",
    "even-mole": "thin-gasket",
    "loud-raven": "warm-hammer",
    "deft-crane": "new-kettle",
    "glad-stoat": "blue-ladder",
    "proud-swan": "long-mallet",
    "weary-toad": "soft-needle",
    # files
    "src": "parts",
    "train.csv": "members.csv",
    "train_clean.csv": "members_clean.csv",
    "baseline.csv": "before.csv",
    "current.csv": "today.csv",
    "model.pkl": "forest.pkl",
    "train.py": "fit_forest.py",
    "preprocess.py": "tidy.py",
    "query_best.py": "find_top.py",
    "*query*": "*find*",
    "*query*.py": "*find*.py",
    "register_model.py": "enrol.py",
    "*regist*": "*enrol*",
    "*register*.py": "*enrol*.py",
    "detect_drift.py": "compare.py",
    "batch_score.py": "in_bulk.py",
    "api.py": "service.py",
    "src.api": "parts.service",
    "from src import api": "from parts import service as api",
    "test_api.py": "test_service.py",
    "Dockerfile.train": "Dockerfile.fit",
    "Dockerfile.api": "Dockerfile.service",
    "requirements-lock.txt": "pinned.txt",
    "alerts.yml": "pages.yml",
    "alerts.yaml": "pages.yaml",
    "deployment.yaml": "rollout.yaml",
    "deployment.yml": "rollout.yml",
    "ci-cd.yml": "on-push.yml",
    "ci-cd.yaml": "on-push.yaml",
    "dvc_setup.sh": "dvc_commands.sh",
    "drift_report.html": "comparison.html",
    # the API
    "/health": "/alive",
    "/ready": "/loaded",
    "/predict": "/guess",
    "/metrics": "/numbers",
    "healthy": "well",
    "features": "members",
    "predictions": "guesses",
    "model_version": "forest_version",
    # columns
    "prediction": "guess",
    "prediction_time": "guessed_at",
    "tenure": "months",
    # monitoring
    "HighErrorRate": "TooManyFaults",
    "HighLatency": "TooSlow",
    "ModelNotLoaded": "NoForest",
    "api_errors_total": "service_faults_total",
    "api_requests_total": "service_calls_total",
    "api_request_duration_seconds": "service_call_seconds",
    "api_request_duration_seconds_bucket": "service_call_seconds_bucket",
    "model_loaded": "forest_loaded",
    # elsewhere
    "mlops-mock-exam-1": "renamed-contest",
    "exam-api": "contest-service",
    "ghcr.io/exam/api": "ghcr.io/contest/service",
    "mlops-exam": "contest-bucket",
    "dvc-store": "vault",
    "docker-build": "make-image",
    "deploy-dev": "ship-dev",
    "preprocess": "tidy",
    "5000": "5055",
    "8000": "8055",
    "9000": "9099",
}
"""Whole words of all texts. Where one is part of another, the longer one counts."""

RULES: tuple[tuple[str, str, str], ...] = (
    # Words that mean something else in other places: glob of files, pattern, replacement.
    ("reference_solution/.github/workflows/*", r"\bmain\b", "trunk"),
    ("rubrics/exam.md", r"\bmain\b", "trunk"),
    ("reference_solution/dvc.*", r"(?m)^  train:$", "  fit:"),
    ("reference_solution/src/*.py", r'"target"', '"leaver"'),
    ("fixtures/data/*.csv", r"\btarget\b", "leaver"),
    ("fixtures/data/raw/*.csv", r"\btarget\b", "leaver"),
    ("fixtures/data/*.csv", r"\btenure\b", "months"),
    ("fixtures/data/raw/*.csv", r"\btenure\b", "months"),
    # The reference leans on names that it does not need, so that a grader that knows others is found out:
    # what a run calls its model, the server's port, and the branch that is pushed to.
    ("reference_solution/src/train.py", r'artifact_path="model"', 'artifact_path="forest"'),
    ("reference_solution/src/register_model.py", r"run_id}/model\b", "run_id}/forest"),
    ("reference_solution/src/query_best.py", r"os\.environ\.get\(\"MLFLOW_TRACKING_URI\", (.+?)\)", r"\1"),
    (
        "reference_solution/.github/workflows/*",
        r"run: (pytest .+)",
        "run: \"${{ github.ref_name == 'trunk' && '\\1' || 'true' }}\"",
    ),
)
VALUES: Mapping[tuple[str, str], str] = {
    # Values of a rubric that are as short: key and value.
    ("branch", "main"): "trunk",
    ("stage", "train"): "fit",
    ("reruns", "train"): "fit",
    ("target", "target"): "leaver",
}
UNTOUCHED = ("requirements-lock.txt", "*.schema.json", "CHECKS.md", "make_data.py")
"""Names of packages, and what describes the checks."""


def _pattern(words: Mapping[str, str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


_WORDS = _pattern(WORDS)


def in_other_words(text: str) -> str:
    """A text with every word of the table replaced."""
    return _WORDS.sub(lambda match: WORDS[match[0]], text)


def names_in(text: str) -> frozenset[str]:
    """The words of the table that stand in a text."""
    return frozenset(_WORDS.findall(text))


def renamed_exam(folder: Path) -> Path:
    """Write the exam, its given data and its reference solution below a folder; returns that of exam.yaml."""
    digests = dict[str, str]()
    for top in (FIXTURES / "data", RUBRICS, REFERENCE_SOLUTION):  # data first: others name their digests
        for source in sorted(path for path in top.rglob("*") if path.is_file()):
            place = source.relative_to(ROOT)
            if "__pycache__" in place.parts or any(part.endswith("_cache") for part in place.parts):
                continue
            data = source.read_bytes()
            if not any(source.match(pattern) for pattern in UNTOUCHED):
                renamed = _rename_file(place, data.decode()).encode()
                digests[_digest(data)] = _digest(renamed)
                for old, new in digests.items():
                    renamed = renamed.replace(old.encode(), new.encode())
                data = renamed
            elif source.suffix in (".json", ".md", ".py"):
                continue
            target = folder / _rename_place(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(source.stat().st_mode)
    return folder / RUBRICS.relative_to(ROOT)


def _digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _rename_place(place: Path) -> str:
    renamed = in_other_words(place.as_posix())
    return f"{place.parent}/{_task(place.stem)}.yaml" if _is_rubric(place) else renamed


def _rename_file(place: Path, text: str) -> str:
    if place.suffix == ".csv":  # whose cells are numbers
        return _by_rules(place, text)
    if place.parts[0] == "rubrics" and place.suffix == ".yaml":
        data = yaml.safe_load(text)
        return yaml.safe_dump(_rubric(data) if _is_rubric(place) else _exam(data), sort_keys=False)
    return in_other_words(_by_rules(place, text))


def _by_rules(place: Path, text: str) -> str:
    for glob, pattern, replacement in RULES:
        if place.match(glob):
            text = re.sub(pattern, replacement, text)
    return text


# --- exam.yaml and rubrics: what is a name there, the key tells ------------------------------------------

KEYS_ARE_WORDS = frozenset({"data", "files", "metrics", "arguments", "params", "expect"})
"""Mappings whose keys are names of the exam's own."""
DELIVERABLES = frozenset(
    {"file", "script", "lock", "project", "hooks", "tracked", "config", "pipeline", "params", "training"}
    | {"answers", "logged_by", "named_by"}
)
"""Keys whose value may be the id of a deliverable."""


def _is_rubric(place: Path) -> bool:
    return place.parts[0] == "rubrics" and place.suffix == ".yaml" and place.stem != "exam"


def _task(name: str) -> str:
    return f"T{name.replace('.', 'x')}"


def _criterion(name: str) -> str:
    """`3.1.runs` -> `T3x1.runs-criterion`; with a part of it, `4.1.ready/with_model`, likewise."""
    whole, slash, part = name.partition("/")
    task, _, own = whole.rpartition(".")
    return f"{_task(task)}.{own}-criterion{slash}{_part(part) if part else ''}"


def _part(name: str) -> str:
    return f"{name}-part"


def _deliverable(name: str) -> str:
    return f"{name}_asked"


def _scenario(name: str) -> str:
    return f"{name}_scene"


def _world(name: str) -> str:
    return f"{name}_setting"


def _label(name: str) -> str:
    return f"{name}_one"


def _deliverable_ids() -> Iterator[str]:
    for path in RUBRICS.glob("*.yaml"):
        yield from yaml.safe_load(path.read_text()).get("deliverables", {})


IDS = frozenset(_deliverable_ids())


def _exam(data: dict[str, Any]) -> dict[str, Any]:
    del data["corpus"]  # it is of the exam as it was
    data["worlds"] = {_world(name): world for name, world in data["worlds"].items()}
    for world in data["worlds"].values():
        if "models" in world:
            world["models"] = _keys(world["models"], _label)
            world["files"] = {path: _label(label) for path, label in world["files"].items()}
            for run in world["runs"]:
                if "model" in run:
                    run["model"] = _label(run["model"])
    for section in data["sections"]:
        section["id"] = f"S{section['id']}"
        for task in section["tasks"]:
            task["id"] = _task(task["id"])
    renamed: dict[str, Any] = _words(data)
    return renamed


def _rubric(data: dict[str, Any]) -> dict[str, Any]:
    data["task"] = _task(data["task"])
    data["deliverables"] = _keys(data.get("deliverables", {}), _deliverable)
    if "scenarios" in data:
        data["scenarios"] = _keys(data["scenarios"], _scenario)
    for scenario in data.get("scenarios", {}).values():
        for key in ("faults", "refused"):
            if key in scenario:
                scenario[key] = _keys(scenario[key], _label)
        if "world" in scenario:
            scenario["world"] = _world(scenario["world"])
    for criterion in data["criteria"]:
        parts = criterion.get("parts", [])
        siblings = {part["id"] for part in parts}
        criterion["id"] = _criterion(criterion["id"])
        for part in parts:
            part["id"] = _part(part["id"])
        for each in (criterion, *parts):
            if "needs" in each:
                each["needs"] = [_part(n) if n in siblings else _criterion(n) for n in each["needs"]]
            given = each.get("with", {})
            if "scenario" in given:
                given["scenario"] = _scenario(given["scenario"])
            for key, of in (("fault", "tests.notice"), ("kind", "serving.refuses")):
                if each.get("check") == of:
                    given[key] = _label(given[key])
    renamed: dict[str, Any] = _words(data)
    return renamed


def _keys(data: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    return {rename(key): value for key, value in data.items()}


def _words(value: Any, key: str = "") -> Any:
    """Values in other words, and keys where they are words too."""
    if isinstance(value, dict):
        of_words = key in KEYS_ARE_WORDS
        return {
            in_other_words(name) if of_words else name: _words(each, name) for name, each in value.items()
        }
    if isinstance(value, list):
        return [_words(each, key) for each in value]
    if not isinstance(value, str):
        return WORDS_OF_NUMBERS.get(value, value) if type(value) is int else value
    if key in DELIVERABLES and value in IDS:
        return _deliverable(value)
    return VALUES.get((key, value)) or in_other_words(value)


WORDS_OF_NUMBERS = {int(old): int(new) for old, new in WORDS.items() if old.isdecimal()}
