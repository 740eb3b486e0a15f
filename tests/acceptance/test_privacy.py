"""A hub that runs writes nothing personal down: in no table, file, or log of Ray or Postgres."""

import time

import psycopg

from scripts.run import Hub
from tests.live_hub import client_of

SEEDED = {
    "quillfeather@uni.edu": "why does quillfeather@uni.edu get no mail",
    "555-867-5309": "call me at 555-867-5309 about my bill",
    "A00987654": "there is a hold on A00987654",
    "Quillfeather": "my name is Ana Quillfeather and i lost my card",
}
"""What must be nowhere, and the query that says it."""


def test_what_a_student_says_of_themselves_is_in_no_file_of_a_running_hub(hub: Hub) -> None:
    with client_of(hub) as client:
        for text in SEEDED.values():
            answer = client.post("/v1/query", json={"text": text}).json()
            thumb = {"interaction_id": answer["interaction_id"], "score": -1, "comment": text}
            assert client.post("/v1/feedback", json=thumb).status_code in {200, 202}
        # What cannot be read is told, and must not be quoted either.
        client.post("/v1/query", json={"text": SEEDED["Quillfeather"], "colour": 1})
    wait_until_stored(hub, answer["interaction_id"])
    needles = [needle.encode() for needle in SEEDED]
    found, read = [], 0
    for folder in (hub.settings.home_dir, hub.cluster.temp_dir):
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                read += 1
                found += [(str(file), needle) for needle in needles if needle in content]
    assert found == []
    assert read > 100, "the tables, the write-ahead log and Ray's logs were among them"


def wait_until_stored(hub: Hub, interaction_id: str) -> None:
    """The log is at most a second behind."""
    until_s = time.monotonic() + 10
    with psycopg.connect(hub.settings.database_url, autocommit=True) as connection:
        while not connection.execute(
            "SELECT 1 FROM interaction_log WHERE interaction_id = %s AND feedback_at IS NOT NULL",
            (interaction_id,),
        ).fetchone():
            assert time.monotonic() < until_s, "it was not stored"
            time.sleep(0.05)
        connection.execute("CHECKPOINT")  # the rows are in the tables' files, too
