"""Pages in tests: parsed, checked for what no page may have, and laid out by a real browser where there is one."""

import base64
import hashlib
import html
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

_FORBIDDEN = frozenset(
    {"script", "iframe", "object", "embed", "form", "img", "link", "base", "foreignobject", "video"}
)


class Parsed(HTMLParser):
    """Every element with its attributes; fails on one that is closed by another's end."""

    VOID = frozenset({"meta", "br", "wbr", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.told: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.told.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What people read, with single spaces."""
        return " ".join(" ".join(self.told).split())


def nothing_runs(page: str) -> None:
    """No script, no frame, no inline style, nothing that loads, and a policy for the one style sheet."""
    parsed = Parsed(page)
    assert not {name for name, _ in parsed.elements} & _FORBIDDEN
    for _, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import|javascript:", page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (policy,) = [one["content"] for one in parsed.all("meta") if "http-equiv" in one]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)


def can_be_read(page: str) -> None:
    """Ids, headings, tables, drawings and regions are as assistive technology needs them."""
    parsed = Parsed(page)
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert max(ids.values()) == 1
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    referred |= {str(one["aria-labelledby"]) for one in parsed.all("section")}
    assert referred <= set(ids)
    levels = [int(name[1]) for name, _ in parsed.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert '<html lang="en">' in page
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(one.get("scope") in ("col", "row") for one in parsed.all("th"))
    figures = parsed.all("figure")
    for one in figures:
        assert one["role"] == "img"
        assert len(str(one["aria-label"])) > 30
    assert page.count("<svg ") == len(figures) == page.count('aria-hidden="true"')
    regions = [one for one in parsed.all("div") if one.get("class") == "scroll"]
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in regions)
    assert len(regions) == len([one for one in parsed.all("table") if one.get("class") != "findings"])


def width_needed(page: str, width: int, folder: Path) -> int:
    """How wide a page lays itself out in a window of a width, by a browser, in CSS pixels."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium is installed, which lays pages out (Debian: apt-get install chromium)")
    frame = (
        f'<!doctype html><body><iframe id="f" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        "<script>f.onload = () => document.body.dataset.seen = f.contentDocument.documentElement.scrollWidth"
        "</script>"
    )
    (folder / "frame.html").write_text(frame)
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
         "--dump-dom", (folder / "frame.html").as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    seen = re.search(r'data-seen="(\d+)"', done.stdout)
    assert seen is not None, done.stderr[-500:]
    return int(seen[1])
