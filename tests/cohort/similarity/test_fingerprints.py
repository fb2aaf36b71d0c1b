from __future__ import annotations

import random

import pytest

from grader.cohort.similarity.fingerprints import LENGTH, WINDOW, all_hashes, token_hash, winnow
from grader.cohort.similarity.tokens import Kind

PROGRAM = Kind.PROGRAM
K = LENGTH[PROGRAM]


def numbered(words: list[str]) -> list[tuple[str, int]]:
    return [(word, number) for number, word in enumerate(words, 1)]


def random_words(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [str(rng.randrange(50)) for _ in range(count)]


def test_what_is_shorter_than_a_hash_has_none() -> None:
    assert winnow(numbered(["x"] * (K - 1)), PROGRAM, "s").hashes.tolist() == []


def test_hashes_are_the_same_everywhere() -> None:
    assert token_hash("def") == 0x4A32B093DC64C977
    assert all_hashes(numbered([str(each) for each in range(K)]), PROGRAM, "python").tolist() == [
        0x17A06494B1A12054
    ]


def test_hashes_are_those_of_a_plain_computation() -> None:
    words = random_words(40, 1)

    def plain(start: int) -> int:
        value = token_hash("s")
        for word in words[start : start + K]:
            value = (value * 0x9E3779B97F4A7C15 + token_hash(word)) % 2**64
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            value = (value ^ (value >> shift)) * factor % 2**64
        return value ^ (value >> 31)

    assert all_hashes(numbered(words), PROGRAM, "s").tolist() == [plain(at) for at in range(40 - K + 1)]


def test_winnowing_is_that_of_the_paper() -> None:
    words = numbered(random_words(300, 2))
    hashes = all_hashes(words, PROGRAM, "s").tolist()
    kept: list[int] = []
    for start in range(len(hashes) - WINDOW + 1):
        window = range(start, start + WINDOW)
        place = min(window, key=lambda at: (hashes[at], -at))
        if place not in kept:
            kept.append(place)
    found = winnow(words, PROGRAM, "s")
    assert found.hashes.tolist() == [hashes[at] for at in kept]
    assert found.first.tolist() == [at + 1 for at in kept]
    assert found.last.tolist() == [at + K for at in kept]


@pytest.mark.parametrize("seed", range(20))
def test_enough_in_common_is_always_found(seed: int) -> None:
    same = random_words(K + WINDOW - 1, 99)
    texts = [[*random_words(seed, at), *same, *random_words(30, at + 50)] for at in (1, 2)]
    one, other = (set(winnow(numbered(text), PROGRAM, "s").hashes.tolist()) for text in texts)
    assert one & other


def test_words_of_two_languages_are_not_alike() -> None:
    words = numbered(random_words(50, 3))
    one, other = (set(all_hashes(words, PROGRAM, salt).tolist()) for salt in ("python", "yaml"))
    assert not one & other


@pytest.mark.parametrize("count", range(K, K + WINDOW + 1))
def test_a_short_text_has_a_fingerprint(count: int) -> None:
    assert len(winnow(numbered(random_words(count, 4)), PROGRAM, "s").hashes) >= 1
