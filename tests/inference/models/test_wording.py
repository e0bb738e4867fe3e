from __future__ import annotations

from inference.models.wording import verbs


def test_verbs_say_only_what_the_events_say():
    objectives = {"click": ["view"], "engage": ["long_view"], "convert": ["like", "purchase"], "other": ["forward"]}
    assert verbs(objectives) == {"click": "viewed {}", "engage": "watched {}", "convert": "liked {}"}
