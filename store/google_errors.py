"""Why a bucket did not do what it was asked: in the hub's words, with what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError, TransportError

from store.artifacts import StoreUnavailable

NOTHING_CHANGED: Final = "Nothing was changed"
ROLE: Final = "roles/storage.objectUser"
"""All that the hub needs on its bucket: objects are listed, read, written and removed."""


@contextmanager
def said_in_our_words(what: str, *, url: str, tried_s: float, or_else: str) -> Iterator[None]:
    """Turn the client's errors into StoreUnavailable; others pass, and 404 is a missing bucket.

    `what` was asked of the bucket, again and again for `tried_s`; `or_else` is what is known when
    no answer came.
    """
    try:
        yield
    except (RetryError, TransportError, requests.RequestException, ConnectionError) as error:
        raise StoreUnavailable(
            f"{url} was asked for {tried_s:g} s to {what}, and did not: {_reason(error)}."
            f" {or_else}. Try again when it can be reached."
        ) from error
    except GoogleAuthError as error:
        raise StoreUnavailable(
            f"No credentials for {url}: {_reason(error)}. {NOTHING_CHANGED}. Run as a service"
            " account, or `gcloud auth application-default login` once."
        ) from error
    except (Forbidden, Unauthorized) as error:
        raise StoreUnavailable(
            f"This account may not {what} in {url}: {_reason(error)}. {NOTHING_CHANGED}."
            f" Give it {ROLE} on the bucket."
        ) from error
    except NotFound as error:
        raise StoreUnavailable(
            f"There is no bucket for {url}. {NOTHING_CHANGED}. Make it (scripts/provision_gcp.sh),"
            " or set HUB_ARTIFACTS to the one that is meant."
        ) from error
    except (GoogleAPICallError, ValueError) as error:
        raise StoreUnavailable(f"{url} would not {what}: {_reason(error)}. {or_else}.") from error


def _reason(error: BaseException) -> str:
    """Return the innermost reason on one line."""
    while isinstance(error, RetryError) and error.cause is not None:
        error = error.cause
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    # Of a download or an upload the client adds which status codes it had rather seen.
    said, _, _ = str(message).partition(": ('Request failed")
    return " ".join(said.split()).rstrip(".")
