from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.places import MAX_LINE, places_of
from grader.results import Finding, Place
from grader.submission.model import Submission

if TYPE_CHECKING:
    from pathlib import Path


def test_what_findings_name_is_looked_up(tmp_path: Path) -> None:
    files = {
        "a.py": "".join(f"line {number}\n" for number in range(1, 11)),
        "src/b c.yaml": "x" * 1000,
        "src/odd:12": "first",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "model.pkl").write_bytes(b"\xff\x00")
    names = tuple(PurePosixPath(name) for name in sorted((*files, "model.pkl")))
    submission = Submission(name="x", root=tmp_path, files=names)
    wheres = [
        "a.py:1",
        "a.py:5, src/b c.yaml:1",
        "a.py",
        "a.py:0",
        "a.py:9999999",
        "a.py:99999999",
        "model.pkl:3",
        "python a.py --x",
        "GET /ready",
        "missing.py:3",
        "../a.py:3",
        "src/odd:12",
        "",
    ]
    found = places_of([Finding(message="m", where=where) for where in wheres], submission)
    whole = Place(path="a.py")
    assert found == {
        "a.py:1": (Place(path="a.py", line=1, first=1, lines=tuple(f"line {n}" for n in range(1, 5))),),
        "a.py:5, src/b c.yaml:1": (
            Place(path="a.py", line=5, first=2, lines=tuple(f"line {n}" for n in range(2, 9))),
            Place(path="src/b c.yaml", line=1, first=1, lines=("x" * MAX_LINE,)),
        ),
        "a.py": (whole,),
        "a.py:0": (whole,),
        "a.py:9999999": (whole,),
        "model.pkl:3": (Place(path="model.pkl"),),
        "python a.py --x": (whole,),
        "src/odd:12": (Place(path="src/odd:12"),),
    }
