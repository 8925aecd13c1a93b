"""SemEval's XML files as records, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.errors import SourceError
from recipes.tables import count_table, is_semeval, read_table

REST14 = """<?xml version="1.0" encoding="UTF-8"?>
<sentences>
  <sentence id="813">
    <text>All the money went into the décor, &amp; none of it to the &quot;people&quot;.</text>
    <aspectTerms>
      <aspectTerm term="décor" polarity="negative" from="28" to="33" implicit_sentiment="True"/>
    </aspectTerms>
    <aspectCategories><aspectCategory category="ambience" polarity="negative"/></aspectCategories>
  </sentence>
  <sentence id="2"><text>Nothing.</text></sentence>
</sentences>
"""
REST16 = """<Reviews><Review rid="1"><sentences>
<sentence id="1:0"><text>Judging from previous posts this used to be good.</text><Opinions>
<Opinion target="NULL" category="FOOD#QUALITY" polarity="negative" from="0" to="0"/></Opinions></sentence>
<sentence id="1:1" OutOfScope="TRUE"><text>Thanks</text></sentence>
</sentences></Review></Reviews>"""


def written(folder: Path, text: str) -> Path:
    path = folder / "set.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_files_of_2014_have_terms_and_categories(tmp_path: Path) -> None:
    (line, first), (_, second) = read_table(written(tmp_path, REST14))
    assert (line, first["id"]) == (3, "813")
    assert first["text"] == 'All the money went into the décor, & none of it to the "people".'
    assert first["aspects"] == [
        {
            "kind": "term",
            "term": "décor",
            "polarity": "negative",
            "from": "28",
            "to": "33",
            "implicit_sentiment": "True",
        },
        {"kind": "category", "category": "ambience", "polarity": "negative"},
    ]
    assert second == {"id": "2", "text": "Nothing.", "aspects": []}
    assert count_table(tmp_path / "set.xml") == 2


def test_the_files_of_2016_have_opinions_inside_reviews(tmp_path: Path) -> None:
    (_, first), (_, second) = read_table(written(tmp_path, REST16))
    assert first["aspects"][0] | {"kind": "opinion"} == first["aspects"][0]
    assert (first["aspects"][0]["target"], first["aspects"][0]["category"]) == ("NULL", "FOOD#QUALITY")
    assert second["aspects"] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<sentences><sentence id='1'>", r"set\.xml:1: not XML: "),
        ("<a><b/></a>", r"set\.xml: has no <sentence>"),
        (
            '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><a><sentence id="1"><text>&y;</text></sentence></a>',
            "it has a document type",
        ),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><sentence><text>&x;</text></sentence></a>',
            "it has a document type",
        ),
        ("<a><sentence id='1'/>\n<sentence id='1'/></a>", "line 2: the sentence id '1' stands in line 1 too"),
        ("<a>\n<sentence>&nbsp;</sentence></a>", r"set\.xml:2: not XML: undefined entity"),
    ],
)
def test_what_is_no_such_file_is_told_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        list(read_table(written(tmp_path, text)))


def test_sentences_without_ids_may_be_many(tmp_path: Path) -> None:
    text = "<a>" + "<sentence><text>x</text></sentence>" * 3 + "</a>"
    assert [record["id"] for _, record in read_table(written(tmp_path, text))] == ["", "", ""]


def test_the_answers_of_2016_are_read_under_the_name_that_they_have(tmp_path: Path) -> None:
    path = tmp_path / "EN_REST_SB1_TEST.xml.gold"
    path.write_text(REST16, encoding="utf-8")
    assert is_semeval(path.name) and is_semeval("a.XML.gz") and not is_semeval("a.jsonl.gold")
    assert count_table(path) == 2
