"""A face that names a piece of evidence by its digest names the one that its file has."""

from dataclasses import replace

from assured import assurance
from fielded.decisions.ato.emass import sheets
from fielded.decisions.ato.fedramp import security_decision_record

RECORDED = {key: f"{place:064x}" for place, key in enumerate(assurance().evidence, start=1)}
MADE = replace(assurance(), recorded=RECORDED)


def test_emass_names_the_digest_on_record() -> None:
    """What counts of evidence may end earlier than what was collected, and then has another digest."""
    artifacts = next(one for one in sheets(MADE) if one.name == "Artifacts")
    told = {row[0]: row[4] for row in artifacts.rows}
    assert {f"evidence/{key}.json" for key in RECORDED} == set(told)
    for key, sha256 in RECORDED.items():
        assert told[f"evidence/{key}.json"].endswith(f"sha256 {sha256}")
    results = next(one for one in sheets(MADE) if one.name == "Test Results")
    assert all(f"sha256 {RECORDED['separation'][:16]}" in row[4] for row in results.rows if row[0] == "AC-5")


def test_fedramp_names_the_digest_on_record() -> None:
    record = security_decision_record(MADE)
    assert record is not None
    cited = [one for indicator in record["keySecurityIndicators"] for one in indicator["ksiEvidence"]]
    assert cited
    for one in cited:
        key = one["evidenceLocation"].removeprefix("file:evidence/").removesuffix(".json")
        assert one["evidenceDescription"].endswith(f"sha256 {RECORDED[key]}")


def test_evidence_that_is_nowhere_on_record_has_its_own() -> None:
    one = assurance().evidence["separation"]
    assert assurance().digest_of(one) == one.sha256
    assert MADE.digest_of(one) == RECORDED["separation"]
