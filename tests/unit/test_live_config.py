"""What a swap tells Serve: everything as it was, but for one field."""

import copy
from typing import Any

import pytest

from training.hot_swap import SwapFailed, live_config, with_version

LIVE: dict[str, Any] = {
    "controller_info": {"node_id": "a"},
    "proxy_location": "EveryNode",
    "http_options": {"port": 8000},
    "grpc_options": {"port": 9000},
    "target_capacity": 50.0,
    "applications": {
        "hub": {
            "status": "RUNNING",
            "deployed_app_config": {
                "name": "hub",
                "import_path": "graph.app:build",
                "deployments": [
                    {"name": "Ingress", "num_replicas": 2},
                    {
                        "name": "Classifier",
                        "num_replicas": 3,
                        "user_config": {"version": None, "an_operators": "own"},
                    },
                ],
            },
        },
        "another": {"deployed_app_config": {"name": "another", "import_path": "a:b"}},
    },
}


def test_one_field_changes_and_what_operators_changed_stays() -> None:
    config = with_version(live_config(copy.deepcopy(LIVE)), "v4")
    hub, another = config["applications"]
    assert another == LIVE["applications"]["another"]["deployed_app_config"]
    assert config["target_capacity"] == 50.0
    assert config["http_options"] == {"port": 8000}
    expected = copy.deepcopy(LIVE["applications"]["hub"]["deployed_app_config"])
    expected["deployments"][1]["user_config"]["version"] = "v4"
    assert hub == expected


def test_a_classifier_without_options_gets_the_field() -> None:
    config = {"applications": [{"name": "hub", "deployments": []}]}
    (hub,) = with_version(config, "v4")["applications"]
    assert hub["deployments"] == [{"name": "Classifier", "user_config": {"version": "v4"}}]


def test_without_the_application_there_is_nothing_to_swap() -> None:
    with pytest.raises(SwapFailed, match="start the hub first"):
        live_config({"applications": {}})
