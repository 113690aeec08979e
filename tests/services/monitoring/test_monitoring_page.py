"""The page of the watch lists what there is: fields, metrics, states, kinds of events, rules."""

import re
from pathlib import Path

import fielded.decisions.monitoring.triggers as triggers_module
import watched
from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.triggers import NAMES
from fielded.definition.monitoring import (
    DRIFT,
    FLOW,
    LABELLED,
    QUALITY,
    RATES,
    Clear,
    Labels,
    Monitoring,
    Significance,
    Trigger,
    Window,
)
from fielded.definition.watching import Mail, Notify, Watching, Webhook

DOCS = Path(watched.__file__).parent.parent / "docs"
PAGE = (DOCS / "monitoring.md").read_text()


def test_every_field_of_the_section_is_on_the_page() -> None:
    for kind in (Monitoring, Trigger, Significance, Window, Labels, Clear):
        for field in kind.__dataclass_fields__:
            assert f"`{field.rstrip('_')}`" in PAGE, f"{kind.__name__}.{field}"


def test_every_metric_and_state_is_on_the_page() -> None:
    for metric in DRIFT | QUALITY | RATES | FLOW | LABELLED:
        assert re.search(rf"`{metric}[`(]", PAGE), metric
    for name in NAMES:
        assert f"`{name}`" in PAGE, name


def test_every_kind_of_event_is_on_the_page() -> None:
    kinds = (watch.RAN, watch.CHANGED, watch.ACKNOWLEDGED, watch.REQUESTED, watch.CLOSED, watch.NOTIFIED,
             watch.NOT_NOTIFIED)  # fmt: skip
    for kind in kinds:
        assert f"`{kind}`" in PAGE, kind
        assert f"`{kind}`" in (watch.__doc__ or ""), kind


def test_the_page_has_as_many_rules_of_states_as_the_code() -> None:
    rules = re.findall(r"^(\d+)\. ", triggers_module.__doc__ or "", re.MULTILINE)
    section = PAGE.partition("## States")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", section, re.MULTILINE) == rules == [str(number) for number in range(1, 10)]


def test_the_site_page_lists_how_people_are_told() -> None:
    page = (DOCS / "site.md").read_text()
    for kind, opening in ((Webhook, "webhook."), (Mail, "mail."), (Watching, "")):
        for field in kind.__dataclass_fields__:
            assert f"`{opening}{field.rstrip('_')}`" in page, f"{kind.__name__}.{field}"
    for field in Notify.__dataclass_fields__:
        assert f"`{field}." in page, field
