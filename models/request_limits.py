"""Which texts share a request to a service that limits texts and tokens."""

import re
from collections.abc import Sequence

MAX_TEXTS = 250
MAX_TOKENS = 20_000
"""Of one request, all texts together:
cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings."""

BYTES_A_TOKEN = 2.5
"""Below what was seen of English: 4 in prose, 2.85 in pages full of code and paths. Where a text
has more tokens all the same, the service refuses the request and it is split."""

_TOKENS_REFUSED = re.compile(r"token count is (\d+) but the model supports up to (\d+)")
_TEXTS_REFUSED = re.compile(r"instance\(s\) is allowed per prediction")


def estimate_tokens(text: str) -> int:
    """Return about how many tokens the service counts in a text, rather too many."""
    return 1 + int(len(text.encode("utf-8", "surrogatepass")) / BYTES_A_TOKEN)


def into_requests(texts: Sequence[str]) -> list[list[int]]:
    """Split row numbers, in their order, into requests within both limits.

    A text that alone is estimated above the limit gets a request of its own.
    """
    requests: list[list[int]] = []
    tokens = 0
    for row, text in enumerate(texts):
        more = estimate_tokens(text)
        if not requests or len(requests[-1]) == MAX_TEXTS or tokens + more > MAX_TOKENS:
            requests.append([])
            tokens = 0
        requests[-1].append(row)
        tokens += more
    return requests


def is_over_limit(refusal: str) -> bool:
    """Say whether a refusal in the service's words is about the size of the request."""
    return bool(_TOKENS_REFUSED.search(refusal) or _TEXTS_REFUSED.search(refusal))


def too_long_because(refusal: str) -> str:
    """Return why a text that was refused alone is too long, in our words."""
    found = _TOKENS_REFUSED.search(refusal)
    if found is None:
        return refusal
    return f"it has {int(found[1]):,} tokens, the model takes {int(found[2]):,}"
