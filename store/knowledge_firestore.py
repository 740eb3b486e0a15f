"""Knowledge in the legacy Firestore: `firestore://PROJECT/COLLECTION`, in pages by document id."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

from contracts.errors import DataError, HubError, SettingsError, SourceUnavailable
from contracts.records import KnowledgeNode
from store.knowledge_source import BadRow, Page
from store.legacy_nodes import FIELDS, is_hidden, read_legacy

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPIError
    from google.cloud.firestore import Client, Query

SCHEME: Final = "firestore"
PAGE_ROWS: Final = 500
PATIENCE_S: Final = 120.0
_CALL_TIMEOUT_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 20.0
_NO_TOKEN: Final = "Getting metadata from plugin failed"
"""What gRPC says, as if the service were away, when the credentials get no token."""

Document = tuple[str, dict[str, Any] | str]
"""A document's id, and its fields or why they cannot be read."""

_T = TypeVar("_T")


class FirestoreCollection:
    """A collection as a source. Credentials are the application default ones.

    FIRESTORE_EMULATOR_HOST, which is the client library's own, names another server than Google's.
    """

    def __init__(
        self,
        url: str,
        *,
        intents: Collection[str] | None = None,
        page_rows: int = PAGE_ROWS,
        patience_s: float = PATIENCE_S,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`url` is firestore://PROJECT/COLLECTION, with ?database=NAME where that has a name.

        For each page a service that is away is asked again for `patience_s`; `report` hears of it.
        Raises SettingsError for an address that is none, or when Google's client is not installed.
        """
        self._url = url
        self._project, self._path, self._database = _parts(url)
        self._intents = intents
        self._page_rows = page_rows
        self._patience_s = patience_s
        self._report = report
        try:
            import google.cloud.firestore  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                f"{url} needs Google's client, which is not installed:"
                " pip install 'student-resource-hub[gcp]'."
            ) from error

    @property
    def name(self) -> str:
        return self._url

    def pages(self, *, after: str | None = None) -> Iterator[Page]:
        """Yield the documents in the order of their ids, from behind the id `after`.

        A page in which the connection broke is read again. Raises SourceUnavailable when the
        service gives nothing, and DataError for an empty collection.
        """
        client = self._open()
        try:
            begin = client.collection(self._path).select(FIELDS).order_by("__name__")
            begin = begin.limit(self._page_rows)
            while True:
                query = begin if after is None else begin.start_after({"__name__": after})
                documents = self._read(client, query)
                if documents:
                    after = documents[-1][0]
                    yield self._page(documents, upto=after)
                elif after is None:
                    raise DataError(
                        f"{self._url} holds no documents: is that what the collection is called?"
                    )
                if len(documents) < self._page_rows:
                    return
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def _open(self) -> "Client":
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.firestore import Client

        try:
            return Client(project=self._project, database=self._database)
        except GoogleAuthError as error:
            raise self._without_credentials(error) from error

    def _page(self, documents: Sequence[Document], *, upto: str) -> Page:
        nodes: list[KnowledgeNode] = []
        bad: list[BadRow] = []
        hidden: list[str] = []
        for document_id, fields in documents:
            if isinstance(fields, dict) and is_hidden(fields):
                hidden.append(document_id)
                continue
            node = (
                fields
                if isinstance(fields, str)
                else read_legacy(document_id, fields, intents=self._intents)
            )
            if isinstance(node, str):
                bad.append(BadRow(f"document {document_id}", node))
            else:
                nodes.append(node)
        return Page(tuple(nodes), tuple(bad), tuple(hidden), upto=upto)

    def _read(self, client: "Client", query: "Query") -> list[Document]:
        """Return a page of documents."""

        def read() -> list[Document]:
            found = query.stream(retry=_never(), timeout=_CALL_TIMEOUT_S)
            return [(document.id, document.to_dict() or {}) for document in found]

        try:
            return self._patiently(read)
        except (ValueError, TypeError, NotImplementedError):
            # One document that the library cannot decode costs the whole answer.
            return self._read_one_by_one(client, query)

    def _read_one_by_one(self, client: "Client", query: "Query") -> list[Document]:
        def read_ids() -> list[str]:
            only_names = query.select(["__name__"])
            found = only_names.stream(retry=_never(), timeout=_CALL_TIMEOUT_S)
            return [document.id for document in found]

        def read(document_id: str) -> dict[str, Any] | str:
            reference = client.collection(self._path).document(document_id)
            try:
                found = reference.get(FIELDS, retry=_never(), timeout=_CALL_TIMEOUT_S)
            except (ValueError, TypeError, NotImplementedError) as error:
                return f"cannot be decoded: {error}"
            return found.to_dict() or {}

        return [
            (document_id, self._patiently(partial(read, document_id)))
            for document_id in self._patiently(read_ids)
        ]

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """Return what the call gives, made again while the service is away."""
        from google.api_core import exceptions
        from google.api_core.retry import Retry

        passing = (
            exceptions.ServiceUnavailable,
            exceptions.InternalServerError,
            exceptions.DeadlineExceeded,
            exceptions.TooManyRequests,
            exceptions.Aborted,
            exceptions.Cancelled,
        )
        again = Retry(
            predicate=lambda error: isinstance(error, passing) and _NO_TOKEN not in str(error),
            on_error=lambda error: self._report(f"Firestore is away, asked again: {error}"),
            initial=_FIRST_PAUSE_S,
            maximum=_LONGEST_PAUSE_S,
            timeout=self._patience_s,
        )
        try:
            return again(call)()
        except exceptions.GoogleAPIError as error:
            raise self._explained(error) from error

    def _explained(self, error: "GoogleAPIError") -> HubError:
        from google.api_core import exceptions

        if isinstance(error, exceptions.RetryError):
            return SourceUnavailable(
                f"{self._url}: for {self._patience_s:g} s there was no answer"
                f" ({error.cause}). Run the same command again: it goes on behind the last page."
            )
        if _NO_TOKEN in str(error) or isinstance(error, exceptions.Unauthorized):
            return self._without_credentials(error)
        if isinstance(error, exceptions.Forbidden):
            return SourceUnavailable(
                f"{self._url} may not be read by this account ({error}). It needs the role"
                f" roles/datastore.viewer in {self._project}."
            )
        if isinstance(error, exceptions.NotFound):
            return SourceUnavailable(
                f"There is no project {self._project} with a Firestore database"
                f" {self._database or '(default)'} ({error})."
            )
        return SourceUnavailable(f"{self._url}: {error}.")

    def _without_credentials(self, error: Exception) -> HubError:
        return SettingsError(
            f"No credentials for {self._url} ({error}). Run `gcloud auth"
            " application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service"
            " account's file."
        )


def _never() -> Any:
    """Return the retry of a library that is to leave it to us.

    Its default fails with an AttributeError when a stream breaks (2.34), and one that is given to
    it is asked without a pause or an end.
    """
    from google.api_core.retry import Retry

    return Retry(predicate=lambda error: False)


def _parts(url: str) -> tuple[str, str, str | None]:
    """Return (project, path of the collection, database or None for the default one)."""
    split = urlsplit(url)
    path = [part for part in split.path.split("/") if part]
    options = parse_qs(split.query, keep_blank_values=True)
    if (
        split.scheme != SCHEME
        or not split.netloc
        or len(path) % 2 == 0
        or set(options) - {"database"}
        or split.fragment
    ):
        raise SettingsError(
            f"{url} is no collection; one looks like firestore://PROJECT/knowledge_nodes, and with"
            " a database that has a name firestore://PROJECT/knowledge_nodes?database=NAME."
        )
    return split.netloc, "/".join(path), options.get("database", [None])[0]
