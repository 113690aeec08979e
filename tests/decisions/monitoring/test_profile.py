"""A profile counts what a person would count, and its text gives back every number or is refused."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.decisions.monitoring.profile import Profile, counted, place_rows, profile_of
from fielded.definition.deployment import Feature
from fielded.words.errors import Refused, WrongUse
from profiled_rows import FEATURES, KINDS, SLICES, rows, scores

TRAINING = rows(3000, 0)
PROFILE = profile_of(FEATURES, SLICES, TRAINING, scores(TRAINING))


def test_the_reference_is_training_counted_overall_and_by_part() -> None:
    assert list(PROFILE.grids) == [*FEATURES, "score"]
    assert PROFILE.rows == PROFILE.reference.rows() == 3000
    again = counted(PROFILE, TRAINING)
    assert set(again.counts) == set(PROFILE.reference.counts)
    for place, held in again.counts.items():
        for name, counts in held.items():
            assert np.array_equal(counts, PROFILE.reference.of(place, name)), (place, name)


def test_counts_of_a_part_are_those_of_a_plain_filter() -> None:
    window = rows(700, 1, shift=0.4)
    whole = counted(PROFILE, window)
    hull = window.filter(pc.equal(window.column("kind"), "hull"))
    edges = np.concatenate([[-math.inf], PROFILE.grids["hours"].edges, [math.inf]])
    expected = np.append(np.histogram(hull.column("hours").to_numpy(), edges)[0], 0)
    assert np.array_equal(whole.of(Place("kind", "hull"), "hours"), expected)
    new = window.filter(pc.equal(window.column("kind"), "new")).num_rows
    assert whole.rows(Place("kind", "other")) == new > 0
    quoted = window.filter(pc.equal(window.column("kind"), "null")).num_rows
    assert whole.rows(Place("kind", '"null"')) == quoted > 0
    assert whole.rows(Place("age", "null")) == window.column("age").null_count
    assert whole.rows(Place("urgent", "true")) == pc.sum(window.column("urgent")).as_py()


def test_the_smallest_and_the_largest_value_of_training_are_the_outer_edges() -> None:
    hours = TRAINING.column("hours").to_numpy()
    edges = PROFILE.grids["hours"].edges
    assert edges[0] == hours.min()
    assert edges[-1] == np.nextafter(hours.max(), math.inf)
    assert PROFILE.reference.of(OVERALL, "hours")[[0, -2]].tolist() == [0, 0]


def test_scores_may_be_of_other_rows_than_training() -> None:
    held_out = rows(400, 5)
    profile = profile_of(FEATURES, ("kind",), TRAINING, scores(held_out), held_out)
    assert profile.rows == 3000
    assert profile.reference.of(OVERALL, "score").sum() == 400
    assert profile.reference.of(OVERALL, "age").sum() == 3000
    hull = pc.sum(pc.equal(held_out.column("kind"), "hull")).as_py()
    assert profile.reference.of(Place("kind", "hull"), "score").sum() == hull
    assert Profile.parse(profile.to_text()).to_text() == profile.to_text()


def test_a_part_that_only_one_side_has_counts_nothing_on_the_other() -> None:
    held_out = rows(400, 5, shift=0.3).filter(pc.not_equal(rows(400, 5, shift=0.3).column("kind"), "hull"))
    profile = profile_of(FEATURES, ("kind",), TRAINING, scores(held_out), held_out)
    new, hull = Place("kind", "other"), Place("kind", "hull")
    assert profile.reference.of(new, "score").sum() > 0
    assert profile.reference.of(new, "age").sum() == profile.reference.of(hull, "score").sum() == 0
    again = Profile.parse(profile.to_text())
    assert again.to_text() == profile.to_text()
    assert {place: set(held) for place, held in again.reference.counts.items()} == {
        place: set(held) for place, held in profile.reference.counts.items()
    }


def test_what_rows_do_not_have_is_null_and_no_score_is_not_counted() -> None:
    old = TRAINING.select(["hours", "kind"]).slice(0, 10)
    places = place_rows(PROFILE, old)
    assert "score" not in places
    assert places["age"].tolist() == [PROFILE.grids["age"].bins - 1] * 10
    assert counted(PROFILE, old, ["age"]).rows(Place("age", "null")) == 10
    with pytest.raises(WrongUse, match="slices: got hours, expected one of the profile's: kind, age, urgent"):
        counted(PROFILE, old, ["hours"])


def test_whole_numbers_no_float_has_and_encoded_texts_are_counted() -> None:
    many = pa.table(
        {"orders": pa.array([2**53 + 1, 2], pa.int64()), "kind": pa.array(["hull", None]).dictionary_encode()}
    )
    places = place_rows(PROFILE, many)
    assert places["orders"][0] == PROFILE.grids["orders"].bins - 2
    assert places["kind"].tolist() == [
        PROFILE.grids["kind"].categories.index("hull"),
        PROFILE.grids["kind"].bins - 1,
    ]


def test_a_text_gives_back_every_number_and_is_plain() -> None:
    text = PROFILE.to_text()
    again = Profile.parse(text)
    assert again.to_text() == text
    assert text.isascii()
    assert again.slices == SLICES
    for name, grid in PROFILE.grids.items():
        assert again.grids[name].edges.tobytes() == grid.edges.tobytes()
        assert (again.grids[name].categories, again.grids[name].kind) == (grid.categories, grid.kind)
    for place, held in PROFILE.reference.counts.items():
        assert all(np.array_equal(counts, again.reference.of(place, name)) for name, counts in held.items())
    assert set(KINDS) == set(again.grids["kind"].categories)


def test_eight_features_take_less_than_eight_kilobytes() -> None:
    rng = np.random.default_rng(0)
    features = {f"f{number}": Feature(type="float") for number in range(6)}
    features |= {"kind": Feature(type="category"), "hull": Feature(type="category")}
    table = pa.table(
        {f"f{number}": rng.lognormal(3, 1, 100_000) for number in range(6)}
        | {name: [f"{name}-{number}" for number in rng.integers(0, 15, 100_000)] for name in ("kind", "hull")}
    )
    profile = profile_of(features, (), table, rng.random(100_000))
    assert len(profile.to_text()) <= 8_000
    sliced = profile_of(features, ("kind",), table, rng.random(100_000))
    assert len(sliced.to_text()) - len(profile.to_text()) <= 17 * 1500


def test_a_column_of_nulls_alone_can_be_profiled() -> None:
    nothing = pa.table({"age": pa.array([None, None], pa.float64())})
    profile = profile_of({"age": Feature(type="float", nullable=True)}, ("age",), nothing, np.array([0.1, 0.2]))
    again = Profile.parse(profile.to_text())
    assert again.parts("age").names == ("any", "null")
    found = counted(again, pa.table({"age": [3.0, None], "score": [0.5, 0.5]}))
    assert found.of(OVERALL, "age").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["age"]), r"features\.age: got no such column"),
        (lambda table: table.slice(0, 0), "profile: got no rows"),
        (lambda table: table.set_column(0, "hours", pa.array(["x"] * 50)), r"features\.hours: got 50 values that"),
        (lambda table: table.set_column(0, "hours", pa.array([True] * 50)), r"features\.hours: got bool"),
    ],
)
def test_rows_that_are_none_of_training_are_refused(change: Callable[[pa.Table], pa.Table], message: str) -> None:
    table = change(TRAINING.slice(0, 50))
    with pytest.raises(WrongUse, match=message):
        profile_of(FEATURES, SLICES, table, np.zeros(table.num_rows))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.zeros(49), r"scores: got shape \(49,\), expected \(50,\)"),
        (np.zeros((50, 2)), r"scores: got shape \(50, 2\)"),
        (np.full(50, 1.5), r"scores: got one outside \[0, 1\]"),
        (np.full(50, math.nan), r"scores: got one outside \[0, 1\]"),
    ],
)
def test_scores_that_are_none_are_refused(found: np.ndarray, message: str) -> None:
    with pytest.raises(WrongUse, match=message):
        profile_of(FEATURES, SLICES, TRAINING.slice(0, 50), found)


def test_a_slice_must_be_a_feature_and_no_feature_may_be_called_score() -> None:
    with pytest.raises(WrongUse, match="slices: got tide, expected one of the features"):
        profile_of(FEATURES, ("tide",), TRAINING, scores(TRAINING))
    with pytest.raises(WrongUse, match="got one called score"):
        profile_of({**FEATURES, "score": Feature(type="float")}, (), TRAINING, scores(TRAINING))


def _set(*path: Any) -> Callable[[dict], None]:
    """Puts the last of `path` where the others lead."""

    def change(content: dict) -> None:
        held: Any = content
        for step in path[:-2]:
            held = held[step]
        held[path[-2]] = path[-1]

    return change


def _drop(key: str) -> Callable[[dict], None]:
    return lambda content: content.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("fielded_profile", 2), "got another version, expected 1"),
        (_set("fielded_profile", "1"), "got another version"),
        (_drop("rows"), "the keys columns, fielded_profile"),
        (_set("more", 1), "the keys"),
        (_set("rows", 2999), "add up to `rows`"),
        (_set("rows", True), "number of `rows`"),
        (_set("rows", 0), "number of `rows`"),
        (_set("columns", {}), "a list of `columns`"),
        (_set("columns", 0, 5), "`name` of each column"),
        (_set("columns", 5, "name", "grade"), "the last of them `score`"),
        (_set("columns", 0, "name", "age"), "different names"),
        (_set("columns", 0, "more", 1), "`edges` or `categories`"),
        (_set("columns", 0, "edges", 3, 0), "`edges` that ascend"),
        (_set("columns", 0, "edges", 3, "7"), "`edges` that are numbers"),
        (_set("columns", 0, "edges", 3, True), "`edges` that are numbers"),
        (_set("columns", 0, "edges", -1, 10**400), "`edges` that are numbers"),
        (_set("columns", 0, "edges", [1]), "two at least"),
        (_set("columns", 4, "categories", [1]), "`categories` that are texts"),
        (_set("columns", 4, "categories", ["a", "a"]), "each of `categories` once"),
        (_set("slices", ["kind", "age", "score"]), "`slices` that are columns"),
        (_set("slices", ["kind"]), "`parts` of each of `slices`"),
        (_set("overall", []), "counts of every column"),
        (_set("overall", 0, [3000]), "a count for each of the 43 bins of hours"),
        (_set("overall", 0, 1, -1), "a count for each"),
        (_set("overall", 0, 1, 1.5), "a count for each"),
        (_set("overall", 0, 1, 2**60), "a count for each"),
        (_set("parts", "kind", []), "8 parts of kind"),
        (_set("parts", "kind", 0, None), "parts of kind that add up"),
        (_set("parts", "urgent", 0, 0, 0, 1), "parts of urgent that add up"),
    ],
)
def test_a_damaged_text_is_refused(change: Callable[[dict], None], message: str) -> None:
    content = json.loads(PROFILE.to_text())
    change(content)
    with pytest.raises(Refused, match=message):
        Profile.parse(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"a": NaN}', "[" * 100_000, '{"rows": 1}'])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="profile: got"):
        Profile.parse(text)


def test_the_example_of_the_documents_can_be_read() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "profile.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    profile = Profile.parse(example)
    assert profile.reference.rows(Place("kind", "hull")) == 990
    assert json.loads(profile.to_text()) == json.loads(example)
    assert profile.to_text() == re.sub(r"\n *", "", example)
