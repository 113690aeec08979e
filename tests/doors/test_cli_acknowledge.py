"""`fielded ready acknowledge` at a site that says who is who: the owner may, and nobody else."""

import json
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import World
from fielded.services.readiness.acknowledge import last_acknowledgement

ALEX = "alex.example@example.mil"


def test_the_person_whom_the_site_maps_and_nobody_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_site(world, monkeypatch)
    monkeypatch.setenv("FIELDED_DEPLOYMENT", str(world.folder))
    site = tmp_path / "site.yaml"
    site.write_text(f'authorization: {{persons: {{{ALEX}: ["os:alex"]}}}}\n')
    command = ("ready", "acknowledge", "--site", str(site))

    code, out, err = ended(monkeypatch, capsys, *command, by="os:mallory")
    assert (code, out) == (1, "")
    assert "got os:mallory, expected an identity of Alex Example" in " ".join(err.split())
    assert last_acknowledgement(world.open()) is None, "a refusal leaves nothing"

    code, out, err = ended(monkeypatch, capsys, *command, by="os:alex")
    assert code == 0, err
    assert f"Alex Example ({ALEX}) has acknowledged, by os:alex, until " in out
    assert "Nobody says" not in out

    code, out, err = ended(monkeypatch, capsys, *command, "--json", by="os:alex")
    said = json.loads(out)
    assert (code, said["by"], said["mapped"], said["email"]) == (0, "os:alex", True, ALEX), err
    kept = last_acknowledgement(world.open())
    assert kept is not None
    assert kept.as_dict() == said
