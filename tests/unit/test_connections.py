"""How many connections a hub may open, counted from its Serve config."""

from typing import Any

import pytest
import yaml

from annotation.resources import POOL_SIZE
from contracts.errors import SettingsError
from contracts.settings import PROJECT, Settings
from scripts.connections import (
    ANNOTATION_VIEW,
    JOBS,
    POOLED,
    Demand,
    Room,
    connections_needed,
    require_room,
)
from scripts.deploy import cluster_overrides

OTHERS = ANNOTATION_VIEW + JOBS


def config(**deployments: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": name, **options} for name, options in deployments.items()]
    return {"applications": [{"name": "hub", "deployments": named}]}


def total(needed: list[Demand]) -> int:
    return sum(one.connections for one in needed)


@pytest.mark.parametrize(
    ("ingress", "retriever", "replicas"),
    [
        ({"num_replicas": 1}, {"num_replicas": 1}, 4),
        ({"num_replicas": 3}, {}, 6),
        ({"autoscaling_config": {"min_replicas": 1, "max_replicas": 10}}, {"num_replicas": 2}, 14),
        ({"num_replicas": "auto"}, {"num_replicas": 1}, 103),
        ({"num_replicas": "auto", "autoscaling_config": {"max_replicas": 4}}, {}, 7),
    ],
)
def test_the_most_replicas_count_and_one_more_of_each_that_is_being_replaced(
    ingress: dict[str, Any], retriever: dict[str, Any], replicas: int
) -> None:
    given = config(Ingress=ingress, Retriever=retriever, Embedder={"num_replicas": 50})
    assert total(connections_needed(given, pool_size=4)) == 4 * replicas + OTHERS
    assert total(connections_needed(given, pool_size=9)) == 9 * replicas + OTHERS


def test_what_fits_is_said_and_what_does_not_is_refused_with_the_numbers_and_the_way_out() -> None:
    needed = [Demand("Ingress (3 replicas × 4)", 12), Demand("jobs", 8)]
    assert require_room(needed, Room(20, "max_connections 23, 3 of them reserved")) == (
        "20 of 20 connections at most: Ingress (3 replicas × 4) 12, jobs 8"
    )
    with pytest.raises(SettingsError) as refused:
        require_room(needed, Room(19, "the role's CONNECTION LIMIT"))
    for part in ("may open 20", "× 4) 12", "takes 19", "the role's", "HUB_DATABASE_POOL_SIZE"):
        assert part in str(refused.value)


def test_what_opens_pools_is_what_is_counted() -> None:
    opens = {
        file.stem.capitalize()
        for folder in ("deployments", "graph")
        for file in (PROJECT / folder).glob("*.py")
        if "open_pool(" in file.read_text()
    }
    assert opens == set(POOLED)
    assert POOL_SIZE == ANNOTATION_VIEW


def test_the_shipped_configs_fit_a_laptop_and_the_provisioned_instance() -> None:
    shipped = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    size = Settings().database_pool_size
    assert total(connections_needed(shipped, pool_size=size)) <= 97
    for one in shipped["applications"][0]["deployments"]:
        one.update(cluster_overrides().get(one["name"], {}))
    assert total(connections_needed(shipped, pool_size=size)) <= 190
