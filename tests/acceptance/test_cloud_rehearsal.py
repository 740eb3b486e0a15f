"""The hub as on Google Cloud, on this machine: `make cloud-rehearsal`, run by `make prove`."""

from pathlib import Path

import pytest

from tests.cloud_rehearsal import rehearse
from tests.conftest import DEFAULT_HOME

pytestmark = pytest.mark.prove


def test_from_the_legacy_data_to_a_promotion_in_the_bucket(hub_home: Path) -> None:
    rehearse(encoder=hub_home / "encoder", cache=DEFAULT_HOME / "cache")
