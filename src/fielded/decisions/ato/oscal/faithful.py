"""Whether OSCAL's documents say what the package's own records say: two faces of one model do not differ.

1. Each control of the record is one requirement of the plan, with the same origin and result, and its sentences.
2. It has a finding with its state where it applies and was checked, and none where it was not.
3. Each open weakness is one item of the plan of action and milestones, and no other is there. Where none is open
   there is no such plan.
4. The results count what the record counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fielded.decisions.ato.oscal import assessment_results, poam, security_plan
from fielded.decisions.ato.oscal.common import prose
from fielded.words.errors import Finding

_STEP = "Build the package anew with `fielded ato package`"


def faithful_findings(
    documents: Mapping[str, Mapping[str, Any]],
    controls: Sequence[Mapping[str, Any]],
    weaknesses: Sequence[Mapping[str, Any]],
) -> tuple[Finding, ...]:
    """Where they differ.

    Args:
        documents: file in the package -> OSCAL document.
        controls: JSON values of the records of controls.
        weaknesses: those of the weaknesses.

    Raises:
        KeyError: a document lacks what its schema requires.
    """
    plan = _body(documents, security_plan.NAME)
    results = _body(documents, assessment_results.NAME)
    if not plan or not results:
        lacking = security_plan.NAME if not plan else assessment_results.NAME
        return (Finding(f"oscal/{lacking}.json", "(document)", "nothing", "the document", _STEP),)
    (result,) = results["results"]
    return (
        *_requirements(plan, controls),
        *_found(result, controls),
        *_counted(result, controls),
        *_items(_body(documents, poam.NAME), weaknesses),
    )


def _body(documents: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = documents.get(f"oscal/{name}.json", {}).get(name, {})
    return found


def _of(name: str, where: str, got: str, expected: str) -> Finding:
    return Finding(f"oscal/{name}.json", where, got, expected, _STEP)


def _prop(holder: Mapping[str, Any], name: str) -> str:
    return next((str(one["value"]) for one in holder.get("props", ()) if one.get("name") == name), "")


def _requirements(plan: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Rule 1."""
    held = {one["control-id"]: one for one in plan["control-implementation"]["implemented-requirements"]}
    known = {str(one["id"]): one for one in controls}
    for key in sorted(set(held) ^ set(known)):
        got, expected = (
            ("nothing", "its requirement") if key in known else ("a requirement", "none: no record has it")
        )
        yield _of(security_plan.NAME, key, got, expected)
    for key in sorted(set(held) & set(known)):
        one, record = held[key], known[key]
        told = (_prop(one, "origin"), _prop(one, "result"))
        if told != (record["origin"], record["result"]):
            expected = f"{record['origin']}, {record['result']}"
            yield _of(security_plan.NAME, key, ", ".join(told), f"{expected}, as its record says")
        text = "\n".join(str(part.get("description")) for part in one.get("by-components", ()))
        for said in record["said"]:
            if prose(str(said["text"])) not in text:
                yield _of(security_plan.NAME, key, f"no {said['text'][:60]!r}", "every sentence of its record")


def _found(result: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Rule 2."""
    held = {
        one["target"]["target-id"].partition("_")[0]: one["target"]["status"]["state"]
        for one in result.get("findings", ())
    }
    wanted = {
        str(one["id"]): assessment_results.STATES[one["result"]]
        for one in controls
        if one["origin"] != "not applicable" and one["result"] in assessment_results.STATES
    }
    for key in sorted(set(held) | set(wanted)):
        if held.get(key) != wanted.get(key):
            expected = wanted.get(key, "no finding: it was not checked")
            yield _of(assessment_results.NAME, key, held.get(key, "no finding"), expected)


def _counted(result: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Rule 4."""
    counts = Counter(str(one["result"]) for one in controls if one["origin"] != "not applicable")
    for name in ("satisfied", "attested", "not satisfied", "not checked"):
        told = _prop(result, name.replace(" ", "-"))
        if told != str(counts[name]):
            yield _of(assessment_results.NAME, "props", f"{told} {name}", f"{counts[name]}, as the records say")


def _items(plan: Mapping[str, Any], weaknesses: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Rule 3."""
    held = Counter(_prop(one, "weakness") for one in plan.get("poam-items", ()))
    wanted = Counter(str(one["id"]) for one in weaknesses)
    for key in sorted(set(held) | set(wanted)):
        if held[key] != wanted[key]:
            yield _of(poam.NAME, key, f"{held[key]} items", str(wanted[key]))
