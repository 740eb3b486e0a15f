"""What came of a query, said twice: as the answer of the contract, and as the row of the log."""

from contracts.messages import Alternative, Crisis, QueryAnswer, QueryRequest, Result
from contracts.outcome import MESSAGES, decide
from contracts.records import IntentProbability, Interaction, Prediction, RetrievedNode
from graph.crisis import CrisisCard
from store.identity import asked_at


def compose_answer(
    *,
    interaction_id: str,
    card: CrisisCard | None,
    prediction: Prediction | None,
    space: str | None,
    nodes: list[RetrievedNode],
    degraded: list[str],
    timings_ms: dict[str, float],
) -> QueryAnswer:
    """Return the answer; what is None or empty is away, and named in `degraded`."""
    alternatives = prediction.alternatives if prediction else ()
    crisis = (
        Crisis(title=card.title, text=card.text, phone=card.phone, url=card.url) if card else None
    )
    outcome, because = decide(
        prediction.intent if prediction else None,
        confidence=prediction.confidence if prediction else None,
        runner_up=alternatives[1].confidence if len(alternatives) > 1 else None,
    )
    return QueryAnswer(
        interaction_id=interaction_id,
        outcome=outcome,
        message=None if crisis else MESSAGES[outcome],
        crisis=crisis,
        intent=prediction.intent if prediction else None,
        confidence=prediction.confidence if prediction else None,
        is_confused=outcome != "answered",
        confused_because=because,
        alternatives=[
            Alternative(intent=one.intent, confidence=one.confidence) for one in alternatives
        ],
        results=[
            Result(
                id=node.id,
                title=node.title,
                snippet=node.snippet,
                url=node.url,
                intent=node.intent,
                score=node.score,
            )
            for node in nodes
        ],
        degraded=degraded,
        model_version=prediction.model_version if prediction else None,
        embedding_space=space,
        timings_ms=timings_ms,
    )


def interaction_of(
    answer: QueryAnswer, *, request: QueryRequest, text: str, session_id: str
) -> Interaction:
    """Return the answer as it is logged; `text` has passed the redaction seam."""
    return Interaction(
        interaction_id=answer.interaction_id,
        asked_at=asked_at(answer.interaction_id),
        session_id=session_id,
        request_id=str(request.request_id) if request.request_id else None,
        query_text=text,
        outcome=answer.outcome,
        confused_because=answer.confused_because,
        intent=answer.intent,
        confidence=answer.confidence,
        alternatives=tuple(
            IntentProbability(one.intent, one.confidence) for one in answer.alternatives
        ),
        result_ids=tuple(result.id for result in answer.results),
        degraded=tuple(answer.degraded),
        is_crisis=answer.crisis is not None,
        model_version=answer.model_version,
        embedding_space=answer.embedding_space,
        timings_ms=answer.timings_ms,
    )
