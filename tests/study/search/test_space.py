"""What a search varies: the table [search], and the default."""

from __future__ import annotations

import pytest

from ostinato.errors import UsageError
from ostinato.models import FAMILIES
from ostinato.study.config import load_config
from ostinato.study.search.space import Range, load_search
from tests.helpers.searching import STUDY, written

HEAD, TABLE = STUDY.split("[search]")


def test_ranges_and_choices_are_read_with_the_kind_of_their_setting(tmp_path) -> None:
    search = load_search(written(tmp_path))
    assert search.space["training.learning_rate"] == Range(low=1e-4, high=1e-2, log=True)
    assert search.space["settings.lstm.width"] == Range(low=4, high=12, step=4)
    assert search.space["settings.lstm.pooling"] == ("mean-max", "attention")
    assert search.trials.batch == 4
    assert (search.trials.objective, search.trials.seeds) == ("macro-f1", 1)
    own = search.own
    assert (own["training.mixup"], own["settings.lstm.width"]) == (0.2, 8)


def test_a_trial_is_the_study_with_its_values(tmp_path) -> None:
    search = load_search(written(tmp_path))
    config = search.config({"training.mixup": 0.5, "settings.lstm.pooling": "attention"})
    assert config.training.mixup == 0.5
    settings = config.model_settings("lstm")
    assert (settings.pooling, settings.width, settings.texture_frames) == ("attention", 8, 4)
    assert (config.split, config.test, config.seeds) == ("artist-folds", False, 1)


def test_a_study_runs_as_it_is_beside_its_table(tmp_path) -> None:
    assert load_config(written(tmp_path)).training.mixup == 0.2


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_space_of_its_own(tmp_path, name: str) -> None:
    space = load_search(written(tmp_path, f'models = ["{name}"]')).space
    assert any(setting.startswith(f"settings.{name}.") for setting in space)
    assert ("training.learning_rate" in space) == (name not in ("baseline", "discriminant")), (
        "they are solved for"
    )


def test_several_models_are_a_choice_and_have_their_own_settings(tmp_path) -> None:
    search = load_search(written(tmp_path, 'models = ["lstm", "cnn"]'))
    assert search.space["models"] == ("lstm", "cnn")
    config = search.config({"models": "cnn", "settings.cnn.dropout": 0.1})
    assert config.models == ("cnn",)
    assert config.model_settings("cnn").dropout == 0.1
    assert list(config.settings) == ["cnn"]
    named = load_search(written(tmp_path, '[search]\nmodels = ["crnn", "lstm"]'))
    assert named.space["models"] == ("crnn", "lstm")
    assert "settings.crnn.width" in named.space


def test_texture_windows_are_left_alone_on_the_frames_of_an_ear(tmp_path) -> None:
    """A frame of an ear tells of seconds: their default is one."""
    space = load_search(written(tmp_path, 'models = ["lstm"]\nframes = "musicnn-tags"')).space
    assert "settings.lstm.texture_frames" not in space
    assert "settings.lstm.width" in space


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[search]\ntraining.lerning_rate = {low = 1, high = 2}",
         r"line 3: There is no setting 'search\.training\.lerning_rate'; did you mean 'learning_r"),
        ("[search]\nsettings.lstm.widht = {low = 1, high = 2}", "did you mean 'width'"),
        ("[search]\nsettings.cnn.dropout = {low = 0.1, high = 0.2}", "expected a setting of lstm"),
        ("[search]\ncolour = ['red', 'blue']", "There is no setting 'search.colour'"),
        ("[search]\nsplit = ['holdout', 'strict']", "decide what the trials are judged on"),
        ("[search]\nseeds = 0", "search.seeds: expected 1 or more, got 0"),
        ("[search]\nobjective = 'loss'", "search.objective: expected 'macro-f1' or 'accuracy'"),
        ("[search]\ntraining.epochs = 5", r"search\.training\.epochs: expected a range"),
        ("[search]\ntraining.epochs = {low = 2.5, high = 9}", "expected whole numbers"),
        ("[search]\ntraining.noise = {low = 0.5, high = 0.1}", "expected low below high"),
        ("[search]\ntraining.noise = {low = 0, high = 1, log = true}", "a positive low"),
        ("[search]\ntraining.noise = {low = 0, hihg = 1}", r"noise\.high: field required"),
        ("[search]\ntraining.mask_time = {low = 0, high = 2}", r"expected a number in \[0, 1\)"),
        ("[search]\nsettings.lstm.pooling = {low = 0, high = 1}", "expected a list of choices"),
        ("[search]\nsettings.lstm.pooling = ['mean', 'best']", r"settings\.lstm\.pooling"),
        ("[search]\nsettings.lstm.pooling = ['mean']", "two or more different choices"),
        ("search = 5", "expected a table"),
        ("test = true", "must not use the test part; got true"),
        ("split = 'segment-random'\nallow_leak = true", "one that does not leak"),
        ("[[variants]]\nname = 'a'", "without variants"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_sentence(tmp_path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        load_search(written(tmp_path, f'models = ["lstm"]\n{text}'))
    assert "\n" not in str(caught.value)
