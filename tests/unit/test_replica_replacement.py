"""The variables by which replicas are started anew, in the config that Serve is told."""

import copy
from typing import Any

import pytest

from training.replica_replacement import STARTED_FOR, started_for, with_variables

FOR_V4 = {STARTED_FOR: "v4"}
FOR_NONE = {STARTED_FOR: None}

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
    changed = with_variables(LIVE, FOR_V4)
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
    assert with_variables(with_variables(bare, FOR_V4), FOR_NONE) == bare


def test_a_config_that_does_not_name_the_classifier_gets_it() -> None:
    bare = copy.deepcopy(LIVE)
    bare["applications"][1]["deployments"].pop()
    assert started_for(bare) is None
    assert started_for(with_variables(bare, FOR_V4)) == "v4"


@pytest.mark.parametrize("options", [None, {}, {"runtime_env": {}}, {"runtime_env": None}])
def test_replicas_of_an_ordinary_start_were_started_for_none(options: Any) -> None:
    bare = copy.deepcopy(LIVE)
    bare["applications"][1]["deployments"][1]["ray_actor_options"] = options
    assert started_for(bare) is None


def test_another_deployment_gets_its_own_variables_and_the_classifier_none() -> None:
    wanted = {"HUB_EMBEDDER": "vertex", "HUB_VERTEX_PROJECT": "campus", "HUB_VERTEX_MODEL": None}
    embedder, classifier = with_variables(LIVE, wanted, deployment="Embedder")["applications"][1][
        "deployments"
    ]
    assert embedder["ray_actor_options"]["runtime_env"]["env_vars"] == {
        "HUB_EMBEDDER": "vertex",
        "HUB_VERTEX_PROJECT": "campus",
    }
    assert (embedder["num_replicas"], embedder["max_surge_percent"]) == (2, 100)
    assert classifier == LIVE["applications"][1]["deployments"][1]
