"""Every option of every verb arrives where it acts; what it prints is looked at beside its verb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from ostinato.cli.main import app
from ostinato.errors import OstinatoError
from ostinato.server.limits import Limits
from ostinato.study import study
from ostinato.study.config import StudyConfig
from ostinato.study.plan import plan_study
from ostinato.study.sweep import load_sweep, run_sweep
from ostinato.study.training_run import execute
from ostinato.tagging.policy import Policy
from tests.helpers.toy import QUICK, toy_corpus

CORPUS = toy_corpus(n_frames=1600)
VARIANTS = '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\n'

#: The options of a study, and what is seen of them where data are loaded and runs are trained.
STUDY: list[tuple[list[str], Any]] = [
    (["--data", "music"], lambda seen: seen.data == "music"),
    (["--frames", "log-mel-from-mfcc"], lambda seen: seen.load["spec"].kind == "log-mel-from-mfcc"),
    (["--models", "cnn,crnn"], lambda seen: seen.plan.config.models == ("cnn", "crnn")),
    (["--split", "artist-folds"], lambda seen: seen.plan.split.name == "artist-folds"),
    (["--shares", "40/20/40"], lambda seen: len(seen.plan.split.folds[0].test) == 12),
    (["--split", "song-folds", "--repeats", "2"], lambda seen: seen.plan.split.repeats == 2),
    (["--seeds", "5"], lambda seen: {task.seed for task in seen.plan.tasks} == {0, 1, 2, 3, 4}),
    (["--no-test"], lambda seen: not any(task.recipe.test for task in seen.plan.tasks)),
    (["--test"], lambda seen: all(task.recipe.test for task in seen.plan.tasks)),
    (["--out", "here"], lambda seen: seen.plan.folder == Path("here")),
    (["--ledger", "looks.csv"], lambda seen: seen.run["ledger"] == Path("looks.csv")),
    (["variants.toml", "--ledger", "looks.csv"],
     lambda seen: seen.run["ledger"] == Path("looks.csv")),
    (["--cache", "kept"], lambda seen: seen.load["cache"].folder == Path("kept")),
    (["--scheduler", "tcp://h:1"],
     lambda seen: (seen.load["backend"], seen.run["backend"]) == ("tcp://h:1", "tcp://h:1")),
    (["variants.toml", "--scheduler", "tcp://h:1"],
     lambda seen: seen.run["backend"] == "tcp://h:1"),
    (["--jobs", "3"], lambda seen: (seen.load["n_jobs"], seen.run["jobs"]) == (3, 3)),
    (["--accelerator", "gpu"], lambda seen: seen.run["accelerator"] == "cuda"),
    (["variants.toml", "--only", "b"], lambda seen: seen.plan.folder.name == "b"),
    (["variants.toml", "--seeds", "5"], lambda seen: len(seen.plan.tasks) == 15),
    (["--split", "segment-random", "--allow-leak"], lambda seen: seen.plan.split.leaks),
]  # fmt: skip

#: Verb, arguments, the function that they must reach, and with what.
CALLS: list[tuple[str, list[str], str, dict[str, Any]]] = [
    ("audit", ["gtzan", "--threshold", "0.7"], "datasets.audit.audit_corpus", {"threshold": 0.7}),
    ("audit", ["gtzan", "--split", "holdout"], "datasets.audit.audit_corpus", {"split": "holdout"}),
    ("audit", ["d", "--threshold", "0.7"], "datasets.audit.audit_folder", {"threshold": 0.7}),
    ("audit", ["d", "--split", "strict"], "datasets.audit.audit_folder", {"split": "strict"}),
    ("audit", ["d", "--cache", "c"], "datasets.audit.audit_folder", {"cache": "c"}),
    ("audit", ["d", "--jobs", "3"], "datasets.audit.audit_folder", {"n_jobs": 3}),
    ("audit", ["d", "--scheduler", "tcp://h:1"], "datasets.audit.audit_folder",
     {"backend": "tcp://h:1"}),
    ("train", ["d", "--out", "m.onnx"], "study.own_genres.learn_genres", {1: "m.onnx"}),
    ("train", ["d", "--model", "lstm"], "study.own_genres.learn_genres", {"model": "lstm"}),
    ("train", ["d", "--frames", "mfcc"], "study.own_genres.learn_genres", {"frames": "mfcc"}),
    ("train", ["d", "--precision", "0.9"], "study.own_genres.learn_genres", {"precision": 0.9}),
    ("train", ["d", "--log", "mlflow"], "study.tracking.check_tracker", {0: "mlflow"}),
    ("train", ["d", "--seed", "2"], "study.own_genres.learn_genres", {"seed": 2}),
    ("train", ["d", "--cache", "c"], "study.own_genres.learn_genres", {"cache": "c"}),
    ("train", ["d", "--jobs", "3"], "study.own_genres.learn_genres", {"jobs": 3}),
    ("train", ["d", "--scheduler", "tcp://h:1"], "study.own_genres.learn_genres",
     {"backend": "tcp://h:1"}),
    ("evaluate", ["m", "d", "--cache", "c"], "study.judge_model.judge_model", {"cache": "c"}),
    ("evaluate", ["m", "d", "--jobs", "3"], "study.judge_model.judge_model", {"jobs": 3}),
    ("evaluate", ["m", "d", "--scheduler", "tcp://h:1"], "study.judge_model.judge_model",
     {"backend": "tcp://h:1"}),
    ("compare", ["a", "b", "--genres", "x, y"], "study.compare.compare", {"genres": ("x", "y")}),
    ("search", ["s.toml", "--trials", "7"], "study.search.search", {"trials": 7}),
    ("search", ["s.toml", "--out", "o"], "study.search.search", {"out": "o"}),
    ("search", ["s.toml", "--cache", "c"], "study.search.search", {"cache": "c"}),
    ("search", ["s.toml", "--jobs", "3"], "study.search.search", {"jobs": 3}),
    ("search", ["s.toml", "--accelerator", "gpu"], "study.search.search", {"accelerator": "gpu"}),
    ("search", ["s.toml", "--scheduler", "tcp://h:1"], "study.search.search",
     {"backend": "tcp://h:1"}),
    ("study", ["--again", "r"], "study.again.repeat", {0: "r"}),
    ("study", ["--log", "mlflow"], "study.run", {"log": "mlflow"}),
    ("export", ["r", "--to", "f.onnx"], "study.export.export_run", {"seed": 0, "fold": 0}),
    ("export", ["r", "--model", "cnn"], "study.export.export_run", {"model": "cnn"}),
    ("export", ["r", "--seed", "2"], "study.export.export_run", {"seed": 2}),
    ("export", ["r", "--ensemble"], "study.export.export_run", {"seed": None}),
    ("export", ["r", "--fold", "2"], "study.export.export_run", {"fold": 2}),
    ("export", ["r", "--precision", "0.9"], "study.export.export_run", {"precision": 0.9}),
    ("export", ["r", "--with-front-end"], "study.export.export_run", {"front_end": True}),
    ("export", ["r", "--licence", "MIT"], "study.export.export_run", {"licence": "MIT"}),
    ("export", ["r", "--cache", "c"], "study.export.export_run", {"cache": "c"}),
    ("export", ["r", "--jobs", "3"], "study.export.export_run", {"jobs": 3}),
    ("fetch", ["gtzan", "--to", "d"], "datasets.download.fetch_gtzan", {"to": "d"}),
    ("fetch", ["gtzan", "--url", "u"], "datasets.download.fetch_gtzan", {"url": "u"}),
    ("fetch", ["musicnn", "--to", "d"], "inference.musicnn_wheel.fetch_musicnn", {"to": "d"}),
    ("fetch", ["musicnn", "--wheel", "w"], "inference.musicnn_wheel.fetch_musicnn", {"wheel": "w"}),
    ("classify", ["a.wav", "--model", "m"], "inference.classifier.Classifier.load", {0: "m"}),
    ("classify", ["a.wav", "--jobs", "3"], "inference.classifier.Classifier.classify_many",
     {"jobs": 3, "thorough": False}),
    *(("classify", ["a.wav", *flag], "inference.classifier.Classifier.classify_many",
       {"thorough": True}) for flag in (["--thorough"], ["--timeline"], ["--plot", "x.png"])),
    *(("tag", ["d", *arguments], "tagging.run.TagRun.__init__", with_) for arguments, with_ in (
        (["--write"], {"write": True}),
        (["--only-missing"], {"policy": Policy()}),
        (["--replace"], {"policy": Policy(what="replace")}),
        (["--add"], {"policy": Policy(what="add")}),
        (["--min-probability", "0.7"], {"policy": Policy(min_probability=0.7)}),
        (["--top", "2"], {"policy": Policy(top=2)}),
        (["--where", "genre=x"], {"policy": Policy(where="x")}),
        (["--by", "album"], {"by": "album"}),
        (["--map", "m.toml"], {"names": "m.toml"}),
        (["--provenance"], {"provenance": True}),
        (["--thorough"], {"thorough": True}),
        (["--page", "p.html"], {"hear_all": True}),
        (["--in-place"], {"in_place": True}),
        (["--hard-links", "break"], {"hard_links": "break"}),
        (["--keep-mtime"], {"keep_mtime": True}),
        (["--journal", "j"], {"journal": "j"}),
        (["--model", "m"], {"model": "m"}),
        (["--cache", "c"], {"cache": "c"}),
        (["--jobs", "3"], {"jobs": 3, "backend": None}),
        (["--scheduler", "tcp://h:1"], {"backend": "tcp://h:1"}),
    )),
    ("tag", ["--undo", "3"], "tagging.run.undone", {0: 3}),
    ("tag", ["--history"], "tagging.journal.Journal.open", {"must_exist": True}),
    *(("serve", arguments, "server.entry.run", with_) for arguments, with_ in (
        (["--host", "::1", "--port", "0"], {"host": "::1", "port": 0}),
        (["--model", "lstm, default"], {"models": ("lstm", "default")}),
        (["--workers", "3"], {"n_workers": 3}),
        (["--api-key-file", "k"], {"key_file": "k"}),
        (["--max-mb", "1024"],
         {"limits": Limits(upload_bytes=1 << 30, spool_bytes=4 << 30, sound_s=3600)}),
        (["--max-minutes", "2"], {"limits": Limits(sound_s=120)}),
        (["--allow-origin", "https://x.org"], {"allowed_origins": ["https://x.org"]}),
        (["--no-page"], {"page": False}),
    )),
    ("models", ["--use", "m"], "inference.classifier.Classifier.load", {0: "m"}),
    ("listen", ["--model", "m"], "inference.classifier.Classifier.load", {0: "m"}),
    ("listen", ["--every", "2.5"], "inference.live.LiveClassifier.__init__", {"every_s": 2.5}),
    ("listen", ["--rate", "8000"], "audio.RawFormat.__init__", {"rate_hz": 8000}),
    ("listen", ["--channels", "1"], "audio.RawFormat.__init__", {"n_channels": 1}),
    ("listen", ["--encoding", "f32le"], "audio.RawFormat.__init__", {"encoding": "f32le"}),
]  # fmt: skip

#: Options that change what is printed and nothing else.
PRINTED = {("audit", "--format"), ("train", "--format"), ("evaluate", "--format"),
           ("evaluate", "--out"), ("compare", "--format"), ("classify", "--format"),
           ("classify", "--top"), ("tag", "--format"), ("tag", "--playlists"),
           ("listen", "--format"), ("models", "--format"), ("doctor", "--format")}  # fmt: skip


class SeenError(OstinatoError):
    """Ends a call where its options are seen."""


def test_no_option_is_left_out() -> None:
    tried = {("study", a) for arguments, _ in STUDY for a in arguments}
    tried |= {(verb, a) for verb, arguments, *_ in CALLS for a in arguments}
    for verb, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for parameter in command.params:
            for option in (o for o in parameter.opts + parameter.secondary_opts if o[0] == "-"):
                assert (verb, option) in tried | PRINTED | {(verb, "--help")}, (
                    f"'{verb} {option}' has no test: add a row to CALLS above, with the function "
                    "that it must reach, or to PRINTED if it changes nothing but what is printed."
                )


@pytest.mark.parametrize(("arguments", "is_seen"), STUDY, ids=[" ".join(a) for a, _ in STUDY])
def test_an_option_of_a_study_reaches_its_data_or_its_runs(
    call, tmp_path, monkeypatch, arguments, is_seen
) -> None:
    seen = SimpleNamespace()

    def load(data: str, **options: Any) -> Any:
        seen.data, seen.load = data, options
        return CORPUS

    def run(plan: Any, **options: Any) -> None:
        seen.plan, seen.run = plan, options
        raise SeenError("seen")

    (tmp_path / "variants.toml").write_text(VARIANTS)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("ostinato.study.plan.load_corpus", load)
    monkeypatch.setattr("ostinato.study.entry.run_study", run)
    monkeypatch.setattr("ostinato.study.sweep.run_study", run)
    assert call("study", *arguments)[2] == "ostinato: seen\n"
    assert is_seen(seen)


@pytest.mark.parametrize("sweep", [False, True])
def test_jobs_and_accelerator_reach_every_training(monkeypatch, tmp_path, sweep) -> None:
    def run(function: Any, calls: Any, **options: Any) -> None:
        assert function.keywords["accelerator"] == "gpu"
        assert options["n_jobs"] == 3
        raise SeenError("seen")

    monkeypatch.setattr("ostinato.parallel.run", run)
    (tmp_path / "s.toml").write_text(VARIANTS)
    variants, plan = load_sweep(tmp_path / "s.toml"), plan_study(StudyConfig(), CORPUS, tmp_path)
    what = (run_sweep, variants, tmp_path, lambda _: CORPUS) if sweep else (study.run_study, plan)
    with pytest.raises(SeenError):
        what[0](*what[1:], jobs=3, accelerator="gpu")


@pytest.mark.parametrize("weak_genres", [0.0, 1.0])
def test_the_accelerator_reaches_lightning(monkeypatch, tmp_path, weak_genres) -> None:
    def trainer(**options: Any) -> None:
        assert options["accelerator"] == "gpu"
        raise SeenError("seen")

    monkeypatch.setattr("lightning.Trainer", trainer)
    training = replace(QUICK, weak_genres=weak_genres)
    config = StudyConfig(models=("lstm",), seeds=1, training=training, coefficients=4)
    (task,) = plan_study(config, CORPUS, tmp_path).tasks
    with pytest.raises(SeenError):
        execute(task, CORPUS, accelerator="gpu")


@pytest.mark.parametrize(
    ("verb", "arguments", "function", "with_"), CALLS, ids=[" ".join([c[0], *c[1]]) for c in CALLS]
)
def test_an_option_reaches_the_function_of_its_verb(
    call, tmp_path, monkeypatch, verb, arguments, function, with_
) -> None:
    got: dict[Any, Any] = {}

    def seen(*values: Any, **options: Any) -> None:
        got.update(enumerate(values))
        got.update(options)
        raise SeenError("seen")

    (tmp_path / "a.wav").touch()
    monkeypatch.setattr("ostinato.study.compare.read_judged", lambda folder: folder)
    monkeypatch.setattr("ostinato.datasets.gtzan.load_gtzan", lambda: CORPUS)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False, buffer=None))
    monkeypatch.setattr(f"ostinato.{function}", seen)
    needed = {"export": ["--to", "f.onnx"], "search": ["--trials", "2"]}.get(verb, [])
    more = needed if needed[:1] and needed[0] not in arguments else []
    assert call(verb, *arguments, *more)[2].endswith("ostinato: seen\n")
    for name, value in with_.items():
        arrived = got[name]
        arrived = getattr(arrived, "folder", getattr(arrived, "name", arrived))  # cache; split
        assert (str(arrived) if isinstance(arrived, Path) else arrived) == value
