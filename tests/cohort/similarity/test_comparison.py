from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from grader.cohort.similarity.comparison import MIN_COMMON, compute
from grader.cohort.similarity.model import Block, Lines, Pair, Reason, Similarity, Trace, Work
from tests.cohort.similarity.copies import write_files

RUN = hashlib.md5(b"run").hexdigest()
OUT = hashlib.md5(b"out").hexdigest()


def program(seed: int, lines: int = 40) -> str:
    """Calls of functions that nobody else calls."""
    rng = random.Random(seed)
    return "".join(f"tool_{rng.randrange(10**6)}.use_{rng.randrange(10**6)}(3)\n" for _ in range(lines))


def cohort(folder: Path, files: dict[str, dict[str, str]], **more: bool) -> list[Work]:
    return [
        Work(name=name, folder=write_files(some, folder / name), **more)  # type: ignore[arg-type]
        for name, some in files.items()
    ]


def names(result: Similarity) -> list[tuple[str, str]]:
    return [(pair.left, pair.right) for pair in result.pairs]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two(count: int, tmp_path: Path) -> None:
    works = cohort(tmp_path, {str(at): {"a.py": program(1)} for at in range(count)})
    assert compute(works) == Similarity(works=count, earlier=0, files=count, pairs=())


def test_independent_work_makes_no_pair(tmp_path: Path) -> None:
    works = cohort(tmp_path, {str(at): {"a.py": program(at)} for at in range(6)})
    assert compute(works).pairs == ()


def test_a_copy_of_one_file_is_found_with_its_lines(tmp_path: Path) -> None:
    works = cohort(
        tmp_path,
        {
            "ann": {"a.py": program(1), "b.py": program(2)},
            "bob": {"x.py": program(3, 10) + program(1), "y.py": program(4), "z.py": program(5)},
            "cyd": {"a.py": program(6)},
        },
    )
    (pair,) = compute(works).pairs
    assert (pair.left, pair.right, pair.reasons) == ("ann", "bob", ())
    assert pair.score > 0.6
    assert 0.3 < pair.whole < 0.5
    (block,) = pair.blocks
    assert (block.left.path, block.right.path) == ("a.py", "x.py")
    assert block.left.first <= 3
    assert (block.left.last, block.right.last) == (40, 50)
    assert block.right.first - block.left.first == 10


def test_what_comes_with_the_exam_does_not_count(tmp_path: Path) -> None:
    starter = write_files({"start.py": program(1)}, tmp_path / "starter")
    works = cohort(tmp_path, {name: {"a.py": program(1)} for name in ("ann", "bob")})
    assert names(compute(works)) == [("ann", "bob")]
    assert compute(works, subtract=[starter]).pairs == ()


def test_what_a_quarter_has_does_not_count_and_is_told(tmp_path: Path) -> None:
    files = {str(at): {"a.py": program(1)} for at in range(MIN_COMMON)}
    result = compute(cohort(tmp_path, files | {"x": {"a.py": program(2)}}))
    assert (result.pairs, result.mostly_shared) == ((), ("0", "1", "2", "3", "4"))
    del files["0"]
    assert len(compute(cohort(tmp_path, files | {"x": {"a.py": program(2)}})).pairs) == 6


def test_a_quarter_of_a_large_cohort_is_more_than_five(tmp_path: Path) -> None:
    files = {f"{at:02}": {"a.py": program(1 if at < 6 else at)} for at in range(28)}
    result = compute(cohort(tmp_path, files))
    assert (len(result.pairs), result.mostly_shared) == (15, ())


def test_what_few_have_weighs_more(tmp_path: Path) -> None:
    shared, rare = program(1), program(2)
    works = cohort(
        tmp_path,
        {
            "a": {"s.py": shared, "own.py": program(3) + rare},
            "b": {"s.py": shared, "own.py": program(4) + rare},
            "c": {"s.py": shared, "own.py": program(5) + program(6)},
            "d": {"own.py": program(7)},
        },
    )
    whole = {(pair.left, pair.right): pair.whole for pair in compute(works, threshold=0).pairs}
    assert whole["a", "b"] > 2 * whole["a", "c"]


def test_a_ring_too_large_for_all_its_pairs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.cohort.similarity.comparison.MAX_POSTING", 2)
    works = cohort(tmp_path, {name: {"a.py": program(1)} for name in "abcd"})
    assert names(compute(works)) == [("a", "b"), ("b", "c"), ("c", "d")]


def test_the_most_alike_come_first_and_not_all(tmp_path: Path) -> None:
    works = cohort(
        tmp_path,
        {
            "a": {"a.py": program(1) + program(5)},
            "b": {"a.py": program(1) + program(6)},
            "c": {"a.py": program(2)},
            "d": {"a.py": program(2)},
        },
    )
    assert names(compute(works)) == [("c", "d"), ("a", "b")]
    assert (names(compute(works, max_pairs=1)), compute(works, max_pairs=1).more_pairs) == ([("c", "d")], 1)


