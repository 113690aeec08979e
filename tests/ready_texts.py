"""What people write for the ready site: definition, site, and the documents. Nobody in it is a person."""

from collections.abc import Mapping

from fielded.definition.prose import FUNCTIONS, PRINCIPLES

DEFINITION = """\
name: overrun
purpose: Flag open work orders that are likely to overrun.
subject: order_id
model: {name: overrun_classifier, alias: production, previous_alias: previous}
features:
  hours:   {type: float, unit: hours, min: 0}
  age:     {type: float, unit: years, min: 0, nullable: true}
  earlier: {type: int, min: 0}
  month:   {type: int, min: 1, max: 12}
  kind:    {type: category, values: [engine, hull, radar, valve], unseen: quarantine}
decision:
  score: overrun_probability
  flag: overrun_flag
  threshold: 0.5
  rationale: A needless visit costs as much as a missed overrun, so a visit pays from a probability of one half.
  review_band: [0.4, 0.6]
population:
  query: population.py:pending
  tables: {orders: silver.orders, ships: reference.ships}
batch: {schedule: "0 2 * * *", output: gold.overrun_scores, quarantine_limit: 0.2}
slices: [kind]
release:
  approvals: 2
  holdout: {table: silver.holdout, label: overran}
  gates:
    evidence: {documents: [model_card, rai_assessment]}
    performance: {limits: {auc: ">= 0.60", brier: "<= 0.25"}}
    shift: {recent_rows: 1000}
    fairness: {demographic_parity: 0.5, equalized_odds: 0.5, proxy: 0.95}
    calibration: {in_the_large: 0.10}
    budget: {row_milliseconds: 60000, memory_mib: 100000}
review: {second_share: 0.0, due_hours: 240}
monitoring:
  labels: {maturity: 90d, min_coverage: 0.5}
  triggers:
    - id: score-drift
      metric: psi(score)
      when: "> 0.20"
      significance: {alpha: 0.01}
      window: {last: 300, max_age: 30d}
      min_sample: 200
      breaches: 2 of 2
      then: [open_retraining_request, notify_owner]
ato:
  boundary: existing
  categorization: {confidentiality: moderate, integrity: moderate, availability: low}
  impact_level: IL4
  tailored_in: {sr-4: What the model learned from must be known as well as what it is}
  documents: {model_card: model_card.yaml, rai_assessment: rai_assessment.yaml, runbook: runbook.yaml}
people:
  model_owner: {name: Alex Example, email: alex.example@example.mil}
  monitoring_owner: {name: Blair Example, email: blair.example@example.mil}
  rai_approver: {name: Casey Example, email: casey.example@example.mil}
  authorizing_official: {name: Drew Example, email: drew.example@example.mil}
  isso: {name: Emery Example, email: emery.example@example.mil}
"""

SITE = """\
root: tables
tracking_uri: sqlite:///HERE/mlflow.db
artifact_root: artifacts
cache: cache
environment: development
journal_url: sqlite:///journal
signing_key: file:keys/seal.pem
identity: {development_token: "file:secrets/token"}
roles:
  "os:author": [release]
  "os:first": [release]
  "os:second": [release]
  "os:approver": [release]
  "os:reviewer": [review]
  "os:owner": [review]
  "os:collector": [audit, release, review, score]
  "DRILLER": [release]
authorization:
  system: Overrun
  persons:
    alex.example@example.mil: ["os:author"]
    blair.example@example.mil: ["os:owner"]
    casey.example@example.mil: ["os:approver"]
"""


def _prose(document: str, parts: Mapping[str, str], author: str) -> str:
    """A file of passages, each by one person on one day."""
    lines = [f"document: {document}", "sections:"]
    for name, text in parts.items():
        lines += [f"  {name}:", f"    - {{text: '{text}', author: {author}, date: 2026-02-27}}"]
    return "\n".join(lines) + "\n"


_CARD = {
    "description": "Gradient boosted trees on five features of a work order.",
    "intended_use": "Planners look at flagged orders before the plan of the week is fixed.",
    "out_of_scope": "It is not for the assessment of people and not for orders of other shops.",
    "training_data": "Orders of the shops as they were closed; open orders taught it nothing.",
    "evaluation_data": "Orders of the months after training, which no version learned from.",
    "performance": "Read the interval of each kind before its value.",
    "fairness": "The kinds of orders are told apart; no person is scored.",
    "limitations": "An order of a kind that is new is not scored but put aside.",
    "monitoring": "The owner of the watch looks at each alarm within a working day.",
}
_RUN = {
    "when": "Flags are plainly wrong, or the watch fires and its owner says so.",
    "who": "Whoever has the role release at the site, at any hour.",
    "steps": "Run `fielded rollback -m REASON` and wait for its answer.",
    "afterwards": "Score the day again and tell the planners which orders were flagged.",
}
PROSE = {
    "model_card": _prose("model_card", _CARD, "Alex Example"),
    "rai_assessment": _prose(
        "rai_assessment",
        {
            f"{principle}_{function}": f"The owner answers for what is {principle}, and the record shows it."
            for principle in PRINCIPLES
            for function in FUNCTIONS
        },
        "Casey Example",
    ),
    "runbook": _prose("runbook", _RUN, "Alex Example"),
}
