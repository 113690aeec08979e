"""Put on record what a trigger was found to do before it was armed, and read which of them still counts.

`trigger_simulated`, about `model NAME`: `trigger`, `trigger_sha256`, `version`, `sha256` (of the model's files),
`seed`, and all of `Simulated.as_dict`.

A simulation counts for the trigger as it was defined and for the model whose rows it was drawn from: another
number, window or version, and it has to be made again.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from fielded.decisions.monitoring.simulate import Simulated
from fielded.definition.monitoring import Trigger
from fielded.services.monitoring.record import about
from fielded.services.monitoring.simulate import simulate
from fielded.services.prepare_scorer import resolve
from fielded.services.seal import seal
from fielded.words.digests import value_sha256
from fielded.world.workplace import Workplace

SIMULATED = "trigger_simulated"

_TRIGGER = TypeAdapter(Trigger)


def trigger_sha256(trigger: Trigger) -> str:
    """Digest of a trigger as it is defined, with what its author left to the defaults."""
    return value_sha256(_TRIGGER.dump_python(trigger, mode="json"))


def simulate_on_record(
    workplace: Workplace,
    trigger_id: str,
    *,
    rows_per_week: float | None = None,
    shift: str | None = None,
    years: int = 200,
    every: int = 1,
    seed: int = 0,
) -> Simulated:
    """Simulate a trigger and put on record what came out.

    Args:
        workplace: the deployment at its site.
        trigger_id: of the definition.
        rows_per_week: see `simulate`; so are the others.
        shift: such as `ship_age_years=+2`.
        years: simulated.
        every: days between two looks.
        seed: of chance.

    Raises:
        WrongUse, Refused: as `simulate`; nothing is on record then.
        Unreachable: the ledger.
    """
    found = simulate(
        workplace, trigger_id, rows_per_week=rows_per_week, shift=shift, years=years, every=every, seed=seed
    )
    trigger = next(one for one in workplace.deployment.monitoring.triggers if one.id == trigger_id)
    model, sha256 = resolve(workplace)
    details = {
        **found.as_dict(),
        "trigger_sha256": trigger_sha256(trigger),
        "version": model.version,
        "sha256": sha256,
        "seed": seed,
    }
    workplace.record(SIMULATED, about(workplace), details)
    seal(workplace)
    return found


def simulations(workplace: Workplace, sha256: str) -> dict[str, Mapping[str, Any]]:
    """The last simulation of each trigger that is still what it was then, by the trigger's id.

    Args:
        workplace: the deployment at its site.
        sha256: of the model's files in production; simulations of another model do not count.

    Returns:
        The events' details, with `at` and `by`.

    Raises:
        Unreachable: the ledger.
    """
    now = {one.id: trigger_sha256(one) for one in workplace.deployment.monitoring.triggers}
    found: dict[str, Mapping[str, Any]] = {}
    for event in workplace.ledger.events_of(SIMULATED, about(workplace)):
        details = event["details"]
        trigger = str(details.get("trigger"))
        if details.get("sha256") == sha256 and now.get(trigger) == details.get("trigger_sha256"):
            found[trigger] = {**details, "at": event["occurred_at"].isoformat(), "by": str(event["actor"])}
    return found
