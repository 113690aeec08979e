"""Which scores a person looks at, and why. The scorer asks here, so every channel routes alike.

1. `band`: the score lies in the review band, whose ends belong to it;
2. `range:FEATURE`: a number lies outside what the training data had, where the definition asks for it;
3. `unseen:FEATURE`: a category that the model's profile does not name, where the definition asks for it. The
   profile names every category of training, or the 50 most frequent where there were more;
4. `hold:FEATURE=VALUE`: a slice that the definition has on hold;
5. `audit`: drawn by chance among the rows that no other rule routed. The draw is the last 12 hexadecimal digits of
   the row's request id, 48 random bits, as a share of 16^12: whoever has the id can draw again.

A row is for `review` if one of rules 1 to 4 routed it. An audited row keeps its decision: nobody waits for the
reviewer. All that routed a row stand in its `routed_by`, in this order, joined by `;` (`band;range:hours`), the
features in the definition's order; a `;` or `%` inside a value is written `%3B` or `%25`.

`review_propensity` is how probable it was that a person sees the row: 1 where a rule routed it, else the audit
share. Reviewed rows weighted by its inverse stand for all rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.monitoring.histograms import Grid
from fielded.definition.deployment import Document
from fielded.words.errors import Finding

BAND, AUDIT = "band", "audit"
REVIEW = 2  # place in `decisions.scoring.DECISIONS`

_ID_LENGTH, _DRAW_DIGITS = 36, 12  # of a UUID's text

_Rule = tuple[str, Callable[[pa.RecordBatch], np.ndarray]]  # token; bool, which rows it routes


class Routed(NamedTuple):
    """Where rows go.

    Attributes:
        decisions: place in `decisions.scoring.DECISIONS`, int8.
        routed_by: string array, null where no person is asked.
        propensity: float64.
    """

    decisions: np.ndarray
    routed_by: pa.Array
    propensity: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Routing:
    """The rules, as one model version at one definition has them.

    Attributes:
        threshold: a score at or above it is flagged.
        band: (low, high), both inclusive.
        ranges: feature -> smallest and largest number in training, both seen; rule 2.
        categories: feature -> categories that are known from training; rule 3.
        holds: (feature, value as text); rule 4.
        audit_share: of the other rows, 0 to 1; rule 5.
    """

    threshold: float
    band: tuple[float, float]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    holds: Sequence[tuple[str, str]] = ()
    audit_share: float = 0.0

    def route(self, scores: np.ndarray, features: pa.RecordBatch, request_ids: pa.Array | None = None) -> Routed:
        """Where each row goes.

        Args:
            scores: float64, one per row.
            features: with the columns that the rules name.
            request_ids: UUID texts, one per row; without them no audit is drawn.
        """
        low, high = self.band
        tokens = _Tokens(len(scores))
        tokens.add(BAND, (scores >= low) & (scores <= high))
        for token, routes in self._rules:
            tokens.add(token, routes(features))
        held = tokens.codes > 0
        routed_by = tokens.texts()
        return Routed(
            np.where(held, REVIEW, scores >= self.threshold).astype(np.int8),
            routed_by if request_ids is None else self.audited(routed_by, request_ids),
            np.where(held, 1.0, self.audit_share),
        )

    def audited(self, routed_by: pa.Array, request_ids: pa.Array) -> pa.Array:
        """`routed_by` with the audits drawn: rule 5.

        Args:
            routed_by: as `route` gives it without request ids.
            request_ids: UUID texts, one per row.
        """
        if not self.audit_share:
            return routed_by
        chosen = drawn(request_ids, self.audit_share) & routed_by.is_null().to_numpy(zero_copy_only=False)
        return pc.if_else(pa.array(chosen), AUDIT, routed_by) if chosen.any() else routed_by

    @cached_property
    def _rules(self) -> Sequence[_Rule]:
        ranges = [(f"range:{name}", partial(_outside, name, *ends)) for name, ends in self.ranges.items()]
        unseen = [
            (f"unseen:{name}", partial(_unseen, name, pa.array(known, pa.string())))
            for name, known in self.categories.items()
        ]
        holds = [
            (f"hold:{name}={_escaped(value)}", partial(_is, name, pa.scalar(value))) for name, value in self.holds
        ]
        return (*ranges, *unseen, *holds)


def drawn(request_ids: pa.Array, share: float) -> np.ndarray:
    """Which rows are drawn, bool: rule 5.

    Args:
        request_ids: UUID texts in lower case.
        share: 0 to 1.

    Raises:
        ValueError: a text is not as long as a UUID.
    """
    rows, limit = len(request_ids), math.ceil(share * 16**_DRAW_DIGITS)  # a power of two: nothing is rounded
    if not rows or limit >= 16**_DRAW_DIGITS:
        return np.ones(rows, bool)
    texts = request_ids if pa.types.is_string(request_ids.type) else request_ids.cast(pa.string())
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + rows + 1]
    if texts.null_count or (np.diff(starts) != _ID_LENGTH).any():
        raise ValueError("request_ids: got other texts, expected UUIDs")
    octets = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]].reshape(rows, _ID_LENGTH)
    # Digits of one length stand in the order of their numbers.
    digits = np.ascontiguousarray(octets[:, -_DRAW_DIGITS:]).view(f"S{_DRAW_DIGITS}").ravel()
    below: np.ndarray = digits < f"{limit:0{_DRAW_DIGITS}x}".encode()
    return below


def reasons(routed_by: str | None) -> list[str]:
    """The tokens of one row's `routed_by`."""
    return routed_by.split(";") if routed_by else []


