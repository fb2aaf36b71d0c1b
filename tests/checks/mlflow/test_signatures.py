from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.mlflow.signatures import logs_signature
from tests.builders import make_context

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model', signature=infer_signature(x, y))\n", True),
        ("import mlflow\nmlflow.sklearn.log_model(sk_model=m, name='model', input_example=x[:5])\n", True),
        ("import mlflow\noptions = {'signature': s}\nmlflow.sklearn.log_model(m, 'm', **options)\n", True),
        ("import mlflow.sklearn\nmlflow.sklearn.autolog()\n", True),
        ("import mlflow.sklearn\nmlflow.sklearn.autolog(log_models=False)\n", None),
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model')\n", False),
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model', signature=None)\n", False),
        ("import mlflow\nmlflow.log_metric('accuracy', 1)\n", None),
        ("from logs import log\nlog(1)\n", True),
        ("def (", None),
    ],
)
def test_whether_training_logs_a_signature(tmp_path: Path, train: str, expected: bool | None) -> None:
    files: dict[str, str | bytes] = {
        "src/train.py": train,
        "src/logs.py": "import mlflow\n\ndef log(m):\n    mlflow.sklearn.log_model(m, 'm', signature=s)\n",
    }
    context = make_context(tmp_path, files, deliverables={"train": "src/train.py"})
    assert logs_signature(context, ("train", "register")) is expected
