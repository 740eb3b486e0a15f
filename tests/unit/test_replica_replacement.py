"""The one variable by which replicas are started anew, in the config that Serve is told."""

import copy
from typing import Any

import pytest

from training.replica_replacement import started_for, with_started_for

LIVE: dict[str, Any] = {
    "proxy_location": "EveryNode",
    "applications": [
        {"name": "other", "import_path": "x:y"},
        {
            "name": "hub",
            "import_path": "graph.app:build",
            "deployments": [
                {"name": "Embedder", "num_replicas": 2},
                {
                    "name": "Classifier",
                    "num_replicas": 1,
                    "user_config": {"version": None},
                    "ray_actor_options": {
                        "num_cpus": 0.2,
                        "runtime_env": {"env_vars": {"AN_OPERATORS": "own"}},
                    },
                },
            ],
        },
    ],
}


def test_only_the_variable_and_the_room_for_a_second_replica_change() -> None:
    before = copy.deepcopy(LIVE)
    changed = with_started_for(LIVE, "v4")
    assert before == LIVE
    classifier = changed["applications"][1]["deployments"][1]
    variables = classifier["ray_actor_options"]["runtime_env"]["env_vars"]
    assert variables == {"AN_OPERATORS": "own", "HUB_STARTED_FOR": "v4"}
    assert classifier["max_surge_percent"] == 100
    assert classifier["ray_actor_options"]["num_cpus"] == 0.2
    assert started_for(changed) == "v4"
    del classifier["max_surge_percent"]
    del variables["HUB_STARTED_FOR"]
    assert changed == LIVE


def test_the_variable_is_taken_away_again_without_a_trace() -> None:
    bare = copy.deepcopy(LIVE)
    classifier = bare["applications"][1]["deployments"][1]
    classifier |= {"ray_actor_options": {"num_cpus": 0.2}, "max_surge_percent": 50}
    assert with_started_for(with_started_for(bare, "v4"), None) == bare


def test_a_config_that_does_not_name_the_classifier_gets_it() -> None:
    bare = copy.deepcopy(LIVE)
    bare["applications"][1]["deployments"].pop()
    assert started_for(bare) is None
    assert started_for(with_started_for(bare, "v4")) == "v4"


@pytest.mark.parametrize("options", [None, {}, {"runtime_env": {}}, {"runtime_env": None}])
def test_replicas_of_an_ordinary_start_were_started_for_none(options: Any) -> None:
    bare = copy.deepcopy(LIVE)
    bare["applications"][1]["deployments"][1]["ray_actor_options"] = options
    assert started_for(bare) is None
