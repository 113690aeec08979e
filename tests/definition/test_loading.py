"""A definition is taken whole or refused with everything that is wrong in it, and never fails otherwise."""

import copy
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from conftest import DEFINITION, POPULATION
from fielded.definition import Deployment, load_deployment
from fielded.definition.ato import Ato
from fielded.definition.consistency import GOLD_COLUMNS
from fielded.words.errors import DefinitionError, Finding

TEXT = DEFINITION.replace("MODEL", "shared")
ALEX = {"name": "Alex Example", "email": "alex.example@example.mil"}


def load(text: str | bytes, population: str = POPULATION) -> Deployment:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deployment.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / "population.py").write_text(population)
        return load_deployment(folder)


def findings(text: str | bytes) -> list[Finding]:
    with pytest.raises(DefinitionError) as caught:
        load(text)
    assert caught.value.findings
    return list(caught.value.findings)


def document() -> dict[str, Any]:
    """The definition as plain values, its anchors written out."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(TEXT)))


def dump(values: object) -> str:
    stream = StringIO()
    YAML(typ="rt", pure=True).dump(values, stream)  # keeps the order of keys
    return stream.getvalue()


def thawed(value: Any) -> Any:
    """A deployment's values as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {field.name: thawed(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


# --- a valid definition ---------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True).filter(lambda name: name not in GOLD_COLUMNS)
TABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}(\.[A-Za-z_][A-Za-z0-9_]{0,6}){0,2}", fullmatch=True)
PROSE = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=10, max_size=40).filter(
    lambda text: len(text.strip()) >= 10
)
CATEGORIES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=5)
PROBABILITIES = st.floats(0, 1) | st.sampled_from([0, 1])


@st.composite
def features(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "int", "category", "bool"]))
    rule: dict[str, Any] = {"type": kind}
    if kind == "category" and draw(st.booleans()):
        rule["values"] = draw(st.lists(CATEGORIES, min_size=1, max_size=4, unique=True))
        rule["unseen"] = draw(st.sampled_from(["score", "quarantine"]))
    if kind in ("float", "int"):
        numbers = st.integers(-(2**53) + 1, 2**53 - 1) if kind == "int" else st.floats(-1e300, 1e300)
        low, high = sorted([draw(numbers), draw(numbers)])
        rule |= draw(st.sampled_from([{}, {"min": low}, {"max": high}, {"min": low, "max": high}]))
    if kind != "bool":
        rule |= draw(st.sampled_from([{}, {"nullable": True}, {"nullable": False}]))
    return rule | draw(st.sampled_from([{}, {"unit": "hours"}]))


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.lists(NAMES, min_size=4, max_size=7, unique=True))
    subject, score, flag, *named = chosen
    band = sorted(draw(st.lists(PROBABILITIES, min_size=3, max_size=3)))
    tables = draw(st.dictionaries(NAMES, TABLES, min_size=1, max_size=3))
    return document() | {
        "name": draw(NAMES),
        "purpose": draw(PROSE),
        "subject": subject,
        "features": {name: draw(features()) for name in named},
        "decision": {
            "score": score,
            "flag": flag,
            "threshold": band[1],
            "rationale": draw(PROSE),
            "review_band": [band[0], band[2]],
        },
        "population": {"query": "population.py:pending", "tables": tables},
        "batch": {
            "schedule": draw(st.sampled_from(["0 2 * * *", "*/5 1-3 * JAN mon"])),
            "output": draw(TABLES.filter(lambda table: table not in tables.values())),
            "quarantine_limit": draw(PROBABILITIES),
        },
        "slices": draw(st.lists(st.sampled_from(named), unique=True)),
    }


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_a_valid_definition_comes_back_as_written(written: dict[str, Any]) -> None:
    loaded = load(dump(written))
    found = thawed(loaded)
    for name, value in written.items():
        if name == "features":
            assert list(found[name]) == list(value)  # their order is the model's
            assert {key: {part: found[name][key][part] for part in rule} for key, rule in value.items()} == value
        elif name in ("purpose", "decision", "model"):
            continue
        else:
            assert found[name] == value
    assert found["purpose"] == written["purpose"].strip()
    rationale = written["decision"]["rationale"].strip()
    assert found["decision"] == {**written["decision"], "rationale": rationale}
    assert found["model"] == {**written["model"], "positive_class": None, "unsafe_pickle": False}


