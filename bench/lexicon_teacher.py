"""A teacher of understanding that is made of two lists: VADER's words of feeling, and words of restaurants by aspect.

It reads a review clause by clause: what the clause names (a word of the list below, or a noun after an article) is the
target, VADER's compound score of the clause its grade, the clause's words of feeling the reasoning. It is a poor reader
and an honest one: it never sees a gold tuple, so that what a student gains from it comes from the reviews alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

ASPECTS = {
    "food": (
        "food appetizer appetizers bread breakfast brunch burger burgers cheese chicken chocolate crab "
        "dessert desserts dish dishes dinner dumplings entree entrees fish flavor flavors fries "
        "ingredients lamb lobster lunch meal meals meat noodles oysters pasta pizza portions pork "
        "potatoes rice rolls salad salads salmon sandwich sandwiches sauce seafood shrimp soup soups "
        "steak steaks sushi taste tuna veggies"
    ),
    "drinks": (
        "beer beers cocktail cocktails coffee drink drinks margaritas martini sake sangria tea water wine wines"
    ),
    "staff": (
        "bartender bartenders chef employees host hostess manager owner owners server servers staff "
        "waiter waiters waitress waitresses waitstaff"
    ),
    "service": "delivery order orders reservation reservations seating served service wait",
    "price": "bill cost deal money price priced prices pricing tab tip value",
    "ambience": "ambiance ambience atmosphere crowd decor lighting music noise scene space vibe",
    "menu": "menu selection selections specials variety",
    "place": (
        "area bar booth garden kitchen location neighborhood patio place restaurant room spot table tables window"
    ),
}
ASPECT_OF = {word: aspect for aspect, words in ASPECTS.items() for word in words.split()}
CLAUSES = re.compile(
    r"[,;:.!?()]+|\s-+\s|\b(?:but|and|while|although|though|however|yet|because|so|when|which)\b", re.IGNORECASE
)
NOUN = re.compile(r"\b(?:the|our|my|their|its|his|her|a|an)\s+([a-z]{4,})", re.IGNORECASE)
EDGES = ((0.6, "very positive"), (0.05, "positive"), (-0.05, "neutral"), (-0.6, "negative"))


def reader() -> Callable[[str], list[dict[str, str]]]:
    """text -> opinions, each {target, aspect, sentiment, reasoning}, in the order of the text."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def read(text: str) -> list[dict[str, str]]:
        found = [opinion for clause in CLAUSES.split(text) for opinion in _opinions(clause, analyzer)]
        return list({one["target"]: one for one in found}.values())

    return read


def _opinions(clause: str, analyzer: Any) -> Iterator[dict[str, str]]:
    score = analyzer.polarity_scores(clause)["compound"]
    grade = next((grade for edge, grade in EDGES if score >= edge), "very negative")
    felt = [word for word in re.findall(r"[\w']+", clause) if word.lower() in analyzer.lexicon]
    for target in _targets(clause, analyzer):
        aspect = ASPECT_OF.get(target.lower(), "miscellaneous")
        yield {"target": target, "aspect": aspect, "sentiment": grade, "reasoning": ", ".join(felt) or "no feeling"}


def _targets(clause: str, analyzer: Any) -> Iterator[str]:
    """Words of the list, and nouns after an article that tell no feeling."""
    nouns = {found[1] for found in NOUN.finditer(clause)}
    for word in dict.fromkeys(re.findall(r"[A-Za-z]+", clause)):
        if word.lower() in ASPECT_OF or (word in nouns and word.lower() not in analyzer.lexicon):
            yield word
