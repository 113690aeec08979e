"""What Prometheus and Grafana are given: read by Prometheus's own tool, where there is one, and its client."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

import watched
from conftest import DEFINITION, POPULATION
from fielded.decisions.monitoring.report import STATES, Json
from fielded.definition import Deployment, load_deployment
from fielded.services.monitoring.grafana import dashboard, dashboard_text
from fielded.services.monitoring.prometheus import FAMILIES, STATE_NUMBERS, metrics_text, write_metrics
from fielded.services.monitoring.rules import rules_text

# A name that Prometheus's texts must escape.
MODEL = 'overrun "v\\1"'
SECTION = """\
monitoring:
  triggers:
    - {id: score-drift, metric: psi(score), when: "> 0.10", then: [open_retraining_request, notify_owner]}
    - {id: missed, metric: "fnr[kind=*]", when: "> 0.5", min_sample: 100, no_data_after: 14d}
  labels: {maturity: 30d, min_coverage: 0.7}
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder = tmp_path_factory.mktemp("deployment")
    text = DEFINITION.replace("{name: MODEL,", "{name: 'overrun \"v\\1\"',")
    (folder / "deployment.yaml").write_text(text + SECTION)
    (folder / "population.py").write_text(POPULATION)
    return load_deployment(folder)


@pytest.fixture(scope="module")
def report() -> Json:
    return {**watched.report(), "model": MODEL}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool is installed (Debian: apt-get install prometheus)")
    return found


def call(*arguments: str, given: str = "") -> str:
    done = subprocess.run(arguments, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, "a series is there twice"
            found[key] = sample.value
    return found


class TestTheMetrics:
    def test_promtool_finds_nothing_wrong(self, report: Json, promtool: str) -> None:
        assert call(promtool, "check", "metrics", given=metrics_text(report)).strip() == ""

    def test_they_read_back_as_what_the_report_says(self, report: Json) -> None:
        found = samples(metrics_text(report))
        shared = {"model": MODEL, "version": "3"}

        def one(name: str, **labels: str) -> float:
            return found[name, tuple(sorted({**shared, **labels}.items()))]

        psi = {row["of"]: row["value"] for row in report["measured"] if row["name"] == "psi" and not row["column"]}
        assert len(psi) == 6
        for feature, value in psi.items():
            assert one("fielded_drift_psi_ratio", feature=feature) == value
        assert one("fielded_trigger_state", id="age-drift", instance="psi(ship_age_years)") == 3
        assert one("fielded_trigger_state", id="missed", instance="fnr[hull_class=other]") == -1
        assert one("fielded_review_queue_items") == 14
        assert one("fielded_review_oldest_age_seconds") == 190_000
        assert one("fielded_labels_coverage_ratio") == report["labels"]["coverage"]
        assert one("fielded_retraining_requests_open") == 1
        assert one("fielded_release_reviews_overdue") == 1
        assert one("fielded_monitor_last_run_timestamp_seconds") == 1772433000
        assert one("fielded_score_age_seconds") == 28.5 * 3600
        low = one("fielded_performance_low_ratio", metric="auc", slice="overall")
        assert low < one("fielded_performance_ratio", metric="auc", slice="overall")

    def test_what_was_not_measured_has_no_sample(self) -> None:
        empty = watched.report(
            watched.sources(days=0, labels=False), estimated=None, queue=None, retraining=[], release_reviews=[]
        )
        names = {name for name, _ in samples(metrics_text(empty))}
        assert "fielded_monitor_last_run_timestamp_seconds" in names
        assert not names & {
            "fielded_drift_psi_ratio", "fielded_labels_coverage_ratio", "fielded_review_queue_items",
            "fielded_flag_ratio", "fielded_retraining_due_timestamp_seconds",
        }  # fmt: skip

    def test_labels_hold_names_and_slices_alone_and_stay_few(self, report: Json) -> None:
        found = samples(metrics_text(report))
        assert {label for _, labels in found for label, _ in labels} == {
            "model", "version", "feature", "id", "instance", "metric", "slice",
        }  # fmt: skip
        assert len(found) < 300

    def test_slices_that_attack_the_format_stay_one_label(self, promtool: str) -> None:
        evil = watched.report(watched.sources(days=40, rows=60, classes=(*watched.EVIL, 'a"} 1\nx{b="', "\\")))
        text = metrics_text(evil)
        call(promtool, "check", "metrics", given=text)
        assert all(name.startswith("fielded_") for name, _ in samples(text))

    def test_every_state_has_a_number_and_every_family_its_help(self, report: Json) -> None:
        assert set(STATE_NUMBERS) == set(STATES)
        text = metrics_text(report)
        given = re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)
        assert set(given) <= {(family.name, family.help) for family in FAMILIES}
        assert {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")} == {
            name for name, _ in given
        }

    def test_the_file_is_whole_and_alone(self, report: Json, tmp_path: Path) -> None:
        write_metrics(tmp_path / "collected" / "fielded.prom", report)
        assert (tmp_path / "collected" / "fielded.prom").read_text() == metrics_text(report)
        assert [path.name for path in (tmp_path / "collected").iterdir()] == ["fielded.prom"]


