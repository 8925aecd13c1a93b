"""Questions that a catalogue does answer, made from its own documents: what a threshold is set on, and scores are taken
on where a user brings none.

Made of the documents' words alone, with no model: easier than a shopper's own words, in that they share them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from rag.documents import Document
from rag.sentences import WORD, sentences
from rag.stop_words import STOP_WORDS

Kind = Callable[[Document, Callable[[str], float], random.Random], str]
"""document, how rare a word is, dice -> a question; empty where there is none to make."""


def title_words(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """The title with a third of its words forgotten."""
    words = WORD.findall(document.title)
    kept = sorted(dice.sample(range(len(words)), len(words) - len(words) // 3))
    return " ".join(words[place] for place in kept)


def key_words(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """The four rarest of its words, in lower case and any order."""
    words = {word.lower() for word in WORD.findall(f"{document.title} {document.body}") if len(word) > 2}
    best = sorted(sorted(words), key=lambda word: -rare(word))[:4]
    dice.shuffle(best)
    return " ".join(best)


def phrase(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """Eight words in a row out of a sentence of its body."""
    found = [WORD.findall(sentence) for sentence in sentences(document.body)]
    long = [words for words in found if len(words) >= 5]
    if not long:
        return ""
    words = dice.choice(long)
    start = dice.randrange(max(1, len(words) - 7))
    return " ".join(words[start : start + 8])


def sentence(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """A whole sentence of its body, of five words at least."""
    long = [one for one in sentences(document.body) if len(one.split()) >= 5]
    return dice.choice(long) if long else ""


def need(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """What a shopper who does not know the title might say: two or three words of the document among others."""
    words = [word.lower() for word in WORD.findall(f"{document.title} {document.body}")]
    telling = sorted({word for word in words if len(word) > 3 and word.isalpha() and word not in STOP_WORDS})
    if len(telling) < 3:
        return ""
    said = dice.sample(telling, dice.choice((2, 3)))
    opener = dice.choice(("i need something for", "what do you have for", "looking for a", "which one is good with"))
    return f"{opener} {' and '.join(said[:2])} {' '.join(said[2:])}"


def misspelt(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """The title with a slip of the finger in its longest word."""
    words = WORD.findall(document.title)
    place = max(range(len(words)), key=lambda one: len(words[one]), default=0)
    slipped = slip(words[place], dice) if words else ""
    if not slipped:
        return ""
    words[place] = slipped
    return " ".join(words)


def slip(word: str, dice: random.Random) -> str:
    """The word with two letters in its middle exchanged; empty where it is too short."""
    places = [at for at in range(1, len(word) - 1) if word[at] != word[at + 1]]
    if len(word) < 5 or not places:
        return ""
    at = dice.choice(places)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


KINDS: Mapping[str, Kind] = {
    "title": title_words, "keywords": key_words, "phrase": phrase, "need": need, "misspelt": misspelt,
}  # fmt: skip


def own_questions(
    documents: Sequence[Document],
    rare: Callable[[str], float],
    each: int,
    seed: int = 0,
    kinds: Mapping[str, Kind] = KINDS,
) -> list[tuple[str, str, Document]]:
    """(kind, question, document): `each` kinds of question of every document, in turn; those that cannot be made are
    left out.
    """
    names = list(kinds)
    made = []
    for number, document in enumerate(documents):
        dice = random.Random(f"{seed}:{document.id}")
        for step in range(each):
            name = names[(number + step) % len(names)]
            question = kinds[name](document, rare, dice).strip()
            if question:
                made.append((name, question, document))
    return made