def test_what_is_left_out_has_its_default() -> None:
    left_out = {key: value for key, value in document().items() if key != "slices"}
    del left_out["batch"]["quarantine_limit"]
    loaded = load(dump(left_out))
    assert loaded.batch.quarantine_limit == 0.05
    assert loaded.slices == ()
    assert loaded.features["hours"].nullable is False
    assert loaded.features["hours"].unseen == "score"
    assert loaded.features["hours"].max is None
    assert loaded.ato == Ato()


def test_the_parts_of_the_query() -> None:
    loaded = load(TEXT)
    assert (loaded.population.file, loaded.population.function) == ("population.py", "pending")


def test_what_is_loaded_is_frozen() -> None:
    loaded = load(TEXT)
    for value, name in ((loaded, "subject"), (loaded.decision, "threshold"), (loaded.features["hours"], "min")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 0)
    for mapping in (loaded.features, loaded.population.tables, loaded.ato.documents):
        with pytest.raises(TypeError):
            mapping["more"] = 0  # type: ignore[index]


def test_categories_stay_as_written() -> None:
    text = TEXT.replace("[engine, hull, radar, valve]", '[engine, " hull ", ""]')
    assert load(text).features["kind"].values == ("engine", " hull ", "")


# --- its digest -----------------------------------------------------------------------------------------------


def test_the_digest_is_of_both_files(tmp_path: Path) -> None:
    for name, text in (("deployment.yaml", TEXT), ("population.py", POPULATION), ("notes.txt", "any")):
        (tmp_path / name).write_text(text)
    loaded = load_deployment(tmp_path)
    lines = [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in (("deployment.yaml", TEXT), ("population.py", POPULATION))
    ]
    assert loaded.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert loaded.folder == tmp_path.resolve()
    assert load(TEXT).sha256 == loaded.sha256  # elsewhere, without the notes
    assert load(TEXT + "# a remark\n").sha256 != loaded.sha256
    assert load(TEXT, POPULATION + "# a remark\n").sha256 != loaded.sha256


# --- broken fields --------------------------------------------------------------------------------------------

# field: (what stands in the definition, what is put in its place). Each breaks that field and no other.
BROKEN = {
    "name": ("name: overrun\n", "name: 7 up\n"),
    "purpose": ("purpose: Flag open work orders that are likely to overrun.", "purpose: short"),
    "subject": ("subject: order_id", "subject: [order_id]"),
    "model.name": ("model: {name: shared", 'model: {name: "models:/shared/3"'),
    "model.alias": ("alias: production,", "alias: latest,"),
    "model.previous_alias": ("previous_alias: previous}", "previous_alias: v7}"),
    "features.hours.min": ("hours, min: 0}", 'hours, min: "0"}'),
    "features.hours.type": ("hours:   {type: float,", "hours:   {type: double,"),
    "features.age.nullable": ("nullable: true", "nullable: perhaps"),
    "features.age.unit": ("unit: years", "unit: [years]"),
    "features.earlier": ("earlier: {type: int, min: 0}", "earlier: {type: int, min: 0.5}"),
    "features.month": ("max: 12", "max: -12"),
    "features.kind.unseen": ("unseen: quarantine", "unseen: drop"),
    "decision.score": ("score: overrun_probability", "score: Overrun Probability"),
    "decision.flag": ("flag: overrun_flag", "flag: decision"),
    "decision.threshold": ("threshold: 0.65", 'threshold: "0.65"'),
    "decision.rationale": ("rationale: A missed overrun costs more than a needless visit.", "rationale:"),
    "decision.review_band.1": ("review_band: [0.55, 0.75]", "review_band: [0.55, 1.75]"),
    "population.query": ("query: population.py:pending", "query: ../population.py:pending"),
    "population.tables.ships": ("ships: reference.ships", "ships: s3://bucket/ships"),
    "batch.schedule": ('schedule: "0 2 * * *"', 'schedule: "0 25 * * *"'),
    "batch.output": ("output: gold.overrun_scores", "output: silver.orders"),
    "batch.quarantine_limit": ("quarantine_limit: 0.2", "quarantine_limit: 20"),
    "slices.0": ("slices: [kind]", "slices: [colour]"),
    "people.authorizing_official.name": ("name: Blair Example", "name: Overrun Team"),
    "people.authorizing_official.email": ("email: blair.example@", "email: overrun-team@"),
    "people.isso": ("isso: *alex", "isso: alex.example@example.mil"),
}


