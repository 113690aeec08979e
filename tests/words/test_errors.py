"""The tree in the module's docstring is the tree there is; a finding says all four things."""

import inspect
import re

import pytest

from fielded.words import errors
from fielded.words.errors import DefinitionError, FieldedError, Finding, Refused, RunRefused, Unreachable, WrongUse

ONE = Finding("deployment.yaml:3", "subject", "nothing", "a column")
OTHER = Finding("model m version 3", "signature", "4 inputs", "5 inputs", "Log the model again")


def drawn() -> dict[str, str]:
    """Class -> base, as the docstring draws them."""
    above, tree = {}, {}
    for line in str(errors.__doc__).splitlines():
        if found := re.match(r"^    ([ |`-]*)([A-Z]\w+)", line):
            depth = len(found[1]) // 4
            above[depth] = found[2]
            tree[found[2]] = above.get(depth - 1, "Exception")
    return tree


def test_the_tree_is_as_drawn() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, Exception)]
    assert {item.__name__: item.__base__.__name__ for item in classes} == drawn()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no"), 1),
        (RunRefused("no"), 1),
        (errors.ArtifactChanged("no"), 1),
        (errors.NotApproved("no"), 1),
        (WrongUse("no"), 2),
        (DefinitionError([ONE]), 2),
        (Unreachable("no"), 3),
    ],
)
def test_exit_codes(error: FieldedError, code: int) -> None:
    assert isinstance(error, FieldedError)
    assert error.exit_code == code


def test_a_finding_reads_as_a_sentence() -> None:
    assert str(ONE) == "deployment.yaml:3: subject: got nothing, expected a column"
    assert str(OTHER) == "model m version 3: signature: got 4 inputs, expected 5 inputs. Log the model again"


def test_a_definition_error_shows_every_finding() -> None:
    error = DefinitionError(iter([ONE, OTHER]))
    assert error.findings == (ONE, OTHER)
    assert str(error).splitlines() == [str(ONE), str(OTHER)]


def test_a_refusal_shows_its_findings_below_its_message() -> None:
    error = Refused("The model does not fit", iter([ONE, OTHER]))
    assert error.findings == (ONE, OTHER)
    assert str(error).splitlines() == ["The model does not fit", f"  {ONE}", f"  {OTHER}"]
    assert str(Refused("No")) == "No"
