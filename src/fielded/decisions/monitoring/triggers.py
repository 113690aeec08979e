"""The state of each trigger instance, as a fold over what was measured and who acknowledged it.

1. An instance that was never looked at has `insufficient_data`.
2. A window counts once: an evaluation changes nothing where less than a tenth of the days of its window came after
   the window that was counted last. Who looks every night at what takes three weeks to come sees the same rows
   again, and two such looks are not two. Silence, volume, staleness and latency count once a day.
3. An evaluation that lacks something is not counted. It never clears an alarm; without one the instance has
   `insufficient_data`, and what was counted before stays counted.
4. A breach is a value that crosses `when` and is more than chance where the trigger asks for that; or silence.
5. The instance fires when as many of the last counted evaluations as `breaches` says are breaches. It is `pending`
   while one of them still counts towards that in the next evaluation, and else `ok`.
6. `firing` becomes `acknowledged` by a named person with a reason, and by nothing else.
7. `firing` and `acknowledged` become `cleared` when `clear` held in so many counted evaluations in a row, and by
   nothing else: after that it is as if nothing had been counted before.
8. Another version in production begins anew: its rows are others. A look back at an earlier day than the last one
   changes nothing.
9. A trigger that the definition has no more is no more. An instance in alarm that was not measured lacks a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from fielded.decisions.monitoring.measure import Measured
from fielded.definition.monitoring import FLOW, Breaches, Trigger, When
from fielded.words.errors import Refused

Name = Literal["insufficient_data", "ok", "pending", "firing", "acknowledged", "cleared"]
NAMES: tuple[Name, ...] = ("insufficient_data", "ok", "pending", "firing", "acknowledged", "cleared")
IN_ALARM: frozenset[Name] = frozenset({"firing", "acknowledged"})

TENTH = 10  # of a window's days, that must be new; see rule 2
Key = tuple[str, str]  # trigger's id, instance

Outcome = Literal["breach", "calm", "between", "lacking"]  # `between`: neither a breach nor what clears


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerState:
    """Where one instance of a trigger stands.

    Attributes:
        trigger: the trigger's id.
        instance: the metric without `*`: `psi(score)`, `fnr[hull_class=LSD]`.
        version: of the model that it is about.
        state: see the rules.
        since: day of the evaluation that led to it.
        window: that was counted last; empty for none.
        counted_to: its last day; None where it was silence, or there was none.
        recent: whether each counted evaluation was a breach, oldest first: as many as `breaches` looks at.
        calm: counted evaluations in a row, up to the last, that would clear an alarm.
        alarm: name of the alarm that it is in, another one each time it fires; empty where it is in none.
        acknowledged_by: who knows of the alarm; empty for nobody.
        reason: what they said.
    """

    trigger: str
    instance: str
    version: str
    state: Name = "insufficient_data"
    since: date
    window: str = ""
    counted_to: date | None = None
    recent: tuple[bool, ...] = ()
    calm: int = 0
    alarm: str = ""
    acknowledged_by: str = ""
    reason: str = ""

    @property
    def key(self) -> Key:
        """What names it."""
        return self.trigger, self.instance

    def as_dict(self) -> dict[str, Any]:
        """For an event."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        counted_to = None if self.counted_to is None else self.counted_to.isoformat()
        return {**told, "since": self.since.isoformat(), "recent": list(self.recent), "counted_to": counted_to}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "TriggerState":
        """From an event.

        Raises:
            KeyError, TypeError, ValueError: fielded did not write it.
        """
        if told["state"] not in NAMES:
            raise ValueError(f"state: got {told['state']!r}, expected one of {', '.join(NAMES)}")
        counted_to = told["counted_to"]
        read = {
            "since": date.fromisoformat(told["since"]),
            "recent": tuple(told["recent"]),
            "counted_to": None if counted_to is None else date.fromisoformat(counted_to),
        }
        return cls(**{**told, **read})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one look at one instance said.

    Attributes:
        trigger: the trigger's id.
        measured: what was measured.
        outcome: see the rules.
        why: in words: got and expected.
    """

    trigger: str
    measured: Measured
    outcome: Outcome
    why: str

    @property
    def key(self) -> Key:
        """Names the instance."""
        return self.trigger, str(self.measured.metric)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything.

    Attributes:
        as_of: last day that was looked at.
        version: in production.
        run: what names the look.
    """

    as_of: date
    version: str
    run: str