def routing_of(document: Document, grids: Mapping[str, Grid]) -> Routing:
    """The rules of a definition for a model version.

    Args:
        document: the definition.
        grids: of the version's profile, in which `profile_findings` finds nothing; empty where the definition does
            not ask for it.
    """
    review, features = document.review, document.features
    ranges = [name for name, rule in features.items() if rule.type in ("float", "int")]
    categories = [name for name, rule in features.items() if rule.type == "category"]
    order = list(features)
    holds = sorted(((hold.feature, hold.value) for hold in review.on_hold), key=lambda hold: order.index(hold[0]))
    return Routing(
        threshold=document.decision.threshold,
        band=document.decision.review_band,
        ranges={name: _ends(grids[name]) for name in ranges if review.outside_training == "review"},
        categories={name: grids[name].categories for name in categories if review.unseen_category == "review"},
        holds=tuple(dict.fromkeys(holds)),
        audit_share=review.audit_share,
    )


def needs_profile(document: Document) -> bool:
    """Whether the definition routes by what the training data had."""
    return "review" in (document.review.outside_training, document.review.unseen_category)


def profile_findings(document: Document, grids: Mapping[str, Grid] | None) -> list[Finding]:
    """What a version's profile lacks of that which the definition routes by.

    Args:
        document: the definition.
        grids: of the version's profile; None where it has none.
    """
    if not needs_profile(document):
        return []
    where = f"model {document.model.name}"
    if grids is None:
        asked = [name for name in ("outside_training", "unseen_category") if _asks(document, name)]
        step = (
            "Log the model with metadata=profile_metadata(profile_of(...)) and propose that version, or leave "
            f"{' and '.join(f'review.{name}' for name in asked)} out of the definition"
        )
        return [Finding(where, "profile", "none", "what the training data had, for `review`", step)]
    findings = []
    for name, rule in document.features.items():
        kind = {"category": "category", "bool": None}.get(rule.type, "number")
        asking = "unseen_category" if kind == "category" else "outside_training"
        if kind is None or not _asks(document, asking):
            continue
        found = grids[name].kind if name in grids else "none"
        if found != kind:
            step = "Log the model with the profile of the rows that it was trained on"
            findings.append(Finding(where, f"profile.{name}", found, f"{kind}, as features.{name}.type", step))
    return findings


def _asks(document: Document, name: str) -> bool:
    return bool(getattr(document.review, name) == "review")


def _ends(grid: Grid) -> tuple[float, float]:
    """Smallest and largest number in training; where it had none, a range that holds nothing."""
    if not len(grid.edges):
        return math.inf, -math.inf
    return float(grid.edges[0]), math.nextafter(float(grid.edges[-1]), -math.inf)


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace(";", "%3B")


def _outside(name: str, low: float, high: float, features: pa.RecordBatch) -> np.ndarray:
    values = features.column(name).to_numpy(zero_copy_only=False)  # NaN where null, which is in no comparison
    outside: np.ndarray = (values < low) | (values > high)
    return outside


def _unseen(name: str, known: pa.Array, features: pa.RecordBatch) -> np.ndarray:
    column = features.column(name)
    unseen: np.ndarray = ~pc.is_in(column, value_set=known).to_numpy(zero_copy_only=False)
    return unseen & column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else unseen


def _is(name: str, value: pa.Scalar, features: pa.RecordBatch) -> np.ndarray:
    column = features.column(name)
    texts = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
    same = pc.equal(texts, value)
    found: np.ndarray = (same.fill_null(False) if same.null_count else same).to_numpy(zero_copy_only=False)
    return found


class _Tokens:
    """The texts of rows that tokens are added to; rows with the same tokens share one.

    Attributes:
        codes: of each row's text; 0 where it has no token.
    """

    def __init__(self, rows: int) -> None:
        self.codes = np.zeros(rows, np.int32)
        self._texts: list[str | None] = [None]

    def add(self, token: str, which: np.ndarray) -> None:
        """Add a token to the rows that are true in `which`."""
        if not which.any():
            return
        before = self.codes[which]
        follows = np.zeros(len(self._texts), np.int32)
        for code in np.flatnonzero(np.bincount(before)):
            text = self._texts[code]
            follows[code] = len(self._texts)
            self._texts.append(f"{text};{token}" if text else token)
        self.codes[which] = follows[before]

    def texts(self) -> pa.Array:
        """A text or null for each row."""
        if len(self._texts) == 1:
            return pa.nulls(len(self.codes), pa.string())
        return pa.array(self._texts, pa.string()).take(pa.array(self.codes))
