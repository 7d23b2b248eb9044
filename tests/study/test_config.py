"""Settings of a study: what is read back, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostinato.datasets.splits import SPLITS
from ostinato.errors import UsageError
from ostinato.study.config import StudyConfig, load_config, overridden, parse_shares
from ostinato.study.sweep import is_sweep


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path) -> None:
    config = StudyConfig(
        title="A “title”", models=("conv-lstm", "lstm"), settings={"conv-lstm": {"patch": 2}}
    )
    again = load_config(write(tmp_path, config.to_toml()))
    assert again.to_dict() == config.to_dict()
    assert again.model_settings("conv-lstm").patch == 2


def test_the_number_of_trials_is_kept_with_what_they_chose(tmp_path) -> None:
    assert "chosen_from" not in StudyConfig().to_toml()
    chosen = load_config(write(tmp_path, StudyConfig(chosen_from=40).to_toml()))
    assert chosen.chosen_from == 40


def test_a_setting_left_out_is_the_default(tmp_path) -> None:
    config = load_config(write(tmp_path, "seeds = 5\n[training]\nepochs = 7\n"))
    assert config.seeds == 5
    assert config.training.epochs == 7
    assert config.models == ("lstm", "residual-lstm", "conv-lstm")
    assert config.training.batch_size == StudyConfig().training.batch_size


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = 5", "There is no setting 'seed'"),
        ("[training]\nepoch = 5", r"There is no setting 'training\.epoch'"),
        ("[settings.lstm]\nwidht = 5", r"There is no setting 'settings\.lstm\.widht'"),
        ("seeds = 'five'", "seeds: expected a valid integer; got 'five'"),
        ("seeds = 0", "seeds: expected 1 or more, got 0"),
        ("chosen_from = -1", "chosen_from: expected 0 or more, got -1"),
        (
            "frames = 'mel'",
            r"frames: expected one of mfcc, .*, or the file of an ear \(\.onnx\); got 'mel'",
        ),
        ("coefficients = 0", "coefficients: expected 1 or more, got 0"),
        ("[training]\nepochs = 1.5", r"training\.epochs: .*integer; got 1.5"),
        ("[training]\nepochs = 0", r"training\.epochs: expected a positive number, got 0"),
        ("test = 1", "test: expected a valid boolean; got 1"),
        ("models = ['gru']", "Expected models of lstm, residual-lstm, conv-lstm, .*; got 'gru'"),
        ("models = []", "models: expected one or more"),
        ("models = ['lstm', 'lstm']", "each once"),
        ("split = 'random'", "split: expected one of .*; got 'random'"),
        ("split = 'none.tsv'", r"split: there is no file none\.tsv"),
        ("repeats = 0", "repeats: expected 1 or more, got 0"),
        ("repeats = 2", "repeats: only folds that are drawn, artist-folds, .*split is 'auto'"),
        ("repeats = 2\nsplit = 'holdout'", "drawn 2 times, but the split is 'holdout'"),
        ("shares = {train = 0.8, valid = 0.2}", "positive shares of train, valid, test with sum 1"),
        ("shares = {train = 'most'}", r"shares\.train: .*number; got 'most'"),
        (
            "split = 'strict'\nshares = {train = 0.8, valid = 0.1, test = 0.1}",
            "only holdout and song-holdout take shares, but the split is 'strict'",
        ),
        (
            "split = 'song-folds'\nshares = {train = 0.8, valid = 0.1, test = 0.1}",
            "the split is 'song-folds'",
        ),
        ("[settings.gru]\nwidth = 5", "got 'gru'"),
        ("[settings.lstm]\nwidth = 'wide'", r"settings\.lstm\.width: .*integer; got 'wide'"),
        ("[settings.conv-lstm]\nkernel = 4", "odd kernel, got 4"),
        ("seeds = = 5", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        load_config(write(tmp_path, text))
    assert str(caught.value).count("\n") == 0
    assert "study.toml" in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds = 2\nsead = 5", "line 2: There is no setting 'sead'; did you mean 'seeds'?"),
        ("[training]\n\nepohcs = 5", "line 3: There is no setting 'training.epohcs'; did you mean"),
        (
            "[settings.lstm]\nwidht = 5",
            "line 2: There is no setting 'settings.lstm.widht'; did you",
        ),
        ("zebra = 5", "line 1: There is no setting 'zebra'."),
        ("models = ['lstn']", "got 'lstn'; did you mean 'lstm'?"),
        ("[settings.lstn]\nwidth = 5", "got 'lstn'; did you mean 'lstm'?"),
        (
            "frames = 'log_mel'",
            "line 1: frames: expected one of mfcc, log-mel-from-mfcc, log-mel, musicnn-tags",
        ),
        ("frames = 'log_mel'", "got 'log_mel'; did you mean 'log-mel'?"),
        ("split = 'artist-fold'", "did you mean 'artist-folds'?"),
        ("models = 'lstm'", 'line 1: models: expected a list, such as models = ["lstm"]; got'),
        (
            "seeds = 1\n[training]\nepochs = 0",
            "line 3: training.epochs: expected a positive number",
        ),
        (
            "[settings.lstm]\n# a comment\ndropout = 1.5",
            "line 3: settings.lstm: Expected a dropout",
        ),
        ("shares = '80/20'", "line 1: shares: expected percentages of train, valid, test with sum"),
    ],
)
def test_a_sentence_says_which_line_and_what_may_be_meant(tmp_path, text, sentence) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path, text))
    assert sentence in str(caught.value)


def test_shares_are_written_as_the_option_is(tmp_path) -> None:
    config = load_config(write(tmp_path, "shares = '80/10/10'"))
    assert config.shares == pytest.approx({"train": 0.8, "valid": 0.1, "test": 0.1})


def test_a_byte_order_mark_is_passed_over(tmp_path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbfseeds = 5\n")
    assert load_config(path).seeds == 5


@pytest.mark.parametrize("name", ["music", "table.csv", "tags.npz"])
def test_a_collection_in_place_of_a_study_is_told_the_option(tmp_path, name: str) -> None:
    path = tmp_path / name
    path.write_text("") if path.suffix else path.mkdir()
    with pytest.raises(UsageError, match=rf"ostinato study --data .*{name}"):
        load_config(path)


@pytest.mark.parametrize("split", ["auto", "holdout", "song-holdout"])
def test_sizes_are_read_back(tmp_path, split: str) -> None:
    shares = {"train": 0.8, "valid": 0.1, "test": 0.1}
    config = load_config(write(tmp_path, StudyConfig(split=split, shares=shares).to_toml()))
    assert config.shares == shares


@pytest.mark.parametrize("split", SPLITS)
def test_the_default_sizes_may_be_written_out_beside_any_split(tmp_path, split: str) -> None:
    """A study's own config.toml does."""
    config = load_config(write(tmp_path, StudyConfig(split=split).to_toml()))
    assert config.shares == {"train": 0.6, "valid": 0.2, "test": 0.2}


