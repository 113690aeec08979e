"""The model card: nine sections, each from the definition, the evidence and what people wrote.

The nine are those that federal templates ask for. What Mitchell and others (FAT* 2019, "Model Cards for Model
Reporting") ask for overlaps; the last section says where each of their nine is found.
"""

from datetime import datetime

from fielded.decisions.assurance.documents import Block, Document, Figure, Section, Table
from fielded.decisions.assurance.statements import Said, Sources
from fielded.definition.prose import Prose
from fielded.services.documents.monitoring_parts import owner, reviews, triggers, way_back
from fielded.services.documents.training_parts import training_data
from fielded.services.documents.values import DEFINITION
from fielded.services.documents.writing import Column, Writer, paragraph
from fielded.services.pages.plots import Line, curves

NAME = "model_card"
TITLE = "Model card"

SECTIONS = (
    ("description", "Description"),
    ("intended_use", "Intended use"),
    ("out_of_scope", "Out-of-scope uses"),
    ("training_data", "Training data"),
    ("evaluation_data", "Evaluation data"),
    ("performance", "Performance, overall and by slice"),
    ("fairness", "Bias and fairness"),
    ("limitations", "Limitations and risks"),
    ("monitoring", "Monitoring plan"),
)

_METRICS = {"auc": "Area under the ROC curve", "precision": "Precision", "recall": "Recall",
            "fnr": "Missed events", "fpr": "Needless flags", "brier": "Brier score"}  # fmt: skip
_RANGE = "{value:.3f} ({low:.3f} to {high:.3f})"

# Section of Mitchell and others -> sections here.
_MITCHELL = (
    ("Model details", "Description"),
    ("Intended use", "Intended use; Out-of-scope uses"),
    ("Factors", "Performance, overall and by slice"),
    ("Metrics", "Performance, overall and by slice; Monitoring plan"),
    ("Evaluation data", "Evaluation data"),
    ("Training data", "Training data"),
    ("Quantitative analyses", "Performance, overall and by slice; Bias and fairness"),
    ("Ethical considerations", "Bias and fairness; Limitations and risks"),
    ("Caveats and recommendations", "Limitations and risks; Monitoring plan"),
)


def model_card(sources: Sources, prose: Prose | None, as_of: datetime) -> Document:
    """The card of what is in production.

    Args:
        sources: evidence by id, `definition`, `site`.
        prose: what people wrote for it; None where nobody did.
        as_of: UTC.
    """
    writer = Writer(sources, prose, as_of)
    computed = {
        "description": _description(writer),
        "intended_use": _intended(writer),
        "out_of_scope": _out_of_scope(writer),
        "training_data": training_data(writer),
        "evaluation_data": _evaluation_data(writer),
        "performance": _performance(writer),
        "fairness": _fairness(writer),
        "limitations": _limitations(writer),
        "monitoring": (*owner(writer), *triggers(writer), *reviews(writer), *way_back(writer)),
    }
    sections = [
        Section(str(number), title, (*computed[part], *writer.written(part)))
        for number, (part, title) in enumerate(SECTIONS, start=1)
    ]
    cross = Table(
        caption="Where the sections of Mitchell and others are found",
        columns=("Asked for", "Section here"),
        rows=_MITCHELL,
    )
    return writer.document(NAME, TITLE, (writer.limits(), *sections, Section("A", "Cross-reference", (cross,))))


def _description(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "The model is {model}, version {version}; its files have the SHA-256 {sha256}.",
                model=f"{DEFINITION}#/model/name",
                version="evaluation#/scope/model_version",
                sha256="evaluation#/scope/artifact_sha256",
            ),
            writer.say(
                "It gives one probability, {score}, about each {subject}; {flag} is set from {threshold} on.",
                score=f"{DEFINITION}#/decision/score",
                subject=f"{DEFINITION}#/subject",
                flag=f"{DEFINITION}#/decision/flag",
                threshold=f"{DEFINITION}#/decision/threshold",
            ),
            writer.say(
                "{owner} answers for it.",
                owner=f"{DEFINITION}#/people/model_owner/name",
            ),
            writer.say("The definition has the SHA-256 {sha256}.", sha256=f"{DEFINITION}#/sha256"),
        ),
        writer.table("Features, in the order of the model's signature", f"{DEFINITION}#/features", (
            Column(title="Feature", at="name"),
            Column(title="Type", at="type"),
            Column(title="Unit", at="unit", optional=True),
            Column(title="Least", at="min", template="{it:g}", optional=True),
            Column(title="Most", at="max", template="{it:g}", optional=True),
            Column(title="May be missing", at="nullable"),
            Column(title="Known categories", at="values", optional=True),
        )),
    )  # fmt: skip


def _intended(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say("{purpose}", purpose=f"{DEFINITION}#/purpose"),
            writer.say(
                "The subjects of a day are those of the query {query}; it is scored by the schedule {schedule}.",
                query=f"{DEFINITION}#/population/query",
                schedule=f"{DEFINITION}#/batch/schedule",
            ),
            writer.say(
                "A score from {low} to {high} decides nothing: a person does.",
                low=f"{DEFINITION}#/decision/review_band/0",
                high=f"{DEFINITION}#/decision/review_band/1",
            ),
        ),
    )


def _out_of_scope(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "A row that breaks a rule of its features is not scored; a run in which more than a share of "
                "{limit} does is stopped.",
                limit=f"{DEFINITION}#/batch/quarantine_limit",
            ),
            writer.say(
                "A number outside the range of the training data leads to: {outside}; a category that was not in "
                "it, to: {unseen}.",
                outside=f"{DEFINITION}#/review/outside_training",
                unseen=f"{DEFINITION}#/review/unseen_category",
            ),
        ),
    )


