"""A document as a Word file that a reviewer can print and annotate.

It has the same sentences as the page, and the same bytes for the same document.

A drawing is told in its words; the file beside it has it as SVG, and the tables say all that it shows.
"""

import io
import zipfile
from typing import Any

from fielded.decisions.assurance.documents import Block, Document, Figure, Paragraph, Table
from fielded.decisions.assurance.statements import Said
from fielded.services.documents.html import cited
from fielded.words.archives import stored_zip
from fielded.words.errors import WrongUse

_WRITABLE = 0o600
_SMALL, _GREY = 8, (0x56, 0x5C, 0x65)  # points, and the colour of what a sentence rests on


def word_of(document: Document, subject: str) -> bytes:
    """The Word file.

    Args:
        document: made of sentences.
        subject: whose document it is, for the line below the title.

    Raises:
        WrongUse: python-docx is not installed.
    """
    try:
        import docx  # noqa: PLC0415 - an extra
    except ImportError:
        raise WrongUse(
            'documents: got no python-docx, expected it for a .docx. Install the extra: pip install "fielded[ato]"'
        ) from None
    file = docx.Document()
    _properties(file, document, subject)
    file.add_heading(document.title, level=0)
    counts = document.counts()
    file.add_paragraph(
        f"{subject}. As of {document.as_of:%Y-%m-%d %H:%M:%S} UTC. Of {sum(counts.values()):,} sentences "
        f"{counts['evidenced']:,} are evidenced, {counts['attested']:,} attested by a person, and "
        f"{counts['not evidenced']:,} not evidenced."
    )
    for section in document.sections:
        number = f"{section.number}. " if section.number else ""
        file.add_heading(f"{number}{section.title}", level=2 if "." in section.number else 1)
        for block in section.blocks:
            _add(file, block)
    held = io.BytesIO()
    file.save(held)
    return _same_bytes(held.getvalue())


def _properties(file: Any, document: Document, subject: str) -> None:
    """Of whoever made it, and when, nothing is said that is not in the document."""
    kept = file.core_properties
    kept.author = kept.last_modified_by = "fielded"
    kept.title, kept.subject, kept.comments = document.title, subject, ""
    kept.created = kept.modified = document.as_of.replace(tzinfo=None, microsecond=0)
    kept.revision = 1


def _add(file: Any, block: Block) -> None:
    if isinstance(block, Paragraph):
        paragraph = file.add_paragraph()
        for one in block.said:
            _sentence(paragraph, one)
    elif isinstance(block, Figure):
        file.add_paragraph(f"{block.title}: see the drawing beside this file. {block.words}")
    else:
        _table(file, block)


def _sentence(paragraph: Any, one: Said) -> None:
    rests = f"[{', '.join(one.cites)}]"
    if one.attested is not None:
        rests = f"({one.attested.author}, {one.attested.date})"
    elif one.state == "not evidenced":
        rests = f"({one.lacking})"
    run = paragraph.add_run(f"{one.text} ")
    run.bold = one.state == "not evidenced"
    _small(paragraph.add_run(f"{rests} "))


def _small(run: Any) -> None:
    from docx.shared import Pt, RGBColor  # noqa: PLC0415 - an extra

    run.font.size, run.font.color.rgb = Pt(_SMALL), RGBColor(*_GREY)


def _table(file: Any, block: Table) -> None:
    paragraph = file.add_paragraph()
    paragraph.add_run(f"{block.caption} ").bold = True
    paragraph.paragraph_format.keep_with_next = True
    sources = cited(block.as_dict()["rows"])
    if sources:
        _small(paragraph.add_run(f"[{', '.join(sources)}]"))
    table = file.add_table(rows=1, cols=len(block.columns), style="Table Grid")
    for cell, text in zip(table.rows[0].cells, block.columns, strict=True):
        cell.paragraphs[0].add_run(text).bold = True
    for row in block.rows:
        for cell, value in zip(table.add_row().cells, row, strict=True):
            cell.text = value if isinstance(value, str) else value.text
    file.add_paragraph()


def _same_bytes(made: bytes) -> bytes:
    """The archive with its files in order and without the time at which it was made."""
    with zipfile.ZipFile(io.BytesIO(made)) as before:
        names = sorted(before.namelist(), key=lambda name: (name != "[Content_Types].xml", name))
        return stored_zip(((name, before.read(name)) for name in names), _WRITABLE)
