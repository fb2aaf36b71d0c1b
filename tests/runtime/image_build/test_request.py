from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.docker_engine import Engine
from grader.runtime.cache import Cache
from grader.runtime.image_build.request import KIND, BuildLimits, Built, Request, Step, _cached, build_inputs
from grader.runtime.image_build.worker import NETWORK, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENGINE = Engine(address="unix:///x", version="20")
IMAGES = {"python:3.11": "sha256:a"}


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "a").write_text("1")
    return Request(
        files={"a": tmp_path / "a"},
        dockerfile="Dockerfile",
        steps=(Step("FROM python:3.11\n", 1), Step("")),
        images=("python:3.11",),
    )


OTHER: dict[str, Any] = {
    "files": {},
    "dockerfile": "Containerfile",
    "steps": (Step("FROM python:3.11\n", 2), Step("")),
    "buildkit": True,
    "control": ("true",),
    "limits": BuildLimits(threads=7),
}


@pytest.mark.parametrize("name", OTHER)
def test_builds_that_differ_in_anything_are_not_the_same(request_: Request, name: str) -> None:
    changed = replace(request_, **{name: OTHER[name]})
    assert build_inputs(changed, IMAGES, ENGINE) != build_inputs(request_, IMAGES, ENGINE)


def test_every_part_of_a_request_counts() -> None:
    """Names of images count by the ids that they have; what is kept afterwards changes nothing."""
    assert {field.name for field in fields(Request)} == {*OTHER, "images", "keep"}


def test_what_surrounds_a_build_counts(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [build_inputs(request_, IMAGES, ENGINE)]
    found.append(build_inputs(request_, {"python:3.11": "sha256:b"}, ENGINE))
    found.append(build_inputs(request_, IMAGES, replace(ENGINE, version="21")))
    monkeypatch.setenv(NETWORK, "mirror")
    found.append(build_inputs(request_, IMAGES, ENGINE))
    monkeypatch.setenv("HTTPS_PROXY", "http://me:password@proxy")
    found.append(build_inputs(request_, IMAGES, ENGINE))
    (tmp_path / "a").chmod(0o755)
    found.append(build_inputs(request_, IMAGES, ENGINE))
    (tmp_path / "a").write_text("2")
    found.append(build_inputs(request_, IMAGES, ENGINE))
    texts = [json.dumps(each, sort_keys=True) for each in found]
    assert len(set(texts)) == len(texts)
    assert "password" not in "".join(texts)


def test_the_same_build_is_made_once(tmp_path: Path, request_: Request) -> None:
    cache, made = Cache(tmp_path / "cache"), []

    def make() -> Built:
        made.append(1)
        return Built(outcome="failed", reason="it does", line=len(made))

    inputs: Mapping[str, Any] = build_inputs(request_, IMAGES, ENGINE)
    assert [_cached(cache, inputs, make) for _ in range(2)] == [
        Built(outcome="failed", reason="it does", line=1)
    ] * 2
    assert cache.find(KIND, inputs)


def test_what_could_not_be_tried_is_tried_again(tmp_path: Path, request_: Request) -> None:
    cache, inputs = Cache(tmp_path / "cache"), build_inputs(request_, IMAGES, ENGINE)
    assert _cached(cache, inputs, lambda: Built(outcome=UNDECIDED)).outcome == UNDECIDED
    assert _cached(cache, inputs, lambda: Built(outcome="built")).outcome == "built"