def _evaluation_data(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "Version {version} was measured on {rows:,} rows whose outcome is known: {holdout:,} of the "
                "hold-out and {outcomes:,} outcomes of its own scores.",
                version="evaluation#/scope/model_version",
                rows="evaluation#/facts/rows/all",
                holdout="evaluation#/facts/rows/holdout",
                outcomes="evaluation#/facts/rows/outcomes",
            ),
            _holdout(writer),
            writer.say("In {events:,} of the rows the event came.", events="evaluation#/facts/overall/events"),
        ),
        *_left_out(writer),
    )


def _holdout(writer: Writer) -> Said:
    if not writer.value(f"{DEFINITION}#/release/holdout"):
        return writer.say("The definition names no hold-out: all rows are outcomes of its own scores.", DEFINITION)
    return writer.say(
        "The hold-out is the table {table} at version {version}.",
        table="evaluation#/facts/holdout/table",
        version="evaluation#/facts/holdout/version",
    )


def _left_out(writer: Writer) -> tuple[Block, ...]:
    """What the measurement says of its own rows."""
    if not writer.value("evaluation#/facts/notes"):
        return ()
    return (writer.table("About these rows", "evaluation#/facts/notes", (Column(title="Note", at=""),)),)


def _performance(writer: Writer) -> tuple[Block, ...]:
    estimates = [
        Column(title=title, at={end: f"{metric}/{end}" for end in ("value", "low", "high")}, template=_RANGE,
               optional=True)
        for metric, title in _METRICS.items()
    ]  # fmt: skip
    return (
        paragraph(
            _range(writer, "Area under the ROC curve, all rows", "auc"),
            _range(writer, "Brier score, all rows", "brier"),
            writer.say(
                "Each interval holds by itself with a confidence of {confidence}.",
                confidence="evaluation#/facts/confidence",
            ),
            *_limits(writer),
        ),
        writer.table("Performance by slice", "evaluation#/facts/slices", (
            Column(title="Slice", at="slice"), Column(title="Rows", at="rows", template="{it:,}"), *estimates,
        )),
        *_unmeasured(writer),
    )  # fmt: skip


def _unmeasured(writer: Writer) -> tuple[Block, ...]:
    """Slices that are scored and of which no outcome is known."""
    if not writer.value("evaluation#/facts/unmeasured"):
        return ()
    told = writer.say(
        "Nothing is known of how often it is right in: {slices}; no outcome of them is.",
        slices="evaluation#/facts/unmeasured",
    )
    return (paragraph(told),)


def _limits(writer: Writer) -> list[Said]:
    """What the definition asks for, of all rows and of each slice with enough of them."""
    asked = writer.value("evaluation#/facts/limits") or {}
    return [
        writer.say(f"{title} is to be {{limit}}.", limit=f"evaluation#/facts/limits/{metric}")
        for metric, title in _METRICS.items()
        if metric in asked
    ]


def _range(writer: Writer, what: str, metric: str) -> Said:
    places = {end: f"evaluation#/facts/overall/{metric}/{end}" for end in ("value", "low", "high")}
    return writer.say(f"{what}: {_RANGE}.", **places)


def _fairness(writer: Writer) -> tuple[Block, ...]:
    return (
        writer.table("Ratios between groups and features that stand for one", "evaluation#/facts/fairness", (
            Column(title="Measured", at="item"),
            Column(title="Value", at="value", template="{it:.3f}", optional=True),
            Column(title="Interval", at={"low": "low", "high": "high"}, template="{low:.3f} to {high:.3f}",
                   optional=True),
            Column(title="Limit", at="limit", template="{it:g}", optional=True),
            Column(title="Outcome", at="outcome"),
        )),
    )  # fmt: skip


def _limitations(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "The threshold of {threshold} says that a missed event costs {missed:.2f} where a needless "
                "intervention costs {needless:.2f}.",
                threshold="threshold#/facts/threshold",
                missed="threshold#/facts/missed",
                needless="threshold#/facts/needless",
            ),
            writer.say(
                "On the rows whose outcome is known the least cost lies at {best:.2f}, and could lie from "
                "{low:.2f} to {high:.2f}.",
                best="threshold#/facts/best/value",
                low="threshold#/facts/best/low",
                high="threshold#/facts/best/high",
            ),
            writer.say(
                "Mean score less the share of events is {value:.3f} ({low:.3f} to {high:.3f}) over all rows.",
                **{end: f"evaluation#/facts/overall/calibration/{end}" for end in ("value", "low", "high")},
            ),
            writer.say(
                "At the threshold a row costs {here:.4f} of one missed and one needless decision together.",
                here="threshold#/facts/at_threshold/value",
            ),
            writer.say("Why this threshold: {rationale}", rationale=f"{DEFINITION}#/decision/rationale"),
        ),
        *_cost_curve(writer),
    )


def _cost_curve(writer: Writer) -> tuple[Block, ...]:
    """What every other threshold would cost; nothing where that was not measured, or the evidence is over."""
    measured = writer.say("{it}", it="threshold#/facts/curve")
    points, used = writer.value("threshold#/facts/curve"), writer.value("threshold#/facts/threshold")
    if measured.state != "evidenced" or used is None:
        return ()
    least = writer.value("threshold#/facts/best/value")
    at = [(float(used), f"threshold {used:g}", True)]
    if least is not None:
        at.append((float(least), f"costs least at {least:g}", False))
    line = Line(
        label="version in production", new=True, x=[one["threshold"] for one in points],
        y=[one["cost"] for one in points],
    )  # fmt: skip
    words = "Cost per row at every threshold; the sentences above have it where it is used and where it is least."
    svg = curves("cost", [line], axes_names=("threshold", "cost per row"), at=at)
    return (Figure(title="Cost per row by threshold", words=words, svg=svg),)
