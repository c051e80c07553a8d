"""What a replay takes from the run before it, and from itself: how each answer would have come about live.

Live, an answer is bought by the first event with its task, and serves others from the store as long as it is fresh. A
replay buys nothing twice, but says of each event which of the two it would have been: a call that would have been paid
again is a reuse, with the price it had, and one that the store would have served is a hit.
"""

from __future__ import annotations

from datetime import timedelta

from streams.core.messages import StoredAnswer
from streams.stages.calls import hit_of, reuse_of, same_call
from streams.stages.ports import Desk
from streams.stages.question import Consultation, Question


def known_answer(question: Question, desk: Desk) -> Consultation | None:
    """The answer that this replay, or the run before it, already has; None when it must be asked anew."""
    own, prior = desk.answers.get(question.key), _prior(question, desk)
    event_id = question.origin.event_id
    for one in filter(None, (question, question.second())):  # the event's own answer may be its fallback's
        kept = own if one is question else desk.answers.get(one.key)
        if kept is not None and same_call(kept, one):
            return Consultation(kept.attempt, kept.calls)
        before = prior if one is question else _prior(one, desk)
        if before is not None and before.calls[-1].origin.event_id == event_id:
            return reuse_of(before, one, desk)
    return serving(own, question, desk) or serving(prior, question, desk)


def _prior(question: Question, desk: Desk) -> StoredAnswer | None:
    return desk.prior.find(question.fingerprint, question.origin) if desk.prior else None


def serving(stored: StoredAnswer | None, question: Question, desk: Desk) -> Consultation | None:
    """What another event's answer is to this one; None where there is none, or where what broke is tried anew."""
    if stored is None or stored.attempt.status not in ("answered", "refused"):
        return None
    if question.asker.handler.spec.cache == "shared" and _fresh(stored, question):
        return hit_of(stored, question, desk)
    done = reuse_of(stored, question, desk)
    # Live this event would have bought the answer for those that come after it.
    desk.answers.put(question.key, StoredAnswer(attempt=done.attempt, calls=done.calls, stored_at=desk.now()))
    return done


def _fresh(stored: StoredAnswer, question: Question) -> bool:
    """Whether the store would have served it live: by how far apart the events are, for the replay's clock says
    nothing of that."""
    apart = question.origin.event_time - stored.calls[-1].origin.event_time
    return abs(apart) < timedelta(seconds=question.asker.handler.spec.cache_ttl)
