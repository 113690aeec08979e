"""A site comes from a file, then from the environment, then from the embedded default."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.definition import Site, load_site
from fielded.words.errors import DefinitionError, Finding


def refused(environment: dict[str, str], folder: Path, file: Path | None = None) -> list[Finding]:
    with pytest.raises(DefinitionError) as caught:
        load_site(environment, folder, file)
    return list(caught.value.findings)


def test_the_embedded_site_lies_below_the_folder(tmp_path: Path) -> None:
    embedded = tmp_path.resolve() / ".fielded"
    assert load_site({}, tmp_path) == Site(
        root=str(embedded / "tables"),
        tracking_uri=f"sqlite:///{embedded / 'mlflow.db'}",
        artifact_root=str(embedded / "artifacts"),
        cache=embedded / "cache",
        journal_url=f"sqlite:///{embedded / 'journal'}",
        signing_key=f"file:{embedded / 'keys' / 'seal.pem'}",
    )


def test_the_environment_stands_above_the_file_and_the_file_above_the_default(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("workers: 3\nbatch_rows: 1000\nledger: books\n")
    site = load_site({"FIELDED_WORKERS": "5", "FIELDED_LEDGER": "log"}, tmp_path)
    assert (site.workers, site.ledger, site.batch_rows, site.file_rows) == (5, "log", 1000, 2_097_152)


def test_what_is_not_of_fielded_is_not_looked_at(tmp_path: Path) -> None:
    others = {"WORKERS": "9", "XFIELDED_WORKERS": "9", "FIELDED_DEPLOYMENT": "d", "CHAOS_KILLS": "3"}
    assert load_site(others, tmp_path) == load_site({}, tmp_path)


def test_a_path_is_relative_to_the_site_file_and_a_uri_stays(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "mine.yaml").write_text("root: data/../tables\ncache: /var/cache\nartifact_root: s3://bucket/a\n")
    site = load_site({}, tmp_path, away / "mine.yaml")
    assert site.root == str(away / "tables")
    assert site.cache == Path("/var/cache")
    assert site.artifact_root == "s3://bucket/a"


def test_a_home_folder_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load_site({"FIELDED_ROOT": "~/tables"}, tmp_path).root == str(tmp_path / "home" / "tables")


def test_a_home_folder_that_nobody_has_is_refused(tmp_path: Path) -> None:
    found = refused({"FIELDED_ROOT": "~no-such-user/tables", "FIELDED_WORKERS": "0"}, tmp_path)
    assert [(item.where, item.field) for item in found] == [
        ("environment", "FIELDED_ROOT"),
        ("environment", "FIELDED_WORKERS"),
    ]


def test_the_file_that_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("site.yaml", "variable.yaml", "option.yaml"), 2):
        (tmp_path / name).write_text(f"workers: {number}\n")
    environment = {"FIELDED_SITE": str(tmp_path / "variable.yaml")}
    assert load_site({}, tmp_path).workers == 2
    assert load_site(environment, tmp_path).workers == 3
    assert load_site(environment, tmp_path, tmp_path / "option.yaml").workers == 4


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert [item.field for item in refused({}, tmp_path, tmp_path / "other.yaml")] == ["(file)"]
    assert [item.field for item in refused({"FIELDED_SITE": str(tmp_path / "other.yaml")}, tmp_path)] == ["(file)"]


def test_everything_wrong_is_said_at_once_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("engine: oracle\nworkers: 0\nledger: a-b\nwrokers: 2\nbatch_rows: 0\n")
    found = refused({"FIELDED_BATCH_ROWS": "many", "FIELDED_ROOTS": "/srv"}, tmp_path)
    assert {(item.where, item.field) for item in found} == {
        ("site.yaml:1", "engine"),
        ("site.yaml:2", "workers"),
        ("site.yaml:3", "ledger"),
        ("site.yaml:4", "wrokers"),
        ("environment", "FIELDED_BATCH_ROWS"),
        ("environment", "FIELDED_ROOTS"),
    }


@pytest.mark.parametrize("variable", ["FIELDED_API_TOKEN", "FIELDED_DB_PASSWORD", "FIELDED_SIGNING_KEY"])
def test_a_secret_is_never_shown(tmp_path: Path, variable: str) -> None:
    found = refused({variable: "hunter2"}, tmp_path)
    assert [item.field for item in found] == [variable]
    assert "hunter2" not in str(found[0])


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("workers", 1, 256), ("engine_memory_mib", 64, None), ("batch_rows", 1, 1 << 22), ("file_rows", 1, None)],
)
def test_the_ends_of_each_range(tmp_path: Path, field: str, low: int, high: int | None) -> None:
    variable = f"FIELDED_{field.upper()}"
    assert getattr(load_site({variable: str(low)}, tmp_path), field) == low
    assert [item.field for item in refused({variable: str(low - 1)}, tmp_path)] == [variable]
    if high:
        assert getattr(load_site({variable: str(high)}, tmp_path), field) == high
        assert [item.field for item in refused({variable: str(high + 1)}, tmp_path)] == [variable]


FIELDS = st.sampled_from([*(name.upper() for name in Site.__dataclass_fields__), "SITES", "X"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12) | st.integers().map(str)


@settings(deadline=None)
@given(st.dictionaries(FIELDS.map(lambda field: f"FIELDED_{field}"), TEXTS, max_size=4))
def test_any_environment_loads_or_is_refused(environment: dict[str, str]) -> None:
    try:
        site = load_site(environment, Path("/nowhere"))
    except DefinitionError as error:
        named = {item.field for item in error.findings}
    else:
        named = set()
        assert 1 <= site.workers <= 256
    assert named <= set(environment)
    assert {"FIELDED_SITES", "FIELDED_X"} & set(environment) <= named
