"""Quiet libraries, while a student is loaded and trained (synth/silence.py: a local teacher is loaded too)."""

from __future__ import annotations

from synth.silence import quiet as quiet
