"""No probe gets anywhere from any program, and an honest program that tries them loses nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.hostile.attacks import prepare
from tests.hostile.grading import Target, complaints
from tests.hostile.probes import SECRET, Probe, Witness, all_probes, attempt_outside, load_probes, witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with witness(tmp_path_factory.mktemp("outside")) as found:
        yield found


@pytest.mark.parametrize("probe", load_probes(), ids=lambda probe: probe.name)
def test_a_probe_gets_there_where_no_sandbox_is(probe: Probe, there: Witness) -> None:
    if probe.root and os.geteuid() != 0:
        pytest.skip("only root gets there")
    said = attempt_outside(probe, there)
    if probe.optional and "PWNED" not in said:
        pytest.skip(f"not on this kernel: {said}")
    assert "PWNED" in said


def test_no_probe_gets_anywhere_in_a_grade(
    isolation: str, target: Target, there: Witness, folder: Path
) -> None:
    if isolation == "none":
        pytest.skip("it is no sandbox")
    attack = all_probes(there)
    prepared = prepare([attack], folder / "submission", folder / "outside")
    target.give(folder)
    outcome = target.grade(prepared.source, tasks=attack.tasks, seconds=attack.seconds, **{SECRET: "x"})
    if wrong := complaints(outcome, [attack]):
        pytest.fail("\n".join(wrong), pytrace=False)
