"""A program of test_ray_datasets: takes a snapshot with a Ray of its own and reads it by Ray."""

import json
import sys
from datetime import date

from store.dataset_kinds import INTERACTIONS
from training.ray_datasets import read_ray, run_on_ray
from training.ray_job import connected
from training.snapshot import Places, SnapshotJob

if __name__ == "__main__":
    database_url, store_url, said_day = sys.argv[1:]
    day = date.fromisoformat(said_day)
    with connected():
        SnapshotJob(Places(database_url, store_url), run=run_on_ray, part_rows=2, report=str).take(
            day
        )
        found = {}
        for name, erased in (("all", ()), ("without s2", ("s2",))):
            rows = read_ray(store_url, INTERACTIONS, first=day, last=day, erased=erased)
            found[name] = sorted(row["query_text"] for row in rows.iter_rows())
        empty = read_ray(store_url, INTERACTIONS, first=date.min, last=date(2000, 1, 1))
        found["columns of nothing"] = empty.schema().names
    print(json.dumps(found))
