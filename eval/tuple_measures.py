"""What is measured on seq2seq students: one table that the tables, verdicts and cards all read."""

from __future__ import annotations

from eval.measures import Measure

MEASURES: dict[str, Measure] = {
    "f1": Measure(
        "F1", "micro F1 over (text, term or category, polarity); of analyses over (text, target, sentiment), with the "
        "teacher's", "share", 1,
    ),
    "precision": Measure("Precision", "share of the tuples it named that are gold", "share", 1),
    "recall": Measure("Recall", "share of the gold tuples that it named", "share", 1),
    "f1_strict": Measure("Strict F1", "F1 with invalid predictions and repeats counted as wrong", "share", 1),
    "invalid": Measure(
        "Invalid", "share of what it named that is no tuple, has no such polarity, or is a term that the text does not "
        "have; left out of F1, as published", "share", -1,
    ),
    "accuracy": Measure("Accuracy", "share of the texts whose label it gives", "share", 1),
    "macro_f1": Measure("Macro F1", "mean of the labels' F1", "share", 1),
    "parsed": Measure("Parses", "share of its analyses of which every piece could be read", "share", 1),
    "opinions": Measure("Any opinion", "share of the texts in which it read one; others count as neutral", "share", 0),
    "rouge_l": Measure(
        "ROUGE-L", "its rewrite against the teacher's: longest common run of words, F1 of 100", "points", 1
    ),
    "chrf": Measure(
        "chrF", "its rewrite against the teacher's: character 1- to 6-grams, mean over rewrites", "points", 1
    ),
    "truncated": Measure("Cut off", "share of its answers that did not end by themselves", "share", -1),
}  # fmt: skip
TASKS = {
    "understanding": "Reviews read as a teacher reads them: opinions, and a rewrite that says feelings openly",
    "atsa": "Terms and their polarity (ATSA)",
    "acsa": "Categories and their polarity (ACSA)",
    "sentiment": "Sentiment of whole texts, which no student was taught: read off the opinions that it writes",
}
"""What is asked of a set, in words."""
SLICES = {
    "implicit": "texts of which an opinion has no words of its own, where the source says so",
    "mixed": "texts with more than one polarity",
}
"""Slices that are made for a source of tuples, in words."""
OTHERS = {
    "cost": ("USD per 1k", "US dollars for 1,000 texts; of the teacher, for 1,000 rows written"),
    "speed": ("s per 1k", "seconds for 1,000 answers, measured here"),
}


def meaning(metric: str) -> tuple[str, str]:
    """Short name of a metric, and what it is in a sentence."""
    return OTHERS[metric] if metric in OTHERS else (MEASURES[metric].head, MEASURES[metric].meaning)
