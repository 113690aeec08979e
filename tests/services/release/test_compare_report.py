"""The report as a page: parsed and looked at by its parts. Nothing in it runs, asks anybody, or breaks out."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fielded.decisions.measuring.labelled import Labelled
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.performance import performance_findings
from fielded.decisions.release.report import About, Json, Measurements, report_of
from fielded.decisions.release.shift import Scores, shift_findings
from fielded.definition.release import PerformanceGate, ShiftGate
from fielded.services import pages as shared
from fielded.services.pages.plots import plain
from fielded.services.release.report import HTML_FILE, JSON_FILE, page_of, write_report
from fielded.words.errors import Unreachable
from pages import Parsed

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{1}{2}$",
    "\u202egnp.exe",
    "a\x00b\x1b[31m",
    "{{ 7 * 7 }}",
    "x" * 300,
    "DDG-51",
)
GATE = PerformanceGate(limits={"auc": ">= 0.60", "fpr": "<= 0.30"})
ABOUT = About(
    deployment="overrun",
    model="vessels & <co>",
    candidate=Pinned("3", "ab" * 32),
    production=Pinned("2", "cd" * 32),
    proposed_by="os:<i>proposer</i>",
    compared_by="os:comparer",
    compared_at=datetime(2026, 3, 2, 2, 0, tzinfo=UTC),
    definition_sha256="ef" * 32,
    slices=("kind",),
    threshold=0.65,
    gates=("performance", "shift"),
    rows={"recent": 2000, "holdout": 4000, "outcomes": 0},
    notes=("hold-out silver.holdout at version 4",),
)


def measured(rows: int = 4000, values: tuple[str, ...] = EVIL, bias: float = 0.8) -> tuple[Measurements, Verdict]:
    rng = np.random.default_rng(5)
    kinds = rng.choice(np.array(values, dtype=object), rows)
    odds = rng.normal(0, 1.2, rows)
    labels = rng.random(rows) < 1 / (1 + np.exp(-odds))
    old = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.5, rows))))
    new = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.5, rows) - bias * (kinds == values[0]))))
    features = pa.table({"kind": pa.array(kinds.tolist(), pa.string())})
    shift = shift_findings(features, Scores(old, old >= 0.65), Scores(new, new >= 0.65), ["kind"], ShiftGate())
    candidate = Labelled(features, labels, new, new >= 0.65)
    production = Labelled(features, labels, old, old >= 0.65)
    findings = [*performance_findings(candidate, ["kind"], GATE), *shift]
    waived = frozenset({"shift/score[overall]"})
    return Measurements(candidate=candidate, production=production, shift=shift, performance=GATE), Verdict.of(
        findings, waived
    )


@pytest.fixture(scope="module")
def report() -> Json:
    measurements, verdict = measured()
    return report_of(ABOUT, verdict, measurements)


@pytest.fixture(scope="module")
def page(report: Json) -> str:
    return page_of(report, "12" * 32)


def test_what_a_waiver_set_aside_is_said() -> None:
    measurements, verdict = measured()
    (name, outcome), *_ = [(one.name, one.outcome) for one in verdict.in_the_way]
    made = report_of(ABOUT, Verdict.of(verdict.findings, frozenset({name})), measurements)
    (waived,) = [one for one in made["findings"] if one["outcome"] == "waived"]
    assert (waived["name"], waived["set_aside"]) == (name, outcome)
    assert f"<b>waived</b> ({outcome})" in page_of(made, "12" * 32)


def test_a_shift_that_stops_nobody_says_so(page: str) -> None:
    measurements, verdict = measured()
    unasked = report_of(replace(ABOUT, gates=("performance",)), verdict, measurements)
    told = "the gate <code>shift</code> is not chosen"
    assert told in page_of(unasked, "12" * 32)
    assert told not in page


class TestNothingInItRuns:
    def test_there_is_no_script_no_frame_no_form_and_nothing_that_loads(self, page: str) -> None:
        parsed = Parsed(page)
        names = {name for name, _ in parsed.elements}
        assert not names & {
            "script",
            "iframe",
            "object",
            "embed",
            "form",
            "img",
            "link",
            "base",
            "foreignobject",
            "a ",
        }
        for _, attributes in parsed.elements:
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
            for name in ("href", "xlink:href"):
                assert (attributes.get(name) or "#").startswith("#")
        assert not re.search(r"url\((?!#)|@import|javascript:", page)

    def test_its_policy_allows_its_one_style_sheet_and_nothing_else(self, page: str) -> None:
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        (policy,) = [one["content"] for one in Parsed(page).all("meta") if "http-equiv" in one]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"

    def test_names_of_classes_stay_text(self, page: str) -> None:
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "onerror=alert(1)&gt;" in page
        assert "frac{1}{2}$" in page
        assert "{{ 7 * 7 }}" in page
        assert "os:&lt;i&gt;proposer" in page

    def test_no_character_in_it_steers(self, page: str) -> None:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)
        assert plain("a\u202eb\x00c") == "a\ufffdb\ufffdc"


class TestItCanBeRead:
    def test_every_id_is_there_once_and_what_is_referred_to_is_there(self, page: str) -> None:
        parsed = Parsed(page)
        ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
        assert max(ids.values()) == 1
        referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        referred |= {str(one["aria-labelledby"]) for one in parsed.all("section")}
        assert referred <= set(ids)

    def test_headings_follow_each_other_and_there_is_one_title(self, page: str) -> None:
        levels = [int(name[1]) for name, _ in Parsed(page).elements if re.fullmatch(r"h[1-6]", name)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert '<html lang="en">' in page
        assert "<title>Version 3 against version 2</title>" in page

    def test_every_table_has_a_caption_and_headers_with_a_scope(self, page: str) -> None:
        parsed = Parsed(page)
        tables = len(parsed.all("table"))
        assert tables >= 6
        assert len(parsed.all("caption")) == tables
        assert all(one.get("scope") in ("col", "row") for one in parsed.all("th"))

    def test_every_drawing_says_in_words_what_it_shows(self, page: str) -> None:
        figures = Parsed(page).all("figure")
        assert len(figures) == 2 + 2 + 2 + 1  # metrics, shift, calibration, cost
        for one in figures:
            assert one["role"] == "img"
            assert len(str(one["aria-label"])) > 30
        assert page.count("<svg ") == len(figures)
        assert page.count('aria-hidden="true"') == len(figures)

    def test_drawn_text_is_text_and_its_fonts_are_asked_of_nobody(self, page: str) -> None:
        texts = re.findall(r"<text [^>]*>([^<]*)</text>", page)
        assert "kind=DDG-51" in texts
        assert "candidate, version 3" in texts
        assert "@font-face" not in page

    def test_a_table_that_is_too_wide_scrolls_and_can_be_reached_by_the_keyboard(self, page: str) -> None:
        regions = [one for one in Parsed(page).all("div") if one.get("class") == "scroll"]
        assert len(regions) == page.count('<table class="numbers"') + 1
        assert all(one["tabindex"] == "0" and one["aria-label"] for one in regions)

    def test_text_stands_out_from_its_ground(self) -> None:
        style = (Path(shared.__file__).parent / "page.css").read_text()
        pairs = [
            ("#1b1b1b", "#fff"),
            ("#565c65", "#fff"),
            ("#005ea2", "#fff"),
            ("#3d4551", "#fff"),
            ("#1b1b1b", "#f4e3db"),
        ]
        pairs += [
            (ink, ground) for ground, ink in re.findall(r"b \{ background: (#\w+); color: (#\w+); \}", style)
        ]
        assert len(pairs) == 9
        for ink, ground in pairs:
            assert ink in style
            assert contrast(ink, ground) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances (WCAG 2.2, 1.4.3)."""

    def luminance(color: str) -> float:
        digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class TestItSaysWhatWasFound:
    def test_what_stands_in_the_way_comes_first_with_got_expected_and_the_next_step(
        self, report: Json, page: str
    ) -> None:
        text = Parsed(page).text
        blocked = [one for one in report["findings"] if one["outcome"] in ("failed", "not enough evidence")]
        assert blocked
        assert "The candidate does not pass" in text
        places = [text.index(plain(one["got"])) for one in blocked]
        assert places == sorted(places)
        for one in blocked:
            assert " ".join(plain(one["step"]).split()) in text

    def test_the_worst_slice_of_each_metric_stands_first_after_all_rows(self, page: str) -> None:
        for metric, at_least in (("auc", True), ("fpr", False)):
            (svg,) = re.findall(rf'id="metric-{metric}-figure_1".*?</svg>', page, re.DOTALL)
            names = [name for name in re.findall(r">([^<]+)</text>", svg) if name == "overall" or "kind=" in name]
            assert names[0] == "overall"
            assert len(names) == 9
            measurements, _ = measured()
            one = measurements.candidate
            value = {}
            for kind in EVIL:
                mask = np.array([got == kind for got in one.features["kind"].to_pylist()])
                flags, labels, scores = one.flags[mask], one.labels[mask], one.scores[mask]
                pairs = scores[labels][:, None] - scores[~labels][None, :]
                value[kind] = (pairs > 0).mean() if metric == "auc" else flags[~labels].mean()
            worst = min(value, key=value.get) if at_least else max(value, key=value.get)
            first = names[1].replace("&lt;", "<").replace("&gt;", ">")
            assert plain(worst)[:15] in first

    def test_the_same_report_is_the_same_page_to_the_last_byte(self, report: Json, page: str) -> None:
        assert page_of(json.loads(json.dumps(report)), "12" * 32) == page

    @pytest.mark.parametrize("missing", ["labels", "production", "gates", "everything"])
    def test_a_report_with_nothing_to_show_says_so(self, missing: str) -> None:
        measurements, verdict = measured(400, ("a", "b"))
        about = ABOUT
        none = Labelled(
            pa.table({"kind": pa.array([], pa.string())}), np.empty(0, bool), np.empty(0), np.empty(0, bool)
        )
        if missing in ("labels", "everything"):
            measurements = replace(
                measurements, candidate=none, production=None if missing == "everything" else none
            )
        if missing in ("production", "everything"):
            about = replace(about, production=None)
            lacking = Finding(
                gate="shift", item="recent_rows", outcome="not enough evidence", got="x", expected="y"
            )
            measurements = replace(measurements, production=None, shift=[lacking])
        if missing in ("gates", "everything"):
            about, verdict = replace(about, gates=()), Verdict(())
            measurements = replace(measurements, performance=None)
        made = report_of(about, verdict, measurements)
        text = Parsed(page_of(made, "0" * 64)).text
        told = {
            "labels": "No labelled rows",
            "production": "nothing",
            "gates": "an empty set of gates fails",
            "everything": "No gate was asked",
        }
        assert told[missing] in text

    def test_the_json_has_every_number_and_no_infinity(self, report: Json) -> None:
        text = json.dumps(report, allow_nan=False)
        assert json.loads(text) == report
        overall = report["metrics"]["slices"][0]
        assert overall["slice"] == "overall"
        assert set(overall["candidate"]["auc"]) == {"value", "low", "high", "rows"}
        assert overall["difference"]["auc"]["value"] == pytest.approx(
            overall["candidate"]["auc"]["value"] - overall["production"]["auc"]["value"]
        )
        assert report["cost"]["candidate"]["best"]["value"] in report["cost"]["candidate"]["thresholds"]
        assert [one["severity"] for one in report["findings"] if one["outcome"] == "failed"] == sorted(
            (one["severity"] for one in report["findings"] if one["outcome"] == "failed"), reverse=True
        )


class TestWriting:
    def test_both_files_are_there_and_the_digest_is_of_the_json(self, report: Json, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "folder"
        sha256 = write_report(folder, report)
        assert sorted(path.name for path in folder.iterdir()) == [HTML_FILE, JSON_FILE]
        octets = (folder / JSON_FILE).read_bytes()
        assert hashlib.sha256(octets).hexdigest() == sha256
        assert json.loads(octets) == report
        assert sha256 in (folder / HTML_FILE).read_text()
        assert write_report(folder, report) == sha256

    def test_a_folder_that_cannot_be_written_is_out_of_reach(self, report: Json, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file")
        with pytest.raises(Unreachable, match="taken cannot be written"):
            write_report(tmp_path / "taken", report)