def broken(fields: Iterator[str] | list[str]) -> tuple[str, set[tuple[str, str]]]:
    """The definition with these fields broken, and what must be said of it: (where, field)."""
    text, expected = TEXT, set()
    for field in fields:
        old, new = BROKEN[field]
        assert TEXT.count(old) == 1
        expected.add((f"deployment.yaml:{TEXT[: TEXT.index(old)].count(chr(10)) + 1}", field))
        text = text.replace(old, new)
    return text, expected


@pytest.mark.parametrize("field", BROKEN)
def test_a_broken_field_is_named_with_its_file_and_line(field: str) -> None:
    text, expected = broken([field])
    found = findings(text)
    assert [(item.where, item.field) for item in found] == list(expected)
    assert all(item.got and item.expected for item in found)


@settings(deadline=None, max_examples=60)
@given(st.sets(st.sampled_from(sorted(BROKEN)), min_size=2))
@example(set(BROKEN) - {"features.hours.min", "features.hours.type"})
def test_all_broken_fields_are_named_at_once(fields: set[str]) -> None:
    fields -= {"features.hours.min"} if "features.hours.type" in fields else set()
    text, expected = broken(sorted(fields))
    found = findings(text)
    assert {(item.where, item.field) for item in found} == expected
    assert len(found) == len(expected)


def paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field of a document that is a mapping's."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*above, key)
            yield from paths(item, (*above, key))


def at(values: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        values = values[part]
    return values


OPTIONAL = {"slices", "batch.quarantine_limit"}
REQUIRED = [
    path
    for path in paths(document())
    if ".".join(path) not in OPTIONAL
    and (path[0] != "features" or path[2:] == ("type",))
    and path[:2] != ("population", "tables")
] + [("features",), ("population", "tables")]


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_a_missing_field_is_named(path: tuple[str, ...]) -> None:
    values = document()
    del at(values, path[:-1])[path[-1]]
    found = findings(dump(values))
    assert [item.field for item in found] == [".".join(path)]
    assert found[0].got == "nothing"
    assert found[0].next_step


SECTIONS = [(), *(path for path in paths(document()) if isinstance(at(document(), path), dict))]
CLOSED = [path for path in SECTIONS if path not in (("features",), ("population", "tables"))]


@pytest.mark.parametrize("path", CLOSED, ids=".".join)
def test_an_unknown_field_is_named_and_its_value_not_shown(path: tuple[str, ...]) -> None:
    values = document()
    at(values, path)["treshold"] = "hunter2"
    text = dump(values)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "treshold" in line)
    found = findings(text)
    assert [(item.where, item.field) for item in found] == [
        (f"deployment.yaml:{line}", ".".join([*path, "treshold"]))
    ]
    assert "hunter2" not in str(found[0])


def test_a_key_twice_is_refused_without_showing_what_it_holds() -> None:
    found = findings(TEXT + "ato: {token: hunter1, token: hunter2}\n")
    assert [item.where for item in found] == [f"deployment.yaml:{len(TEXT.splitlines()) + 1}"]
    assert "token" in found[0].got
    assert "hunter" not in str(found[0])


# --- rules between and within fields --------------------------------------------------------------------------


def changed(path: str, value: object) -> str:
    values = document()
    *above, last = path.split(".")
    at(values, tuple(above))[last] = value
    return dump(values)