@dataclass(frozen=True, slots=True)
class Change:
    """An instance whose state is another than before.

    Attributes:
        before: None for one that was never looked at.
        after: None for one that the definition has no more (rule 9).
        why: in words.
    """

    before: TriggerState | None
    after: TriggerState | None
    why: str

    @property
    def fired(self) -> bool:
        """Whether an alarm began."""
        return self.after is not None and self.after.state == "firing"


def evaluate(trigger: Trigger, measured: Measured) -> Evaluation:
    """What a measured value means to a trigger; see rules 3 and 4."""
    outcome, why = _judged(trigger, measured)
    return Evaluation(trigger=trigger.id, measured=measured, outcome=outcome, why=why)


def _judged(trigger: Trigger, measured: Measured) -> tuple[Outcome, str]:
    when = When.parse(trigger.when)
    if measured.silent:
        return "breach", measured.silent
    if measured.lacking or measured.value is None:
        return "lacking", measured.lacking or "got no value, expected one"
    of = "" if measured.metric.name in FLOW else f" of {measured.rows:,} rows"
    value = f"got {measured.value:.4g}{of}"
    if when.crossed(measured.value):
        chance = _within_chance(trigger, measured, when)
        return ("between", f"{value}, {chance}") if chance else ("breach", f"{value}, expected not {when}")
    clears = When.parse(trigger.clear.when) if trigger.clear else None
    if clears is None or clears.crossed(measured.value):
        return "calm", f"{value}, which is not {when}"
    return "between", f"{value}, which is neither {when} nor {clears}"


def _within_chance(trigger: Trigger, measured: Measured, when: When) -> str:
    """Why a value that crosses `when` may be chance; empty where it is more, or nobody asked."""
    if trigger.significance is None or measured.value is None:
        return ""
    if measured.chance_limit is not None:
        within = measured.value <= measured.chance_limit
        return f"which chance makes: its limit is {measured.chance_limit:.4g}" if within else ""
    end = measured.low if when.above else measured.high
    if end is not None and not when.crossed(end):
        return f"which may be chance: its interval reaches to {end:.4g}"
    return ""


def _window(measured: Measured, as_of: date) -> str:
    """What names the window of a look."""
    return f"silence on {as_of}" if measured.silent else f"{measured.first_day}..{measured.last_day}"


def _is_new(state: TriggerState, measured: Measured, as_of: date) -> bool:
    """Rule 2."""
    first, last = measured.first_day, measured.last_day
    once_a_day = measured.silent or measured.metric.name in FLOW
    if once_a_day or state.counted_to is None or first is None or last is None:
        return _window(measured, as_of) != state.window
    return new_enough((last - state.counted_to).days, (last - first).days + 1)


def new_enough(new_days: int, days: int) -> bool:
    """Whether so many new days of a window's days make it another one; see rule 2."""
    return new_days > 0 and new_days * TENTH >= days


