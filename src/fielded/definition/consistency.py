"""Rules between fields of a deployment, over the raw document.

They run beside pydantic on whatever could be read, so that one wrong type does not hide another mistake.

1. the threshold lies inside the review band, and the band's low end is not above its high end;
2. the subject is not a feature: an identifier carries no signal that would hold for the next subject;
3. every slice is a feature, named once;
4. `previous_alias` differs from `alias`, or there would be nothing to roll back to;
5. the gold table's columns are distinct;
6. the gold table is not one of the tables it is computed from.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

GOLD_COLUMNS = (
    "decision", "threshold", "model_name", "model_version", "request_id", "run_id", "scored_at", "scored_date",
)  # fmt: skip

Problem = tuple[tuple[str, ...], str, str]  # path, got, expected


def problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Every broken rule as (path of the field, got, expected)."""
    for rule in (_band, _subject, _slices, _aliases, _columns, _output):
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
    slices = raw.get("slices")
    features = _section(raw, "features")
    if not isinstance(slices, list) or not features:
        return
    for place, name in enumerate(slices):
        if not isinstance(name, str):
            continue  # pydantic's to say
        if name not in features:
            yield ("slices", str(place)), f"{name}", f"one of the features {', '.join(map(str, features))}"
        elif name in slices[:place]:
            yield ("slices", str(place)), f"{name} again", "each slice once"


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
