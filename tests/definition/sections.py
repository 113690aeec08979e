"""Load the test definition with a section of its own behind it."""

import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from conftest import DEFINITION, POPULATION
from fielded.definition import Deployment, load_deployment
from fielded.words.errors import DefinitionError, Finding


def load(section: str) -> Deployment:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "shared") + textwrap.dedent(section))
        (folder / "population.py").write_text(POPULATION)
        return load_deployment(folder)


def one(section: str) -> Finding:
    """The only mistake in a section; it is told with a line of the section."""
    with pytest.raises(DefinitionError) as caught:
        load(section)
    (finding,) = caught.value.findings
    line = DEFINITION.count("\n") + 1
    assert finding.where.startswith("deployment.yaml:")
    assert int(finding.where.partition(":")[2]) >= line, "a line of the section"
    return finding