@pytest.mark.parametrize("threshold", [0.55, 0.75, 0.6])
def test_a_threshold_in_its_band_is_taken(threshold: float) -> None:
    assert load(changed("decision.threshold", threshold)).decision.threshold == threshold


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("decision.threshold", 0.5499, "decision.threshold"),
        ("decision.threshold", 0.7501, "decision.threshold"),
        ("decision.threshold", True, "decision.threshold"),
        ("decision.review_band", [0.75, 0.55], "decision.review_band"),
        ("decision.review_band", [0.55, 0.6, 0.75], "decision.review_band"),
        ("subject", "hours", "subject"),
        ("subject", " hours", "subject"),
        ("slices", ["kind", "month", "kind"], "slices.2"),
        ("slices", ["kind", {"kind": 1}], "slices.1"),
        ("model.previous_alias", "production", "model.previous_alias"),
        ("model.alias", "V12", "model.alias"),
        ("model.name", " shared", "model.name"),
        ("decision.score", "order_id", "decision.score"),
        ("decision.flag", "overrun_probability", "decision.flag"),
        ("decision.flag", " decision", "decision.flag"),
        ("decision.score", ["decision"], "decision.score"),
        ("batch.output", "reference.ships", "batch.output"),
        ("batch.output", "a.b.c.d", "batch.output"),
        ("batch.schedule", "tomorrow", "batch.schedule"),
        ("population.tables", {}, "population.tables"),
        ("features", {}, "features"),
        ("people.isso.name", "Alex", "people.isso.name"),
        ("people.isso.name", "The ISSO Office", "people.isso.name"),
        ("people.isso.email", "no-reply@example.mil", "people.isso.email"),
        ("people.isso.email", "alex.example", "people.isso.email"),
        ("people.isso.email", "alex.example@example", "people.isso.email"),
    ],
)
def test_a_rule_between_fields(path: str, value: object, field: str) -> None:
    found = findings(changed(path, value))
    assert {item.field for item in found} <= {field, "slices.0"}
    assert found[0].field == field


@pytest.mark.parametrize("column", [*GOLD_COLUMNS])
def test_a_column_that_the_gold_table_has_is_refused(column: str) -> None:
    assert [item.field for item in findings(changed("decision.score", column))] == ["decision.score"]


def test_what_is_missing_is_not_also_in_conflict() -> None:
    values = document()
    del values["subject"], values["decision"]["score"], values["decision"]["flag"]
    assert sorted(item.field for item in findings(dump(values))) == ["decision.flag", "decision.score", "subject"]


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "category", "min": 0},
        {"type": "bool", "max": 1},
        {"type": "bool", "nullable": True},
        {"type": "float", "min": float("nan")},
        {"type": "float", "max": float("inf")},
        {"type": "float", "min": 1, "max": 0},
        {"type": "float", "values": ["a"]},
        {"type": "int", "min": 0.5},
        {"type": "int", "max": 1e300},
        {"type": "int", "max": 2**53},
        {"type": "int", "min": -(2**53) - 1},
        {"type": "category", "values": ["a", "b", "a"]},
        {"type": "category", "unseen": "quarantine"},
        {"type": "category", "values": [], "unseen": "quarantine"},
    ],
    ids=str,
)
def test_a_rule_that_no_value_could_keep_is_refused(rule: dict[str, Any]) -> None:
    found = findings(changed("features.kind", rule))
    assert [item.field for item in found] == ["features.kind"]


def test_the_population_lies_beside_the_definition() -> None:
    text, _ = TEXT.replace("population.py:pending", "other.py:pending"), None
    found = findings(text)
    assert [(item.where, item.field) for item in found] == [("deployment.yaml:18", "population.query")]
    assert "other.py" in found[0].expected


