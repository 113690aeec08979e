"""The rules of the definition, applied to one Arrow batch of the population.

A row that breaks any rule is quarantined with all its reasons; every other row is scored. In one batch
`rows = accepted + quarantined` holds by construction, and a whole run checks it again from what was written.

1. the subject is there, and no other row of the day carries it (of duplicates, none is scored: nothing says
   which of them is true);
2. the value can be read as the feature's type without loss;
3. a missing value (null or NaN) only where the feature is nullable;
4. a number is finite, at least `min`, at most `max`;
5. a category is one of `values` where `unseen: quarantine` asks for it;
6. a category has at most `CATEGORY_LENGTH` characters: a longer text is no category, and a stream of ever longer
   ones would fill memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.conversion import Converted, convert, unpacked
from fielded.definition.deployment import Feature

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "category": pa.string(), "bool": pa.bool_()}

REASON = pa.struct([("field", pa.string()), ("got", pa.string()), ("expected", pa.string())])
QUARANTINED = pa.schema([("subject", pa.string()), ("reasons", pa.list_(REASON))])

CATEGORY_LENGTH = 1024  # characters (code points)

_GOT_LENGTH = 100  # characters of an offending value that the quarantine table keeps


@dataclass(frozen=True, slots=True)
class Sorted:
    """One batch, parted.

    Attributes:
        subjects: string array, one per accepted row.
        features: record batch of the accepted rows, columns in the definition's order and types.
        quarantined: record batch of schema `QUARANTINED`, one row per refused row, in the batch's order.
    """

    subjects: pa.Array
    features: pa.RecordBatch
    quarantined: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class _Broken:
    """One rule broken by some rows of one column."""

    field: str
    rows: np.ndarray
    got: pa.Array
    expected: str


def feature_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Arrow schema of the model's features, in the definition's order."""
    return pa.schema([pa.field(name, ARROW_TYPES[rule.type]) for name, rule in features.items()])


class Rules:
    """The definition's rules, ready to be applied to any number of batches.

    Args:
        subject: name of the subject's column.
        features: the definition's features, in order.
        duplicates: subjects that occur more than once on this day (string array).
    """

    def __init__(self, subject: str, features: Mapping[str, Feature], duplicates: pa.Array) -> None:
        self._subject = subject
        self._features = dict(features)
        self._duplicates = duplicates
        self._schema = feature_schema(features)
        self._values = {name: pa.array(rule.values, pa.string()) for name, rule in features.items() if rule.values}

    def apply(self, batch: pa.RecordBatch) -> Sorted:
        """Part one batch into accepted and quarantined rows.

        Args:
            batch: rows of the population; must have the subject's and every feature's column.
        """
        subjects = _as_text(unpacked(batch.column(self._subject)))
        broken = list(self._broken_subjects(subjects))
        columns = []
        for name, rule in self._features.items():
            raw = unpacked(batch.column(name))
            converted = convert(raw, ARROW_TYPES[rule.type])
            broken.extend(self._broken_feature(name, rule, raw, converted))
            columns.append(converted.values)
        features = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if not broken:
            return Sorted(subjects, features, _none())
        return _part(subjects, features, broken)

    def _broken_subjects(self, subjects: pa.Array) -> Iterator[_Broken]:
        empty = pc.fill_null(pc.equal(subjects, ""), True)
        yield from _found(self._subject, empty, subjects, "an identifier")
        if len(self._duplicates):
            twice = pc.is_in(subjects, value_set=self._duplicates)
            yield from _found(self._subject, twice, subjects, "one row a day for each subject")

    def _broken_feature(self, name: str, rule: Feature, raw: pa.Array, converted: Converted) -> Iterator[_Broken]:
        values = converted.values
        if converted.unreadable is not None:
            yield from _found(name, converted.unreadable, raw, f"a value readable as {rule.type}")
        if not rule.nullable and values.null_count:
            missing = pc.is_null(values)
            if converted.unreadable is not None:
                missing = pc.and_not(missing, converted.unreadable)
            yield from _found(name, missing, raw, "a value")
        if rule.type == "float":
            yield from _found(name, pc.is_inf(values), raw, "a finite number")
        if rule.min is not None:
            yield from _found(name, pc.less(values, _bound(rule, rule.min)), raw, f"at least {rule.min:g}")
        if rule.max is not None:
            yield from _found(name, pc.greater(values, _bound(rule, rule.max)), raw, f"at most {rule.max:g}")
        if rule.type == "category":
            too_long = pc.greater(pc.utf8_length(values), CATEGORY_LENGTH)
            yield from _found(name, too_long, raw, f"at most {CATEGORY_LENGTH} characters")
        if rule.unseen == "quarantine":
            unseen = pc.invert(pc.is_in(values, value_set=self._values[name]))
            unseen = pc.and_(unseen, pc.is_valid(values))
            yield from _found(name, unseen, raw, f"one of {', '.join(rule.values)}")


def _bound(rule: Feature, bound: float) -> pa.Scalar:
    return pa.scalar(int(bound) if rule.type == "int" else bound, ARROW_TYPES[rule.type])


def _none() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in QUARANTINED], schema=QUARANTINED)


def _found(field: str, mask: pa.Array, raw: pa.Array, expected: str) -> Iterator[_Broken]:
    if pc.any(mask).as_py():
        rows = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
        yield _Broken(field, rows, _as_text(raw.take(pa.array(rows))), expected)


def _as_text(column: pa.Array) -> pa.Array:
    return column if column.type == pa.string() else pc.cast(column, pa.string())


def _part(subjects: pa.Array, features: pa.RecordBatch, broken: list[_Broken]) -> Sorted:
    rows = np.concatenate([item.rows for item in broken])
    order = np.argsort(rows, kind="stable")
    fields = np.repeat([item.field for item in broken], [len(item.rows) for item in broken])[order]
    expected = np.repeat([item.expected for item in broken], [len(item.rows) for item in broken])[order]
    got = pa.concat_arrays([item.got for item in broken]).take(pa.array(order))
    got = pc.utf8_slice_codeunits(pc.fill_null(got, "null"), 0, _GOT_LENGTH)
    refused, starts = np.unique(rows[order], return_index=True)
    reasons = pa.StructArray.from_arrays(
        [pa.array(fields, pa.string()), got, pa.array(expected, pa.string())], fields=list(REASON)
    )
    offsets = pa.array(np.append(starts, len(rows)), pa.int32())
    keep = np.ones(len(subjects), dtype=bool)
    keep[refused] = False
    return Sorted(
        subjects.filter(pa.array(keep)),
        features.filter(pa.array(keep)),
        pa.RecordBatch.from_arrays(
            [subjects.take(pa.array(refused)), pa.ListArray.from_arrays(offsets, reasons)], schema=QUARANTINED
        ),
    )