class TestTheRules:
    def test_promtool_takes_them(self, deployment: Deployment, promtool: str, tmp_path: Path) -> None:
        (tmp_path / "rules.yml").write_text(rules_text(deployment))
        said = call(promtool, "check", "rules", str(tmp_path / "rules.yml"))
        assert "SUCCESS: 13 rules found" in said

    def test_the_same_definition_gives_the_same_text(self, deployment: Deployment) -> None:
        assert rules_text(deployment) == rules_text(deployment)
        assert deployment.sha256 in rules_text(deployment).splitlines()[0]

    def test_they_fire_and_stay_silent_as_they_should(
        self, deployment: Deployment, promtool: str, tmp_path: Path
    ) -> None:
        """Prometheus evaluates them over series like those that the monitor writes."""
        (tmp_path / "rules.yml").write_text(rules_text(deployment))
        of = 'model="overrun \\"v\\\\1\\"",version="3"'
        quiet = {
            "fielded_trigger_state": ('id="score-drift",instance="psi(score)"', "0x400"),
            "fielded_release_reviews_overdue": ("", "0x400"),
            "fielded_score_age_seconds": ("", "3600x400"),
            "fielded_labels_coverage_ratio": ("", "0.9x400"),
        }
        loud = {
            "fielded_trigger_state": ('id="score-drift",instance="psi(score)"', "0x5 3x400"),
            "fielded_release_reviews_overdue": ("", "1x400"),
            "fielded_score_age_seconds": ("", "1300000x400"),
            "fielded_labels_coverage_ratio": ("", "0.5x400"),
        }
        ran = {"fielded_monitor_last_run_timestamp_seconds": ("", "0+60x400")}
        firing = [
            "FieldedTriggerFiring",
            "FieldedReleaseReviewOverdue",
            "FieldedScoresStale",
            "FieldedLabelsLacking",
        ]
        tests = [
            _tested({**quiet, **ran}, of, dict.fromkeys([*firing, "FieldedMonitorSilent"], False)),
            _tested({**loud, **ran}, of, dict.fromkeys(firing, True)),
            _tested(quiet, of, {"FieldedMonitorSilent": True}),
        ]
        text = rules_text(deployment)
        for test in tests:
            for one in test["alert_rule_test"]:
                if one.pop("fires"):
                    one["exp_alerts"] = [_expected(text, one["alertname"])]
        with (tmp_path / "test.yml").open("w") as file:
            YAML().dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}, file)
        assert "SUCCESS" in call(promtool, "test", "rules", str(tmp_path / "test.yml"))

    def test_each_trigger_has_its_rules_and_each_rule_its_next_step(self, deployment: Deployment) -> None:
        rules = [
            rule for group in YAML(typ="safe").load(rules_text(deployment))["groups"] for rule in group["rules"]
        ]
        firing = [rule["expr"] for rule in rules if rule["alert"] == "FieldedTriggerFiring"]
        assert [re.search(r'id="([^"]+)"', one)[1] for one in firing] == ["score-drift", "missed"]
        assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in rules)
        severities = {rule["labels"]["severity"] for rule in rules}
        assert severities == {"critical", "warning", "info"}


