"""What a dataset card says of each task's rows: what they are, who wrote them, and what stands in their columns."""

from __future__ import annotations

GROUP = "`group` is shared by near duplicates"

WHAT = {
    "classify": "Texts labelled by a language model (silver labels)",
    "reasoning": "Questions, reasoning and responses, written by a language model about source texts",
    "description": "Titles of products, each with its description",
    "chat": "Questions and responses of conversations",
    "understanding": "Reviews with their opinions and a rewrite that makes feelings explicit, by a language model",
    "atsa": "Sentences with their gold terms and the polarity of each",
    "acsa": "Sentences with their gold categories and the polarity of each",
    "sentiment": "Texts with their gold sentiment",
}
GIVEN = {
    "description": "- No teacher was asked: titles and descriptions are the source's own, cleaned of markup.",
    "chat": "- No teacher was asked: questions and responses are the source's own.",
    "understanding": "- No teacher was asked: analyses and rewrites are the source's own, read and checked.",
    "atsa": "- No teacher was asked: the tuples are the source's own, and each term was found in its sentence.",
    "acsa": "- No teacher was asked: the tuples are the source's own.",
    "sentiment": "- No teacher was asked: the labels are the source's own.",
}
COLUMNS = {
    "reasoning": "Written by the teacher: `question`, which a student is asked, and `reasoning` and `response`, which "
    "it is to answer; `outcome` is repaired where its reply had to be mended, else clean. `fields` holds the cleaned "
    "source text that the response is checked against; a model that reads it needs it for every answer. `history` is "
    f"empty; {GROUP}.",
    "description": "`question` is the title and `response` the description, both cleaned; `fields` holds the two under "
    f"their names. {GROUP}. `history` is empty, `reasoning` null and `outcome` clean in every row.",
    "chat": "`question` is what a student is asked, after the turns of `history`; `response` is what it is to answer, "
    "after `reasoning` where the source has some (else null). {fields} "
    f"{GROUP} and by the rows of one conversation; `outcome` is clean in every row.",
    "understanding": "`text` is the cleaned review. Written by a teacher: `analysis`, a list of opinions (`target`, "
    "`aspect`, `sentiment` on five grades, `reasoning`), and `rewrite`, the review with its feelings made explicit; "
    "one of the two is null where it could not be used. A model that reads one of them needs the teacher for every "
    f"answer. `outcome` is repaired where a reply had to be mended, else clean; {GROUP}.",
    "atsa": "`text` is the cleaned sentence; `aspects` its gold tuples in the order of their place: `target`, the "
    "term; `start` and `end`, its place in characters (end exclusive); `polarity`; `category`, where the source has "
    "one. No tuple: an empty list. "
    f"`slices` tells mixed polarity, and implicit opinions where the source says; {GROUP}.",
    "acsa": "`text` is the cleaned sentence; `aspects` its gold tuples, `category` and `polarity` (the others null). "
    f"No tuple: an empty list. `slices` tells mixed polarity, and implicit opinions where the source says; {GROUP}.",
    "sentiment": "`text` is the cleaned text and `gold` its label; `label`, `soft` and `votes` are empty: no teacher "
    f"has labelled it. {GROUP}.",
}
"""Of all tasks but classify, whose columns depend on its labels."""
