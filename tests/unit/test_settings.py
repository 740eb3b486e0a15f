"""The secret: given, or the one that a hub made and kept in its home."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.errors import SettingsError
from contracts.settings import Settings
from scripts.run import with_secret


def test_what_runs_beside_a_hub_uses_the_secret_that_the_hub_made(tmp_path: Path) -> None:
    made = with_secret(Settings(home=tmp_path, secret=SecretStr("")))
    beside = Settings(home=tmp_path, secret=SecretStr(""))
    assert beside.require_secret() == made.require_secret()
    assert beside.require_secret() == made.secret.get_secret_value().encode()
    assert beside.secret_file.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_given_goes_before_the_one_that_is_kept(tmp_path: Path) -> None:
    with_secret(Settings(home=tmp_path, secret=SecretStr("")))
    given = Settings(home=tmp_path, secret=SecretStr("given by the operator"))
    assert given.require_secret() == b"given by the operator"
    assert with_secret(given).require_secret() == b"given by the operator"


@pytest.mark.parametrize(("secret", "said"), [("", "No HUB_SECRET"), ("short", "16 characters")])
def test_without_a_secret_of_some_length_nothing_goes(
    tmp_path: Path, secret: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings(home=tmp_path, secret=SecretStr(secret)).require_secret()