def test_percentages_are_shares() -> None:
    for text in ("80/10/10", " 80 / 10/10.0"):
        assert parse_shares(text) == {"train": 0.8, "valid": 0.1, "test": 0.1}
    assert parse_shares("60/20/20") == StudyConfig().shares


@pytest.mark.parametrize(
    "text", ["", "80/20", "80/10/5", "100/0/0", "120/-10/-10", "80-10-10", "a/b/c", "nan/10/10",
             "10/nan/10", "inf/1/1", "0.8/0.1/0.1", "80/10/5/5"],
)  # fmt: skip
def test_percentages_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="percentages of train, valid, test with sum 100") as said:
        parse_shares(text)
    assert f"got '{text}'" in str(said.value)


@pytest.mark.parametrize(
    ("settings", "described"),
    [
        ({}, "40 MFCC from 128 mel bands"),
        ({"coefficients": 13}, "13 MFCC from 128 mel bands"),
        ({"frames": "log-mel-from-mfcc", "coefficients": 13}, "128 mel bands smoothed by 13 MFCC"),
        ({"frames": "log-mel", "coefficients": 13}, "128 mel bands,"),
    ],
)
def test_frames_and_coefficients_decide_what_models_see(settings, described: str) -> None:
    assert StudyConfig(**settings).spec.describe().startswith(described)


def test_the_number_of_coefficients_is_of_no_effect_on_mel_bands() -> None:
    """Not even on the digest, or the cache would hold the same frames twice."""
    one, other = (StudyConfig(frames="log-mel", coefficients=n).spec for n in (13, 40))
    assert one.digest() == other.digest()


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read the study .*none\.toml: No such file"):
        load_config(tmp_path / "none.toml")


def test_options_override_and_absent_ones_do_not() -> None:
    config = StudyConfig(seeds=2)
    assert overridden(config, seeds=None, test=False) == StudyConfig(seeds=2, test=False)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("studies/**/*.toml")))
def test_the_studies_that_come_with_the_project_are_valid(path: Path) -> None:
    assert is_sweep(path) or load_config(path).models  # those with variants: test_sweep.py


def test_there_are_studies_that_come_with_the_project() -> None:
    assert list(Path(__file__).parents[2].glob("studies/**/*.toml"))