def test_the_order_of_submissions_changes_nothing(tmp_path: Path) -> None:
    works = cohort(tmp_path, {name: {"a.py": program(1), "b.py": program(ord(name))} for name in "abc"})
    assert compute(works[::-1]) == compute(works)


def test_earlier_ones_are_on_the_right_and_not_compared_with_each_other(tmp_path: Path) -> None:
    files = {"a.py": program(1), "n.md": "see /home/jana/x"}
    earlier = cohort(tmp_path / "1", {"2024/x": files, "2024/y": {**files, "b.py": program(2)}}, earlier=True)
    works = cohort(tmp_path / "2", {"zoe": {**files, "c.py": program(3)}})
    result = compute([*works, *earlier])
    assert names(result) == [("zoe", "2024/x"), ("zoe", "2024/y")]
    assert (result.works, result.earlier) == (1, 2)
    assert result.pairs[0].reasons[0] == Reason(trace=Trace.HOME, value="jana", left="n.md", right="n.md")


def test_traces_make_a_pair_of_what_is_not_alike(tmp_path: Path) -> None:
    lock = f"stages:\n  t:\n    deps:\n    - md5: {'0' * 32}\n    outs:\n    - md5: {OUT}\n"
    works = cohort(
        tmp_path,
        {
            "ann": {"a.py": f"{program(1)}uri = 'runs:/{RUN}/model'\n", "dvc.lock": lock},
            "bob": {"k8s/a.yaml": f"run_id: {RUN}\n", "dvc.lock": f"# other\n{lock}"},
            "cyd": {"dvc.lock": lock.replace(OUT, "1" * 32)},
        },
    )
    assert compute(works).pairs == (
        Pair(
            left="ann",
            right="bob",
            score=0.9,
            whole=0.0,
            reasons=(
                Reason(trace=Trace.RUN, value=RUN, left="a.py", right="k8s/a.yaml"),
                Reason(trace=Trace.OUTPUT, value=OUT, left="dvc.lock", right="dvc.lock"),
            ),
        ),
    )


def test_the_hash_of_given_data_is_no_trace(tmp_path: Path) -> None:
    data = write_files({"train.csv": "a,b\n1,2\n"}, tmp_path / "data") / "train.csv"
    pointer = f"outs:\n- md5: {hashlib.md5(data.read_bytes()).hexdigest()}\n  path: train.csv\n"
    works = cohort(tmp_path, {name: {"train.csv.dvc": pointer} for name in ("ann", "bob")})
    assert names(compute(works)) == [("ann", "bob")]
    assert compute(works, subtract=[data]).pairs == ()


def test_the_address_of_another_candidate(tmp_path: Path) -> None:
    (ann, bob) = cohort(tmp_path, {"ann": {"n.md": "by bob@uni.cz"}, "bob": {"n.md": "mine"}})
    bob = Work(name="bob", folder=bob.folder, emails=("Bob@uni.cz",))
    (pair,) = compute([ann, bob]).pairs
    assert pair.reasons == (Reason(trace=Trace.EMAIL, value="bob@uni.cz", left="n.md", right=""),)


def test_two_of_whom_the_same_address_is_known_and_nothing_else(tmp_path: Path) -> None:
    works = [Work(name=name, folder=tmp_path, emails=("team@uni.cz",)) for name in "ab"]
    assert compute(works).pairs == ()


def test_traces_that_a_quarter_has_are_none(tmp_path: Path) -> None:
    files = {str(at): {"n.md": "see /home/teacher/x"} for at in range(MIN_COMMON)}
    assert compute(cohort(tmp_path, files)).pairs == ()


def test_the_same_file_byte_for_byte(tmp_path: Path) -> None:
    model = "".join(map(str, range(200)))
    works = cohort(tmp_path, {"a": {"m.pkl": model, "x.lock": model}, "b": {"n.pkl": model, "x.lock": model}})
    (pair,) = compute(works).pairs
    assert pair.reasons == (Reason(trace=Trace.FILE, value="m.pkl", left="m.pkl", right="n.pkl"),)


def test_pieces_in_another_order_are_blocks_of_their_own(tmp_path: Path) -> None:
    one, other = program(1, 20), program(2, 20)
    works = cohort(tmp_path, {"a": {"a.py": one + other}, "b": {"a.py": other + one}})
    (pair,) = compute(works).pairs
    places = {(block.left.first > 15, block.right.first > 15) for block in pair.blocks}
    assert places == {(False, True), (True, False)}
    assert isinstance(pair.blocks[0], Block)
    assert isinstance(pair.blocks[0].left, Lines)
    assert pair.more_blocks == 0


def test_little_in_common_is_nothing_in_common(tmp_path: Path) -> None:
    works = cohort(tmp_path, {name: {"a.py": program(1, 3)} for name in "ab"})
    assert compute(works).pairs == ()