def _tested(series: dict[str, tuple[str, str]], of: str, alerts: dict[str, bool]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [
            {"series": f"{name}{{{','.join(filter(None, (of, labels)))}}}", "values": values}
            for name, (labels, values) in series.items()
        ],
        "alert_rule_test": [
            {"eval_time": "30m", "alertname": name, "exp_alerts": [], "fires": fires}
            for name, fires in alerts.items()
        ],
    }


def _expected(text: str, name: str) -> dict[str, Any]:
    """What an alert says when it fires; of several with one name, the first."""
    rules = [rule for group in YAML(typ="safe").load(text)["groups"] for rule in group["rules"]]
    rule = next(rule for rule in rules if rule["alert"] == name)
    labels = dict(rule["labels"])
    if name == "FieldedTriggerFiring":
        labels |= {"id": "score-drift", "instance": "psi(score)", "model": MODEL, "version": "3"}
    if name == "FieldedMonitorSilent":
        labels |= {"model": MODEL}
    annotations = {
        key: value.replace("{{ $labels.instance }}", "psi(score)") for key, value in rule["annotations"].items()
    }
    return {"exp_labels": labels, "exp_annotations": annotations}


class TestTheDashboard:
    def test_every_query_is_one_and_asks_for_what_there_is(
        self, deployment: Deployment, promtool: str, tmp_path: Path
    ) -> None:
        asked = [target["expr"] for panel in dashboard(deployment)["panels"] for target in panel["targets"]]
        assert len(asked) == 24
        rules = [{"record": f"made_up:{number}", "expr": one} for number, one in enumerate(asked)]
        rules = [{**rule, "record": f"made_up_{number}"} for number, rule in enumerate(rules)]
        with (tmp_path / "rules.yml").open("w") as file:
            YAML().dump({"groups": [{"name": "queries", "rules": rules}]}, file)
        assert f"SUCCESS: {len(asked)} rules found" in call(
            promtool, "check", "rules", str(tmp_path / "rules.yml")
        )

    def test_every_metric_that_rules_and_panels_name_is_given_by_somebody(self, deployment: Deployment) -> None:
        source = Path(watched.__file__).parent.parent / "src" / "fielded" / "doors" / "serving" / "metrics.py"
        given = {family.name for family in FAMILIES} | set(re.findall(r'"(fielded_\w+)"', source.read_text()))
        text = rules_text(deployment) + dashboard_text(deployment)
        named = {re.sub(r"_(bucket|total)$", "", name) for name in re.findall(r"\bfielded_[a-z_]+", text)}
        assert len(named) >= 20
        assert named <= given

    def test_panels_have_ids_of_their_own_and_stand_beside_each_other(self, deployment: Deployment) -> None:
        panels = dashboard(deployment)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) >= 12
        assert all(panel["title"] and panel["description"] for panel in panels)
        for one, other in combinations((panel["gridPos"] for panel in panels), 2):
            apart = (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )
            assert apart, (one, other)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)

    def test_it_names_no_server_and_is_the_same_each_time(self, deployment: Deployment) -> None:
        text = dashboard_text(deployment)
        assert text == dashboard_text(deployment)
        made = json.loads(text)
        assert {target["datasource"]["uid"] for panel in made["panels"] for target in panel["targets"]} == {
            "${source}"
        }
        assert made["templating"]["list"][0]["type"] == "datasource"
        assert "http" not in text

    def test_states_have_names(self, deployment: Deployment) -> None:
        (panel,) = [one for one in dashboard(deployment)["panels"] if one["type"] == "state-timeline"]
        (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
        told = {int(number): one["text"] for number, one in mapping["options"].items()}
        assert told == {-1: "insufficient data", 0: "ok or cleared", 1: "pending", 2: "acknowledged", 3: "firing"}
