"""Times the search for similar submissions, and shows how far copies and independent work are apart.

    python benchmarks/similarity.py [--works N ...] [--jobs N] [--separation]

Cohorts are made of the reference solution, with many of its words replaced by each candidate's own, so that
submissions have its size and its kinds of file; of every fifty, one is a disguised copy of another. For
each cohort it prints seconds for reading and comparing, peak memory, and how many copies were found.
`--separation` compares disguised copies of every whole submission with all others.
"""

from __future__ import annotations

import argparse
import keyword
import random
import re
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from grader.cohort.similarity.comparison import THRESHOLD, compare  # noqa: E402
from grader.cohort.similarity.model import Work  # noqa: E402
from grader.cohort.similarity.reading import read, read_all, read_given  # noqa: E402
from tests.cohort.similarity.copies import (  # noqa: E402
    GIVEN,
    KINDS,
    disguise,
    files_of,
    partly,
    whole_submissions,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

COPY_EVERY = 50
OWN_WORDS = 0.4
"""Share of the words that each candidate has for themselves; of runs of twelve tokens nearly all differ."""
_WORD = re.compile(r"\b[a-z][a-z_]{3,}\b")


def varied(files: Mapping[str, str], seed: int) -> dict[str, str]:
    """The files as somebody else might have written them, of nearly the same length."""
    rng = random.Random(seed)

    def other(match: re.Match[str]) -> str:
        word = match[0]
        if keyword.iskeyword(word) or rng.random() > OWN_WORDS:
            return word
        return f"{word[:-2]}{rng.randrange(100):02}"

    return {name: _WORD.sub(other, text) for name, text in files.items()}


def make_cohort(count: int, folder: Path) -> tuple[list[Work], set[tuple[str, str]]]:
    """Submissions, and the pairs of which one is a copy."""
    base = files_of(ROOT / "reference_solution")
    works, copies = [], set()
    for number in range(count):
        name = f"{number:05}"
        files = varied(base, number)
        if number % COPY_EVERY == COPY_EVERY - 1:
            files = disguise(varied(base, number - 1))
            copies.add((f"{number - 1:05}", name))
        works.append(Work(name=name, folder=write_files(files, folder / name)))
    return works, copies


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for: on a busy machine these say more."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def time_cohort(count: int, jobs: int) -> float:
    """Print one line; return the processor's seconds in all."""
    with tempfile.TemporaryDirectory() as scratch:
        works, copies = make_cohort(count, Path(scratch))
        started, used = time.perf_counter(), cpu_seconds()
        readings = read_all(works, jobs)
        given = read_given(GIVEN)
        between = time.perf_counter()
        result = compare(works, readings, given)
        ended, used = time.perf_counter(), cpu_seconds() - used
    found = {(pair.left, pair.right) for pair in result.pairs}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = ended - started
    print(
        f"{count:>6} submissions  {seconds:6.1f} s: read {between - started:6.1f},"
        f" compare {ended - between:5.1f}; cpu {used:6.1f} s"
        f"  {memory:5.0f} MiB"
        f"  copies {len(found & copies)} of {len(copies)}, others {len(found - copies)}"
    )
    return used


def separation() -> None:
    """Print the highest score of independent work, and the lowest of each kind of copy."""
    given = read_given(GIVEN)
    folders = whole_submissions()
    works = [Work(name=name, folder=folder) for name, folder in folders.items()]
    readings = {work.name: read(work) for work in works}
    files = {name: files_of(folder) for name, folder in folders.items()}
    honest = compare(works, [readings[work.name] for work in works], given, threshold=0).pairs
    print(f"threshold {THRESHOLD}")
    print(f"independent: at most {honest[0].score:.3f} of {len(works) * (len(works) - 1) // 2} pairs")
    for kind in (*KINDS, "partly"):
        scores = {}
        for name, own in pairwise([*folders, next(iter(folders))]):
            made = KINDS[kind](files[name]) if kind in KINDS else partly(files[name], files[own])
            with tempfile.TemporaryDirectory() as scratch:
                copy = Work(name="zz-copy", folder=write_files(made, Path(scratch)))
                reading = read(copy)
            others = [work for work in works if kind in KINDS or work.name != own]
            found = compare(
                [*others, copy], [*(readings[work.name] for work in others), reading], given, threshold=0
            )
            scores[name] = next(
                (pair.score for pair in found.pairs if (pair.left, pair.right) == (name, "zz-copy")), 0.0
            )
        lowest = min(scores, key=lambda name: scores[name])
        print(f"{kind:>11}: at least {scores[lowest]:.3f} of {len(scores)} copies ({lowest})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--works", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--separation", action="store_true")
    settings = parser.parse_args()
    if settings.separation:
        separation()
        return
    seconds = {count: time_cohort(count, settings.jobs) for count in settings.works}
    for few, many in pairwise(seconds):
        print(f"{many / few:.1f} times as many: {seconds[many] / seconds[few]:.1f} times the work")


if __name__ == "__main__":
    main()