def after(state: TriggerState, trigger: Trigger, evaluation: Evaluation, as_of: date, run: str) -> TriggerState:
    """The state that an evaluation leads to; rules 2 to 8.

    Args:
        state: before.
        trigger: of the instance.
        evaluation: of the instance.
        as_of: day of the evaluation.
        run: what names the run; an alarm that begins is named by it.
    """
    if evaluation.outcome == "lacking":
        stays = state.state in IN_ALARM or state.state == "insufficient_data"
        return state if stays else replace(state, state="insufficient_data", since=as_of)
    measured = evaluation.measured
    if not _is_new(state, measured, as_of):
        return _counted_again(state, trigger, as_of)
    breaches = Breaches.parse(trigger.breaches)
    recent = (*state.recent, evaluation.outcome == "breach")[-breaches.last :]
    calm = state.calm + 1 if evaluation.outcome == "calm" else 0
    counted_to = None if measured.silent else measured.last_day
    counted = replace(state, window=_window(measured, as_of), counted_to=counted_to, recent=recent, calm=calm)
    if state.state in IN_ALARM:
        if calm < (trigger.clear.for_ if trigger.clear else 1):
            return counted
        return replace(
            counted, state="cleared", since=as_of, recent=(), calm=0, alarm="", acknowledged_by="", reason=""
        )
    name = _standing(recent, breaches)
    alarm = f"{state.trigger}/{state.instance}/{run}" if name == "firing" else ""
    return replace(counted, state=name, since=state.since if name == state.state else as_of, alarm=alarm)


def _counted_again(state: TriggerState, trigger: Trigger, as_of: date) -> TriggerState:
    """Rule 2; what was `insufficient_data` in between is again what was counted."""
    if state.state != "insufficient_data" or not state.recent:
        return state
    name = _standing(state.recent, Breaches.parse(trigger.breaches))
    return state if name == "firing" else replace(state, state=name, since=as_of)


def _standing(recent: Sequence[bool], breaches: Breaches) -> Name:
    """Rule 5."""
    if sum(recent[-breaches.last :]) >= breaches.of:
        return "firing"
    still_counts = recent[-(breaches.last - 1) :] if breaches.last > 1 else ()
    return "pending" if any(still_counts) else "ok"


def moved(
    states: Mapping[Key, TriggerState],
    triggers: Iterable[Trigger],
    evaluations: Iterable[Evaluation],
    look: Look,
) -> dict[Key, TriggerState]:
    """All instances after a look at all of them; rules 1 to 9.

    Args:
        states: before, by key.
        triggers: of the definition.
        evaluations: of every instance that could be measured.
        look: when, at which version.
    """
    asked = {trigger.id: trigger for trigger in triggers}
    reached: dict[Key, TriggerState] = {}
    for evaluation in evaluations:
        before = states.get(evaluation.key)
        if before is None or before.version != look.version:
            trigger, instance = evaluation.key
            before = TriggerState(trigger=trigger, instance=instance, version=look.version, since=look.as_of)
        reached[evaluation.key] = after(before, asked[evaluation.trigger], evaluation, look.as_of, look.run)
    for key, state in states.items():
        if key not in reached and state.state in IN_ALARM and key[0] in asked and state.version == look.version:
            reached[key] = state
    return reached


def changes(
    before: Mapping[Key, TriggerState], now: Mapping[Key, TriggerState], evaluations: Iterable[Evaluation]
) -> tuple[Change, ...]:
    """What has another state than before, in the order of `now`; then what is no more though it was in alarm."""
    why = {evaluation.key: evaluation.why for evaluation in evaluations}
    found = [
        Change(before.get(key), state, why.get(key, "it was not measured"))
        for key, state in now.items()
        if _differs(before.get(key), state)
    ]
    gone = [
        Change(state, None, "the definition has it no more, or the version in production is another")
        for key, state in before.items()
        if key not in now and state.state in IN_ALARM
    ]
    return (*found, *gone)


def _differs(before: TriggerState | None, state: TriggerState) -> bool:
    if before is None:
        return state.state != "insufficient_data"
    return (before.state, before.alarm) != (state.state, state.alarm)


def acknowledged(state: TriggerState, by: str, reason: str, on: date) -> TriggerState:
    """Rule 6.

    Raises:
        Refused: it is in no alarm that nobody acknowledged.
    """
    if state.state != "firing":
        raise Refused(
            f"acknowledge {state.trigger}: got {state.instance} in state {state.state}, expected firing. "
            "Look at `fielded monitor status`"
        )
    return replace(state, state="acknowledged", since=on, acknowledged_by=by, reason=reason)
