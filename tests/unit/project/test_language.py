"""Pages use plain, current English and one term per thing: words that readers stumble over fail here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.unit.project.markdown import ROOT, pages, prose

ARCHAIC = (
    *("mend", "mends", "mended", "mending", "whoever", "anew", "heirs", "told of", "put by", "by turns"),
    *("of no use", "for want of", "whence", "hitherto", "lest", "vouch for", "vouches for", "as ever"),
    *("somebody", "everybody", "comes to wait", "is of no consequence", "never so", "makes it so"),
)
REPLACED_TERMS = {
    "quarantine": "rejected rows",
    "quarantined": "rejected",
    "load unit": "load batch",
    "load units": "load batches",
    "sifted": "filtered",
}
GENERATED = {"types.md"}
PAGES = {str(p.relative_to(ROOT)): p for p in pages() if p.name not in GENERATED}


def found(words: Iterable[str], text: str) -> list[str]:
    """Those of the words that occur in the text, in any case, also across a line break."""
    either = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in words)
    hits = re.findall(rf"\b(?:{either})\b", text, re.IGNORECASE)
    return sorted({re.sub(r"\s+", " ", hit).lower() for hit in hits})


def test_a_page_has_no_archaic_words() -> None:
    assert {name: hits for name, page in PAGES.items() if (hits := found(ARCHAIC, prose(page)))} == {}


def test_a_page_uses_the_terms_of_the_glossary() -> None:
    """One term per thing: the keys of REPLACED_TERMS have a better name, which is their value."""
    assert [
        (name, word, REPLACED_TERMS[word])
        for name, page in PAGES.items()
        for word in found(REPLACED_TERMS, prose(page))
    ] == []


def test_words_are_found_in_any_case_and_across_lines() -> None:
    assert found(("put by", "anew"), "Messages are put\n  by.  Anew!") == ["anew", "put by"]
    assert found(("mend",), "We recommend an amendment.") == []
