"""Marks that repeat, held and spilled, against a plain count."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fielded.world.engines.repeats import Repeats

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.lists(st.one_of(INT64, st.integers(-3, 3)), max_size=30), max_size=20), st.integers(1, 50))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_finds_what_a_counter_finds(tmp_path: Path, batches: list[list[int]], held: int) -> None:
    with Repeats(tmp_path, held=held) as repeats:
        for batch in batches:
            repeats.add(np.array(batch, dtype=np.int64))
        found = repeats.found().tolist()
    counts = Counter(mark for batch in batches for mark in batch)
    assert sorted(found) == sorted(mark for mark, times in counts.items() if times > 1)


@pytest.mark.parametrize("held", [1 << 22, 10_000])
def test_negative_and_positive_marks_of_real_size(tmp_path: Path, held: int) -> None:
    marks = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 200_000)
    with Repeats(tmp_path, held=held) as repeats:
        for part in np.array_split(np.concatenate([marks, marks[:777]]), 41):
            repeats.add(part)
        assert sorted(repeats.found()) == sorted(marks[:777])


def test_leaves_no_file_behind(tmp_path: Path) -> None:
    with Repeats(tmp_path, held=5) as repeats:
        repeats.add(np.arange(20))
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
