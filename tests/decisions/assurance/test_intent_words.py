"""Words of intent without a number beside them are found; results, and the same words with a number, are not."""

import re

import pytest

from fielded.decisions.assurance.intent import PATTERNS, intent_words

INTENT = (
    "Fairness was considered during training.",
    "All groups were carefully considered.",
    "Bias has been taken into account.",
    "Due consideration was given to equity.",
    "Efforts were made to balance the data.",
    "Every effort goes into quality.",
    "Steps have been taken against drift.",
    "We strive for equal treatment.",
    "The team aims to retrain soon.",
    "The office is committed to responsible use.",
    "Drift will be monitored.",
    "Risks are largely mitigated.",
    "Appropriate safeguards exist.",
    "The model is regularly retrained.",
    "It has a high accuracy.",
    "It performs well on all classes.",
    "The model was thoroughly tested.",
)


@pytest.mark.parametrize("text", INTENT)
def test_intent_is_found(text: str) -> None:
    ((words, sentence),) = intent_words(text)
    assert words in sentence == text


@pytest.mark.parametrize(
    "text",
    [
        "Fairness was considered: the lowest rate of flags is 0.84 of the highest.",
        "Efforts were made by two people over 3 weeks.",
        "Risks were reduced by half the orders.",
        "It performs well: the area under the curve is 0.74.",
        "A planner considers each flagged order before the plan is fixed.",
        "No feature says who does the work.",
        "The flag is one input; the yard's estimate is the other.",
        "An order is considered late when its hours are more than estimated.",
    ],
)
def test_results_and_definitions_are_not(text: str) -> None:
    assert not list(intent_words(text))


@pytest.mark.parametrize(
    "text",
    [
        "Bias was considered as NIST AI 100-1 asks for.",
        "AC-2 was considered.",
        "Fairness was considered on 2026-02-01.",
        "Drift was considered in section 4.",
        "It was considered in version 3.",
    ],
)
def test_a_name_or_a_date_is_no_result(text: str) -> None:
    assert list(intent_words(text))


def test_a_number_in_another_sentence_does_not_help() -> None:
    found = list(intent_words("The area is 0.74. Fairness was considered.\nFlags are 12 a day."))
    assert [sentence for _, sentence in found] == ["Fairness was considered."]


def test_each_sentence_is_told_once() -> None:
    assert len(list(intent_words("Efforts were made and steps were taken and bias was considered."))) == 1


def test_every_pattern_is_needed() -> None:
    """Each is the first to find one of the sentences above."""
    first = {
        next(place for place, pattern in enumerate(PATTERNS) if re.search(pattern, text, re.IGNORECASE))
        for text in INTENT
    }
    assert first == set(range(len(PATTERNS)))
