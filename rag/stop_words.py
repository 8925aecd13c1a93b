"""English words that say nothing of what a question is about; they count for nothing in how much of it was found."""

from __future__ import annotations

_WORDS = """
    a about above after again all also am an and any are aren't around as ask at available away be because been before
    being below best between both but buy by can can't cannot come could couldn't did didn't do does doesn't doing don't
    down each either else enough ever every find for from further get give go going good got had has hasn't have
    haven't having he hello help her here hers hey hi him his how however i i'd i'll i'm i've if in into is isn't it
    it's its just keep kind know let like look looking made make makes many may me mean might more most much must my
    myself need needed needs never new no nor not now of off often on one ones only or other our ours out over own
    perhaps please put rather really recommend same say sell sells shall she should shouldn't show since so some
    somebody someone something still stock such suggest suggestion sure take tell than thank thanks that that's the
    their theirs them then there there's these they thing things think this those though through to too try under until
    up upon us use used useful uses using very want wanted wants was wasn't way we well were weren't what what's when
    where which while who whom whose why will with within without won't would wouldn't yes yet you you're your yours
"""
STOP_WORDS = frozenset(_WORDS.split())
