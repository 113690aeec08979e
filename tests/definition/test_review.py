"""The `review:` section: what it may say, and every mistake with the line it stands on."""

import pytest
from sections import load, one

from fielded.definition.review import REASONS, Hold, Review

FULL = """
review:
  outside_training: review
  unseen_category: review
  on_hold: [{feature: kind, value: radar, reason: its yard books hours late}]
  audit_share: 0.02
  first_judgement: [[0.55, 0.65], [0.7, 0.75]]
  second_share: 0.2
  claim_hours: 4
  due_hours: 48.5
  expire_hours: 240
  reasons: {wrong_hours: The hours are wrong}
  carry: {days: 7, score_change: 0.05}
"""


def test_no_section_leaves_the_band_to_people_and_nothing_else() -> None:
    review = load("").review
    assert review == load("review: {}\n").review == Review()
    assert (review.outside_training, review.unseen_category, review.on_hold) == ("score", "score", ())
    assert (review.audit_share, review.first_judgement) == (0.0, ())
    assert dict(review.reasons) == dict(REASONS)


def test_a_full_section_is_read() -> None:
    review = load(FULL).review
    assert review.on_hold == (Hold(feature="kind", value="radar", reason="its yard books hours late"),)
    assert (review.audit_share, review.second_share) == (0.02, 0.2)
    assert (review.claim_hours, review.due_hours, review.expire_hours) == (4, 48.5, 240)
    assert dict(review.reasons) == {"wrong_hours": "The hours are wrong"}
    assert (review.carry.days, review.carry.score_change) == (7, 0.05)
    with pytest.raises(TypeError):
        review.reasons["other"] = "Whatever"


def test_the_section_changes_the_digest() -> None:
    assert load(FULL).sha256 != load(FULL.replace("48.5", "48")).sha256


@pytest.mark.parametrize(
    ("score", "first"),
    [(0.54, False), (0.55, True), (0.65, True), (0.66, False), (0.7, True), (0.75, True), (0.76, False)],
)
def test_bands_judged_first_include_both_ends(score: float, first: bool) -> None:
    assert load(FULL).review.judged_first(score) is first


@pytest.mark.parametrize(
    ("section", "field", "got"),
    [
        ("review: {audit_shre: 0.1}", "review.audit_shre", "unknown field"),
        ("review: {audit_share: 2}", "review.audit_share", "2"),
        ("review: {audit_share: some}", "review.audit_share", "some"),
        ("review: {outside_training: person}", "review.outside_training", "person"),
        ("review: {due_hours: 0}", "review.due_hours", "0"),
        ("review: {first_judgement: [[0.7, 0.6]]}", "review.first_judgement.0", "list"),
        ("review: {first_judgement: [[0.7, 1.6]]}", "review.first_judgement.0.1", "1.6"),
        ("review: {reasons: {}}", "review.reasons", "mapping"),
        ("review: {reasons: {Bad Code: text}}", "review.reasons.Bad Code", "Bad Code"),
        ("review: {carry: {days: -1}}", "review.carry.days", "-1"),
        ("review: {on_hold: [{feature: kind, value: radar}]}", "review.on_hold.0.reason", "nothing"),
        ("review: {on_hold: [{feature: rank, value: x, reason: abc}]}", "review.on_hold.0.feature", "rank"),
        ("review: {on_hold: [{feature: age, value: '7', reason: abc}]}", "review.on_hold.0.feature", "type float"),
    ],
)
def test_each_mistake_is_told_with_its_field(section: str, field: str, got: str) -> None:
    finding = one(section + "\n")
    assert finding.field == field
    assert got in finding.got
    assert finding.expected
