"""PDFs, read by pypdf."""

from __future__ import annotations

import base64

import pytest

pytest.importorskip("pypdf", reason="pypdf is not installed")

from weighbridge import documents


def pdf(*texts: str) -> str:
    """A PDF with these texts, one a page, in base64."""
    pages = len(texts)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(pages))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {pages}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, text in enumerate(texts):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        page = f"/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * i} 0 R/Resources<</Font<</F1 3 0 R>>>>"
        objects += [f"<</Type/Page{page}>>", f"<</Length {len(content)}>>\nstream\n{content}\nendstream"]
    body, places = "%PDF-1.4\n", []
    for number, inside in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{inside}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<</Size {len(objects) + 1}/Root 1 0 R>>\n"
    return base64.b64encode(f"{body}{end}startxref\n{len(body)}\n%%EOF".encode()).decode()


def test_the_text_of_each_page() -> None:
    reader = documents.PdfReader()
    assert reader.pages(pdf("Dear Sir", "Yours")) == ["Dear Sir", "Yours"]
    assert reader.pages("data:application/pdf;base64," + pdf("Dear Sir")) == ["Dear Sir"]


def test_pages_beyond_the_most_are_like_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_PAGES", 2)
    assert documents.PdfReader().pages(pdf("a", "b", "c")) == ["a", "b", "a"]


@pytest.mark.parametrize("data", ["", "JVBERi0xLjQ=", "no base64 \u2026", pdf("cut")[:400]])
def test_what_cannot_be_read(data: str) -> None:
    assert documents.PdfReader().pages(data) is None


def test_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, file = documents.PdfReader(), pdf("once")
    first = reader.pages(file)
    monkeypatch.setattr(documents, "_pages", None)
    assert reader.pages(file) is first


def test_long_files_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_CHARACTERS", 10)
    assert documents.PdfReader().pages(pdf("long")) is None


def test_one_reader_a_process() -> None:
    assert documents.reader() is documents.reader()