# --- the file itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("", "nothing"),
        ("# only a remark\n", "nothing"),
        ("- a\n- b\n", "seq"),
        ("just text", "str"),
        (b"name: \xff\xfe", "bytes that are not UTF-8"),
        ("name: overrun\n# " + "x" * (1 << 20), "over 1 MiB"),
        ("a: b\n---\nc: d\n", "but found another document"),
        ("a: [1, 2\n", "expected"),
        ("&a {b: *a}\n", "one that holds itself"),
        ("name: 0x" + "f" * 9000, "thousands of digits"),
        ("? 0x" + "f" * 9000 + "\n: name", "thousands of digits"),
        ("a: !!bool perhaps\n", "cannot read"),
        ("a: !!int ''\n", "cannot read"),
    ],
)
def test_a_file_that_holds_no_definition(content: str | bytes, got: str) -> None:
    found = findings(content)
    assert [item.field for item in found] == ["(file)"]
    assert re.match(r"deployment\.yaml(:\d+)?$", found[0].where)
    assert got in found[0].got


def test_aliases_that_make_a_small_file_large_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 30)]
    assert "more values" in findings("\n".join(lines))[0].got


def test_aliases_that_make_a_flat_file_deep_are_refused() -> None:
    lines = ["a0: &a0 [x]", *(f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, 5000))]
    assert "deeper" in findings("\n".join(lines))[0].got


def test_a_line_of_broken_yaml_is_named() -> None:
    assert findings("name: overrun\npurpose: [\n")[0].where in ("deployment.yaml:2", "deployment.yaml:3")


@pytest.mark.parametrize("make", [Path.mkdir, Path], ids=["a folder", "not there"])
def test_no_file_at_all(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "deployment.yaml")
    with pytest.raises(DefinitionError) as caught:
        load_deployment(tmp_path)
    assert [item.field for item in caught.value.findings] == ["(file)"]


# --- whatever the text, no other error ------------------------------------------------------------------------

TOKENS = [
    *"[]{}:,-?'\"|>%@`#=~ab\ufeff\x00\x85\u2028é",
    *[
        "&a",
        "*a",
        "!foo",
        "!!int",
        "!!set",
        "!!omap",
        "!!bool",
        "!!binary",
        "!!timestamp",
        "!!str",
        "!<t:x>",
        "<<",
    ],
    *["---", "...", "%YAML 1.1\n---\n", "null", "true", "0x1f", "0o9", "1e5", "1_0", ".inf", ".nan", "1:20:30"],
    *["2020-01-01", "2020-99-99", "name", "features", "decision", "subject", "slices"],
]
SPACES = st.sampled_from(["", " ", "\n", "\n  ", ": ", "\t", ", "])
FRAGMENTS = st.lists(st.tuples(st.sampled_from(TOKENS), SPACES).map("".join), max_size=14).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab:.", max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def loads_or_says_why(text: str | bytes) -> None:
    said: tuple[Finding, ...] = ()
    try:
        assert isinstance(load(text), Deployment)
    except DefinitionError as error:
        said = error.findings
        refused = True
    else:
        refused = False
    assert bool(said) is refused
    assert all(item.where and item.field and item.got and item.expected for item in said)


FUZZ = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    loads_or_says_why(content)


@FUZZ
@given(st.text(st.characters(codec="utf-8"), max_size=60) | FRAGMENTS)
@example("subject: [a]")
@example("slices: [{a: 1}]\nfeatures: {a: {type: int}}")
@example("decision: {score: [a], flag: {a: b}}")
@example("? [a, b]\n: c")
@example("? {a: b}\n: c")
@example("1: 2\nnull: 3")
@example("a: &a 1\nb: &a 2")
@example("%YAML 1.1\n---\na: 1e5")
@example("!!omap é")
@example("a: !!omap [a: &b {c: *b}]")
def test_any_text(content: str) -> None:
    loads_or_says_why(content)


@FUZZ
@given(
    st.integers(0, len(TEXT)), st.integers(0, 30), FRAGMENTS | st.text(st.characters(codec="utf-8"), max_size=8)
)
def test_any_damage_to_a_valid_text(start: int, length: int, put: str) -> None:
    loads_or_says_why(TEXT[:start] + put + TEXT[start + length :])


@FUZZ
@given(st.sampled_from(list(paths(document()))), VALUES)
def test_any_value_in_any_field(path: tuple[str, ...], value: object) -> None:
    values = copy.deepcopy(document())
    at(values, path[:-1])[path[-1]] = value
    loads_or_says_why(dump(values))
