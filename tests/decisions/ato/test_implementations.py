"""What fielded says that it implements: each control once, files that are there, evidence that is collected."""

from pathlib import Path

import pytest

from fielded.decisions.ato.baselines import controls
from fielded.decisions.ato.implementations import IMPLEMENTATIONS, evidence_of_control
from fielded.decisions.ato.implementations.implementation import Implementation, does
from fielded.services.evidence.registry import COLLECTORS, command_of

ROOT = Path(__file__).parents[3]
ASKED = (
    "ac-2", "ac-3", "ac-6", "ac-7", "au-2", "au-3", "au-5", "au-6", "au-8", "au-9", "au-10", "au-11", "au-12",
    "ca-5", "ca-7", "cm-2", "cm-3", "cm-5", "cm-6", "cm-8", "cp-10", "ia-2", "ia-5", "ia-8", "ir-4", "pl-2",
    "ra-3", "ra-5", "sa-10", "sa-11", "sc-5", "sc-8", "sc-12", "sc-13", "sc-28", "si-2", "si-4", "si-7",
    "si-10", "si-11", "sr-3", "sr-4",
)  # fmt: skip


def test_what_was_asked_for_is_there() -> None:
    assert set(ASKED) <= set(IMPLEMENTATIONS)
    assert set(IMPLEMENTATIONS) <= set(controls())


@pytest.mark.parametrize("control", IMPLEMENTATIONS)
def test_an_implementation_can_be_followed(control: str) -> None:
    one = IMPLEMENTATIONS[control]
    for path in (*one.code, *one.tests):
        assert (ROOT / path).is_file(), path
    assert one.procedure.examine
    assert one.procedure.interview
    for key in one.evidence:
        assert key in COLLECTORS, key
        assert command_of(key) in one.procedure.test
    assert evidence_of_control(control) == one.evidence


def test_a_sentence_about_other_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="au-9: got clock, expected"):
        Implementation(
            control="au-9", statements=(does("It is so.", "clock"),), evidence=("keys",), code=(), tests=()
        )
    assert evidence_of_control("pe-3") == ()
