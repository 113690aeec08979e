"""The documents' commands run, their links lead somewhere, and what they list is what there is."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fielded.decisions.release import acts
from fielded.decisions.review import acts as case_acts
from fielded.definition.ato import Ato, Categorization
from fielded.definition.authorization import Authorization, Contact, FedRamp, Platform
from fielded.definition.deployment import Batch, Decision, Document, Feature, People
from fielded.definition.monitoring import Clear, Labels, Monitoring, Significance, Trigger, Window
from fielded.definition.release import (
    BudgetGate,
    CalibrationGate,
    EvidenceGate,
    FairnessGate,
    Gates,
    Holdout,
    PerformanceGate,
    Release,
    ShiftGate,
)
from fielded.definition.review import Carry, Hold, Review
from fielded.definition.serving import Api, Identity, Oidc, Proxy
from fielded.definition.site import Site

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GATES = (EvidenceGate, PerformanceGate, ShiftGate, FairnessGate, CalibrationGate, BudgetGate)
WATCH = (Monitoring, Trigger, Significance, Window, Labels, Clear)
MAKE = (ROOT / "Makefile").read_text()


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    listed = commands(ROOT / "README.md")
    assert len(listed) >= 8
    script = []
    for command in listed:
        if command.startswith("make "):  # the harness of this very test; what it calls is run instead
            target = command.split()[1]
            assert re.search(rf"^{target}:", MAKE, re.MULTILINE), command
            script += ["fielded demo"] if target == "demo" else []
        else:
            script.append(command)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIELDED_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    shown = (ROOT / "README.md").read_text()
    steps = re.findall(r"^\d+\. [a-z ]+$", done.stdout, re.MULTILINE)
    assert len(steps) == 29
    for step in steps:
        assert step in shown, "the README shows another demo"
    assert "20,000 open orders = 19,906 scored + 94 quarantined" in done.stdout
    assert "replay\n   exact: " in done.stdout
    assert "already done" in done.stdout, "the third command of the README scores nothing"
    assert "dry run" in done.stdout
    assert (tmp_path / "engine_watch" / "deployment.yaml").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_definition_page_lists_every_field() -> None:
    page = (ROOT / "docs" / "definition.md").read_text()
    for kind in (Document, Feature, Decision, Batch, People, Ato, Categorization):
        for field in kind.__dataclass_fields__:
            assert re.search(rf"`(\w+\.)?{field}[`.]", page), f"{kind.__name__}.{field} is not on the page"


def test_the_site_page_lists_every_field() -> None:
    page = (ROOT / "docs" / "site.md").read_text()
    sections = {
        Site: "",
        Api: "",
        Identity: "",
        Oidc: "oidc.",
        Proxy: "proxy.",
        Authorization: "",
        Platform: "",
        FedRamp: "",
        Contact: "",
    }
    for kind, opening in sections.items():
        for field in kind.__dataclass_fields__:
            assert re.search(rf"`{opening}{field}[`.]", page), f"{kind.__name__}.{field} is not on the page"


def test_the_api_page_lists_every_endpoint_and_metric() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "src" / "fielded" / "doors" / "serving").glob("*.py"))
    endpoints = set(re.findall(r'GuardedRoute\(\s*"(/[^"]*)"', source))
    assert len(endpoints) >= 10
    for endpoint in endpoints:
        assert f" {endpoint}`" in page, endpoint
    for metric in set(re.findall(r'"(fielded_[a-z_]+)"', source)):
        assert f"`{metric}" in page, metric


def test_the_batch_page_lists_every_column_and_kind_of_event() -> None:
    from fielded.decisions.rows import predictions_schema, quarantine_schema  # noqa: PLC0415
    from fielded.world.ledger import EVENTS  # noqa: PLC0415

    page = (ROOT / "docs" / "batch.md").read_text()
    for schema in (predictions_schema({}), quarantine_schema(), EVENTS):
        for name in schema.names:
            assert f"`{name}`" in page, name
    kinds = {kind for path in (ROOT / "src").rglob("*.py") for kind in _kinds_recorded(path.read_text())}
    assert kinds >= {"artifact_approved", "definition_recorded", "day_scored"}
    rooms = "".join(
        (ROOT / "docs" / name).read_text()
        for name in (
            "review.md",
            "monitoring.md",
            "release_reviews.md",
            "readiness.md",
            "ato.md",
            "ato_plan.md",
            "documents.md",
            "package.md",
        )
    )
    for kind in kinds:
        assert f"`{kind}`" in page + rooms, kind


def test_the_release_page_lists_every_field_and_kind_of_event() -> None:
    page = (ROOT / "docs" / "release.md").read_text()
    for kind in (Release, Holdout, Gates, *GATES):
        for field in kind.__dataclass_fields__:
            assert re.search(rf"`(\w+\.)?{field}[`.]", page), f"{kind.__name__}.{field} is not on the page"
    kinds = {value for name, value in vars(acts).items() if name.isupper() and isinstance(value, str)}
    assert len(kinds) >= 15
    for kind in kinds:
        assert f"`{kind}`" in page, kind


def test_the_pages_of_review_and_watch_list_every_field_and_kind_of_event() -> None:
    for name, kinds in (("definition.md", (Review, Hold, Carry)), ("monitoring.md", WATCH)):
        page = (ROOT / "docs" / name).read_text()
        for kind in kinds:
            for field in kind.__dataclass_fields__:
                assert re.search(rf"`(\w+\.)*{field.rstrip('_')}[`.:]", page), (
                    f"{kind.__name__}.{field} is not on the page"
                )
    page = (ROOT / "docs" / "review.md").read_text()
    for kind in case_acts.KINDS:
        assert f"`{kind}`" in page, kind


def _kinds_recorded(source: str) -> Iterator[str]:
    """The kinds of event that a module gives to `Workplace.record`, as texts or by its constants."""
    tree = ast.parse(source)
    texts = re.findall(r'^([A-Z_]+(?:, [A-Z_]+)*) = ("\w+"(?:, "\w+")*)$', source, re.MULTILINE)
    named = {
        name: text.strip('"')
        for names, values in texts
        for name, text in zip(names.split(", "), values.split(", "), strict=False)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "record":
            kind = node.args[0]
            if isinstance(kind, ast.Constant):
                yield kind.value
            elif isinstance(kind, ast.Name) and kind.id in named:
                yield named[kind.id]


def test_nothing_names_a_registry_host_or_a_path_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    hosts = re.compile("|".join(["pypi" + r"\.org", "files" + r"\.pythonhosted", "/ro" + "ot/", "/ho" + r"me/\w"]))
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".lock", ".yaml", ".cfg", ".txt", ""}:
            assert not hosts.search(path.read_text(errors="ignore")), name
