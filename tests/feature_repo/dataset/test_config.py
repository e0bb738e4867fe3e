"""`dataset.toml` is read whole or refused in one sentence that names file and key."""

from pathlib import Path

import pytest

from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import DatasetError

MINIMAL = 'name = "shop"\n[objectives]\nclick = ["view"]\nconvert = ["purchase"]\n'


def load(directory: Path, text: str) -> DatasetConfig:
    (directory / "dataset.toml").write_text(text)
    return DatasetConfig.load(directory)


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.objective_names == ("click", "convert")
    assert config.event_grades == {"view": 1, "purchase": 2}
    assert config.recommend.repeats == "never"
    assert (config.quality.minimum_rate, config.quality.maximum_daily_events) == (0.95, 1000)
    assert config.known_event_types is None
    assert config.text.encoder is None


def test_the_text_encoder_is_one_of_two(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL + '[text]\nencoder = "minilm"\n').text.encoder == "minilm"
    with pytest.raises(DatasetError, match=r"text\.encoder"):
        load(tmp_path, MINIMAL + '[text]\nencoder = "bert"\n')


def test_an_event_of_two_objectives_has_the_grade_of_the_stronger(tmp_path: Path) -> None:
    text = 'name = "shop"\n[objectives]\nclick = ["view", "buy"]\nconvert = ["buy"]\n[events]\nnegative = ["hate"]\n'
    assert load(tmp_path, text).event_grades == {"view": 1, "buy": 2, "hate": -1}


def test_allowed_types_come_beside_those_with_a_grade(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + '[events]\nallowed = ["search"]\nnegative = ["hate"]\n')
    assert config.known_event_types == frozenset({"view", "purchase", "hate", "search"})


def test_a_dump_reads_back_and_keeps_the_order_of_objectives(tmp_path: Path) -> None:
    text = 'name = "shop"\n[objectives]\nzeta = ["a"]\nalpha = ["b"]\n[columns.impressions]\nzeta = ["x", "y"]\n'
    config = load(tmp_path, text)
    again = DatasetConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.objective_names == ("zeta", "alpha")
    assert again.file_columns("impressions", "zeta") == ("x", "y")
    assert again.file_columns("impressions", "alpha") == ("alpha",)


def test_a_renamed_file_column_is_read_as_that_alone_unless_it_is_learned_from(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        MINIMAL
        + '[columns.items]\nseller_id = "author"\nbrand = "category"\n[features.items]\ncategorical = ["author"]\n',
    )
    assert config.file_columns("items", "seller_id") == ("author",)
    assert config.file_columns("items", "author") == ("author",)
    assert config.file_columns("items", "brand") == ("category",)
    assert config.file_columns("items", "category") == ()


