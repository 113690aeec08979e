"""The sections `notify` and `monitoring` of a site: no secret in them, and nothing that is read on the way."""

from pathlib import Path

import pytest

from fielded.definition.site import load_site
from fielded.words.errors import DefinitionError

GOOD = """\
notify:
  webhook: {url: "https://alarms.example.mil/hook", secret: "env:HOOK_KEY"}
  mail: {host: mail.example.mil, from: watch@example.mil, user: watch, password: "file:secrets/mail"}
monitoring: {metrics_url: "http://127.0.0.1:8443/metrics", token: "env:TOKEN"}
"""


def load(folder: Path, text: str) -> object:
    (folder / "site.yaml").write_text(text)
    return load_site({}, folder)


def test_both_sections_are_read(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(GOOD)
    site = load_site({}, tmp_path)
    assert site.notify.webhook is not None
    assert site.notify.mail is not None
    assert site.notify.webhook.url == "https://alarms.example.mil/hook"
    assert (site.notify.mail.from_, site.notify.mail.port, site.notify.mail.starttls) == (
        "watch@example.mil",
        587,
        True,
    )
    assert site.notify.mail.password == f"file:{tmp_path / 'secrets' / 'mail'}", "relative to the site file"
    assert site.monitoring.token == "env:TOKEN"  # noqa: S105 - a reference


def test_a_site_without_them_tells_nobody(tmp_path: Path) -> None:
    site = load_site({}, tmp_path)
    assert (site.notify.webhook, site.notify.mail, site.monitoring.metrics_url) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('notify: {webhook: {url: "http://alarms.example.mil", secret: "env:K"}}', "notify.webhook.url"),
        ('notify: {webhook: {url: "https://u:p@alarms.example.mil", secret: "env:K"}}', "notify.webhook.url"),
        ('notify: {webhook: {url: "file:hook", secret: "env:K"}}', "notify.webhook.url"),
        ('notify: {webhook: {url: "https://alarms.example.mil", secret: "words"}}', "notify.webhook.secret"),
        ('notify: {webhook: {url: "https://alarms.example.mil"}}', "notify.webhook.secret"),
        ("notify: {mail: {host: m.example.mil, from: watch@example.mil, starttls: false}}", "notify.mail"),
        ("notify: {mail: {host: m.example.mil, from: watch@example.mil, user: watch}}", "notify.mail"),
        ('notify: {mail: {host: m.example.mil, from: "a@b, c@d"}}', "notify.mail.from"),
        ("notify: {pager: {}}", "notify.pager"),
        ('monitoring: {metrics_url: "http://api.example.mil/metrics"}', "monitoring.metrics_url"),
    ],
)
def test_what_is_wrong_names_its_field(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load(tmp_path, text)
    assert any(finding.field.startswith(field) for finding in caught.value.findings), caught.value


def test_a_variable_cannot_stand_for_a_section(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="FIELDED_NOTIFY"):
        load_site({"FIELDED_NOTIFY": "x"}, tmp_path)
