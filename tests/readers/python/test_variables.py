from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.readers.python.module import Module
from grader.readers.python.variables import Variables, variables
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("source", "required", "wanted"),
    [
        ("import os\nos.environ['A']\nos.environ['B'] = 1", {"A"}, set()),
        ("from os import environ, getenv\nenviron['A']\ngetenv('B')", {"A"}, {"B"}),
        ("import os\nos.getenv('A', 'x')\nos.environ.get('B') or 'y'\nos.environ.get('C')", set(), {"C"}),
        ("from decouple import config\nconfig('A')\nconfig('B', default=1)", {"A"}, set()),
        (
            (
                "class S(BaseSettings):\n    model_name: str\n    stage: str = 'x'\n"
                "    uri: str = Field(...)\n"
                "    level: int = Field(default=1)\n"
                "    model_config = SettingsConfigDict(env_prefix='APP_')"
            ),
            {"APP_MODEL_NAME", "APP_URI"},
            set(),
        ),
        ("class S(BaseModel):\n    name: str", set(), set()),
    ],
)
def test_variables_without_a_default(root: Path, source: str, required: set[str], wanted: set[str]) -> None:
    file = make_submission(root, {"src/x.py": source}).file("src/x.py")
    assert file is not None
    assert variables([Module(file)]) == Variables(frozenset(required), frozenset(wanted))
