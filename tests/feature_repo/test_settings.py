"""Settings from the environment: sections, and the sentence that names the first variable that cannot be used."""

from typing import ClassVar, Literal

import pytest
from pydantic import Field

from feature_repo.errors import SettingsError
from feature_repo.settings import EnvironmentSettings


class DoorSettings(EnvironmentSettings):
    prefix: ClassVar[str] = "KUBEREC_DOOR_"

    width: float = Field(default=0.9, gt=0)
    key_file: str = Field(default="", exclude=True)


class HouseSettings(EnvironmentSettings):
    street: str
    floors: int = Field(default=1, ge=1)
    roof: Literal["flat", "pitched"] = "flat"
    door: DoorSettings = DoorSettings()


def test_a_field_is_a_variable_and_an_empty_one_is_not_set() -> None:
    given = {"KUBEREC_STREET": "Elm", "KUBEREC_FLOORS": "", "KUBEREC_DOOR_WIDTH": "2", "KUBEREC_DOOR_KEY_FILE": "/key"}
    settings = HouseSettings.from_environment({**given, "KUBEREC_WIDTH": "7", "OTHER": "x"})
    assert settings == HouseSettings(street="Elm", door=DoorSettings(width=2.0, key_file="/key"))


def test_variables_give_the_same_settings_but_for_those_of_this_machine() -> None:
    settings = HouseSettings(street="Elm", roof="pitched", door=DoorSettings(width=1234567.0, key_file="/key"))
    variables = settings.variables()
    assert variables == {
        "KUBEREC_STREET": "Elm", "KUBEREC_FLOORS": "1", "KUBEREC_ROOF": "pitched", "KUBEREC_DOOR_WIDTH": "1234567"
    }  # fmt: skip
    assert HouseSettings.from_environment(variables).door.width == settings.door.width


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "KUBEREC_STREET is not set, and it has no default: set it."),
        ({"KUBEREC_FLOORS": "0"}, "KUBEREC_FLOORS is '0': it should be greater than or equal to 1."),
        ({"KUBEREC_ROOF": "thatch"}, "KUBEREC_ROOF is 'thatch': it should be 'flat' or 'pitched'."),
        ({"KUBEREC_DOOR_WIDTH": "0"}, "KUBEREC_DOOR_WIDTH is '0': it should be greater than 0."),
    ],
)
def test_what_cannot_be_used_is_one_sentence(given: dict[str, str], sentence: str) -> None:
    environment = {"KUBEREC_STREET": "Elm", **given} if given else given
    with pytest.raises(SettingsError) as caught:
        HouseSettings.from_environment(environment)
    assert str(caught.value) == sentence


def test_a_secret_is_in_no_sentence() -> None:
    class SafeSettings(EnvironmentSettings):
        code: int = Field(default=0, repr=False)

    with pytest.raises(SettingsError, match=r"^KUBEREC_CODE cannot be used: it should be a valid integer") as caught:
        SafeSettings.from_environment({"KUBEREC_CODE": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_misspelt_variable_is_named_with_the_closest_one(caplog: pytest.LogCaptureFixture) -> None:
    links = {"KUBEREC_SERVICE_HOST": "10.0.0.1", "KUBEREC_PORT_80_TCP_ADDR": "10.0.0.1", "KUBEREC_PORT": "tcp://1"}
    given = {"KUBEREC_STREET": "Elm", "KUBEREC_REDDIS": "x", "KUBEREC_STORES": "of another process", **links}
    for _ in range(2):
        HouseSettings.from_environment(given)
    said = [record.message for record in caplog.records if "STREET" not in record.message]
    assert said == ["KUBEREC_REDDIS is not a setting of kuberec and is ignored: did you mean KUBEREC_REDIS?"]
