"""A page that people read: self-contained, no script, no request to anywhere, no inline style.

Its policy allows the one style sheet in it, by digest. Every text is escaped, and a missing name is an error.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fielded.services.pages.plots import plain
from fielded.words.digests import canonical_json
from fielded.words.errors import Unreachable

_STYLE = "page.css"


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with what it shows in words."""

    title: str
    words: str
    svg: Markup


def render(package: str, template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """A template of a package's folder `page`, with the style sheet that all pages share.

    Args:
        package: that has the folder, such as `fielded.services.release`.
        template: its name. It is given `style` and `policy` beside `values`.
        filters: its own, beside `number`, `percent`, `count`, `plain`, `moment` and `opened`.
        values: what it shows.
    """
    loader = ChoiceLoader([PackageLoader(package, "page"), PackageLoader("fielded.services.pages", "")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    shared: dict[str, Callable[..., Any]] = {
        "number": number,
        "percent": lambda value: f"{100 * value:g}%",
        "count": lambda value: f"{value:,}",
        "plain": lambda value: plain(str(value)),
        "moment": moment,
        "opened": opened,
    }
    environment.filters |= {**shared, **filters}
    style, _, _ = loader.get_source(environment, _STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup(style),  # noqa: S704 - our own file
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        **values,
    )


def write_pair(folder: Path, name: str, report: Mapping[str, Any], page_of: Callable[[Any, str], str]) -> str:
    """Write a report twice: `NAME.json`, which is the record, and `NAME.html`, which people read.

    Args:
        folder: made where it is not there; a report in it is replaced.
        name: of both files.
        report: JSON values.
        page_of: the report and the SHA-256 of its record to the page.

    Returns:
        SHA-256 of the record.

    Raises:
        Unreachable: the folder cannot be written.
    """
    text = json.dumps(json.loads(canonical_json(report)), indent=1, ensure_ascii=False) + "\n"
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    write_files(folder, {f"{name}.json": text, f"{name}.html": page_of(report, sha256)})
    return sha256


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, each whole or not at all.

    Args:
        folder: made where it is not there; files of these names in it are replaced.
        files: name -> text.

    Raises:
        Unreachable: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            unfinished = folder / f".{name}.unfinished"
            unfinished.write_text(content, encoding="utf-8")
            os.replace(unfinished, folder / name)  # noqa: PTH105 - atomic: a reader sees a whole report or none
    except OSError as error:
        raise Unreachable(f"report: {folder.name} cannot be written ({error.strerror or error})") from error


def opened(text: str) -> str:
    """With a capital letter in front, and every other as it was."""
    return text[:1].upper() + text[1:]


def moment(text: str) -> str:
    """An ISO time as people read it."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def number(value: float | None) -> str:
    """To a thousandth; `none` where there is none."""
    return "none" if value is None else f"{value:.3f}"
