"""Rules between fields of a deployment, over the raw document.

They run beside pydantic on whatever could be read, so that one wrong type does not hide another mistake.

1. the threshold lies inside the review band, and the band's low end is not above its high end;
2. the subject is not a feature: an identifier carries no signal that would hold for the next subject;
3. every slice is a feature, named once;
4. `previous_alias` differs from `alias`, or there would be nothing to roll back to;
5. the gold table's columns are distinct;
6. the gold table is not one of the tables it is computed from;
7. every protected column of the fairness gate is a feature, named once;
8. the hold-out's label is neither a feature nor the subject: a model that sees the answer needs no test;
9. a gate that is named is a mapping, so that `shift:` with nothing behind it is not taken for "not chosen";
10. a slice on hold is a feature of type category or bool;
11. a trigger's metric names features and slices that there are.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from fielded.definition.monitoring import metric_problems

GOLD_COLUMNS = (
    "decision", "threshold", "model_name", "model_version", "request_id", "run_id", "scored_at", "scored_date",
    "final_decision", "decided_by", "decided_at", "review_reason",
)  # fmt: skip

Problem = tuple[tuple[str, ...], str, str]  # path, got, expected


def problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Every broken rule as (path of the field, got, expected)."""
    for rule in (
        _band,
        _subject,
        _slices,
        _aliases,
        _columns,
        _output,
        _protected,
        _label,
        _gates,
        _on_hold,
        metric_problems,
    ):
        yield from rule(raw)


def _section(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _band(raw: Mapping[str, Any]) -> Iterator[Problem]:
    decision = _section(raw, "decision")
    band, threshold = decision.get("review_band"), decision.get("threshold")
    if not (isinstance(band, list) and len(band) == 2 and all(map(_is_number, band))):  # noqa: PLR2004
        return
    if band[0] > band[1]:
        yield ("decision", "review_band"), f"{list(band)}", "its low end first"
    elif _is_number(threshold) and not band[0] <= threshold <= band[1]:
        yield ("decision", "threshold"), f"{threshold}", f"a number inside review_band {list(band)}"


def _subject(raw: Mapping[str, Any]) -> Iterator[Problem]:
    subject = raw.get("subject")
    if isinstance(subject, str) and subject in _section(raw, "features"):
        yield (
            ("subject",),
            f"{subject}, which is also a feature",
            "an identifier that the model never sees",
        )


def _slices(raw: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _features_once(raw, raw.get("slices"), ("slices",), "slice")


def _features_once(raw: Mapping[str, Any], names: object, path: tuple[str, ...], what: str) -> Iterator[Problem]:
    features = _section(raw, "features")
    if not isinstance(names, list) or not features:
        return
    for place, name in enumerate(names):
        if not isinstance(name, str):
            continue  # pydantic's to say
        if name not in features:
            yield (*path, str(place)), f"{name}", f"one of the features {', '.join(map(str, features))}"
        elif name in names[:place]:
            yield (*path, str(place)), f"{name} again", f"each {what} once"


def _aliases(raw: Mapping[str, Any]) -> Iterator[Problem]:
    model = _section(raw, "model")
    if "alias" in model and model.get("alias") == model.get("previous_alias"):
        yield ("model", "previous_alias"), f"{model['alias']}, as `alias`", "another alias, to roll back to"


def _columns(raw: Mapping[str, Any]) -> Iterator[Problem]:
    decision = _section(raw, "decision")
    subject = raw.get("subject")
    taken = {*GOLD_COLUMNS, *([subject] if isinstance(subject, str) else [])}
    for field in ("score", "flag"):
        name = decision.get(field)
        if not isinstance(name, str):
            continue  # pydantic's to say
        if name in taken:
            yield ("decision", field), f"{name}", "a column name that the gold table does not use already"
        taken.add(name)


def _output(raw: Mapping[str, Any]) -> Iterator[Problem]:
    tables = _section(_section(raw, "population"), "tables")
    output = _section(raw, "batch").get("output")
    if output is not None and output in tables.values():
        yield ("batch", "output"), f"{output}, which is read", "a table that the population does not read"


def _protected(raw: Mapping[str, Any]) -> Iterator[Problem]:
    fairness = _section(_section(_section(raw, "release"), "gates"), "fairness")
    path = ("release", "gates", "fairness", "protected")
    yield from _features_once(raw, fairness.get("protected"), path, "protected column")


def _label(raw: Mapping[str, Any]) -> Iterator[Problem]:
    label = _section(_section(raw, "release"), "holdout").get("label")
    if not isinstance(label, str):
        return
    for taken in ("subject", "feature"):
        if (label in _section(raw, "features")) if taken == "feature" else (label == raw.get("subject")):
            got = f"{label}, which is {'the' if taken == 'subject' else 'a'} {taken}"
            yield ("release", "holdout", "label"), got, "a column that the model never sees"


def _gates(raw: Mapping[str, Any]) -> Iterator[Problem]:
    for name, gate in _section(_section(raw, "release"), "gates").items():
        if gate is None:
            yield ("release", "gates", str(name)), "nothing", "`{}` for its defaults, or no such line"


def _on_hold(raw: Mapping[str, Any]) -> Iterator[Problem]:
    features, held = _section(raw, "features"), _section(raw, "review").get("on_hold")
    for place, hold in enumerate(held if isinstance(held, list) else ()):
        name = hold.get("feature") if isinstance(hold, Mapping) else None
        if not isinstance(name, str):
            continue  # pydantic's to say
        kind = _section(features, name).get("type")
        if kind not in ("category", "bool"):
            got = name if name not in features else f"{name} of type {kind}"
            yield ("review", "on_hold", str(place), "feature"), got, "a feature of type category or bool"


_RULES = (
    _band, _subject, _slices, _aliases, _columns, _output, _protected, _label, _gates, _on_hold, metric_problems,
)  # fmt: skip