def test_contract_columns_listed_as_features_are_no_extras(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + '[features.items]\ncategorical = ["brand", "mood"]\nnumerical = ["price"]\n')
    assert config.extras("items").categorical == ("mood",)
    assert config.extras("items").numerical == ()
    assert config.extras("interactions").categorical == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "extra = 1\n", ["objectives.extra"]),
        ("extra = 1\n" + MINIMAL, ["unknown key 'extra'", "known here are name, objectives"]),
        (MINIMAL + "[quality]\nrate = 1\n", ["unknown key 'quality.rate'", "minimum_rate, maximum_daily_events"]),
        (MINIMAL + "[quality]\nminimum_rate = 2\n", ["'quality.minimum_rate'", "less than or equal to 1"]),
        (MINIMAL + "[split]\ntest_days = 0\n", ["'split.test_days'"]),
        (MINIMAL + '[recommend]\nrepeats = "sometimes"\n', ["'recommend.repeats'", "until-converted"]),
        (MINIMAL + '[columns.items]\nseler_id = "a"\n', ["unknown key 'columns.items.seler_id'", "seller_id"]),
        (MINIMAL + '[columns.items]\nbrand = ["a", "b"]\n', ["'columns.items.brand'"]),
        (MINIMAL + '[columns.impressions]\nsurface = ["a", "b"]\n', ["columns.impressions.surface is a list"]),
        (MINIMAL + '[columns.interactions]\nsession_id = "user_id"\n', ["add which column is user_id"]),
        (MINIMAL + '[events]\nnegative = ["view"]\n', ["events.negative lists 'view'"]),
        (MINIMAL + '[features.items]\ncategorical = ["a"]\nnumerical = ["a"]\n', ["features.items lists 'a' twice"]),
        (MINIMAL + '[features.users]\nnumerical = ["row"]\n', ["features.users lists 'row'", "columns.users"]),
        (MINIMAL + '[features.items]\nnumerical = ["Price"]\n', ["'Price', which collides with 'price'"]),
        (MINIMAL + '[features.items]\nnumerical = ["a", "A"]\n', ["'A', which collides with 'a'"]),
        (MINIMAL + '[features.items]\nnumerical = ["a b", "a_b"]\n', ["'a_b', which collides with 'a b'"]),
        (MINIMAL + '[features.items]\nnumerical = ["weight [kg]"]\n', ["lists 'weight [kg]'", "say in columns.items"]),
        (MINIMAL + '[surfaces]\nhome = ["1"]\nemail = ["1"]\n', ["surfaces.email lists '1'", "surfaces.home"]),
        ('name = "shop"\n[objectives]\nclick = []\n', ["'objectives.click'"]),
        ('name = "shop"\n[objectives]\nposition = ["view"]\n', ["objectives.position has the name of a column"]),
        (MINIMAL + 'Click = ["look"]\n', ["objectives.Click differs from objectives.click only in case"]),
        (MINIMAL + 'users = ["look"]\n', ["objectives.users has the name of a built-in counter"]),
        ('name = "shop"\n[objectives]\n"a b" = ["view"]\n', ["'objectives.a b'"]),
        ('name = "shop"\n[objectives]\n', ["'objectives'"]),
        ('name = "shop"\n', ["the key 'objectives' is missing"]),
        ('name = "My Shop"\n[objectives]\nclick = ["view"]\n', ["'name' is 'My Shop'", "a-z, 0-9 and -"]),
        ("name = ", ["cannot be read as TOML"]),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "dataset.toml"))
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_or_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.toml is missing"):
        DatasetConfig.load(tmp_path)
    with pytest.raises(DatasetError, match="is not a directory"):
        DatasetConfig.load(tmp_path / "nowhere")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(DatasetError, match="cannot be read as TOML"):
        DatasetConfig.load(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    text = MINIMAL.replace("view", "vué").replace("\n", end)
    (tmp_path / "dataset.toml").write_bytes(text.encode(encoding))
    assert DatasetConfig.load(tmp_path).event_grades == {"vué": 1, "purchase": 2}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_refused_in_words(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "dataset.toml").write_bytes(MINIMAL.encode(encoding))
    with pytest.raises(DatasetError, match=r"dataset\.toml .* UTF-16 or UTF-32; save it as UTF-8\.$"):
        DatasetConfig.load(tmp_path)


def test_a_byte_of_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_bytes(MINIMAL.replace("view", "vué").encode("latin-1"))
    with pytest.raises(DatasetError, match=r"line 3 holds the byte 0xe9, which is not UTF-8"):
        DatasetConfig.load(tmp_path)


def test_a_broken_link_is_not_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").symlink_to("/nowhere")
    with pytest.raises(DatasetError, match=r"dataset\.toml is a link to /nowhere, which does not exist"):
        DatasetConfig.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '[columns.items]\nbrand = ""\n',
        '[columns.impressions]\nclick = ["a", ""]\n',
        '[features.items]\ncategorical = [""]\n',
    ],
)
def test_a_column_without_a_name_cannot_be_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match="a column without a name"):
        load(tmp_path, MINIMAL + text)
