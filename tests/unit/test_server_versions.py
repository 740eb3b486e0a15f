"""Which database servers the hub takes, and what it says of the others."""

import pytest

from contracts.errors import DatabaseTooOld
from store.server import OLDEST_PGVECTOR, OLDEST_POSTGRES, Server, as_server, check_versions


@pytest.mark.parametrize("postgres", ["15", "15.0", "16.2", "18.1", "18beta1", "19devel"])
@pytest.mark.parametrize("pgvector", ["0.6.2", "0.8.5", "0.10.0", "1.0"])
def test_what_is_new_enough_is_taken(postgres: str, pgvector: str) -> None:
    check_versions(Server(postgres, pgvector, scans_on=True))


@pytest.mark.parametrize(
    ("postgres", "pgvector", "sentence"),
    [
        ("14.11", "0.8.0", f"It is Postgres 14.11, the hub needs {OLDEST_POSTGRES} or newer"),
        ("9.6.24", "0.8.0", "It is Postgres 9.6.24"),
        ("15.4", None, f"has no pgvector. Install {OLDEST_PGVECTOR} or newer"),
        ("15.4", "0.5.1", "Its pgvector is 0.5.1, the hub needs 0.6.2 or newer"),
        ("15.4", "0.6.1", "ALTER EXTENSION vector UPDATE"),
    ],
)
def test_what_is_too_old_is_refused_with_the_way_out(
    postgres: str, pgvector: str | None, sentence: str
) -> None:
    with pytest.raises(DatabaseTooOld) as refused:
        check_versions(Server(postgres, pgvector, scans_on=False))
    assert sentence in str(refused.value)
    assert str(refused.value).endswith("Nothing was changed.")


def test_a_distributions_own_words_are_no_part_of_the_version() -> None:
    assert as_server(("15.7 (Debian 15.7-1.pgdg120+1)", "0.7.4", False)).postgres == "15.7"
