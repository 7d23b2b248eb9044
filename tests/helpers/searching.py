"""A search whose trainings take no time: verdicts follow from the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.datasets import Corpus
from ostinato.storage import write_text
from ostinato.study.training_run import PROBABILITIES, RECIPE, RUN, Task, write_probabilities
from ostinato.training.curves import TrainingError

STUDY = """
models = ["lstm"]
coefficients = 4
[training]
epochs = 1
window_frames = 24
window_hop = 12
[settings.lstm]
width = 8
depth = 1
texture_frames = 4
[search]
batch = 4
training.learning_rate = {low = 1e-4, high = 1e-2, log = true}
training.mixup = {low = 0, high = 1}
settings.lstm.width = {low = 4, high = 12, step = 4}
settings.lstm.pooling = ["mean-max", "attention"]
"""


def share_right(task: Task) -> float:
    """The share of recordings that a training names rightly: most at a rate of 1e-3."""
    training = task.recipe.training
    return float(np.clip(1 - abs(np.log10(training.learning_rate) + 3) - training.mixup / 4, 0, 1))


def execute(task: Task, corpus: Corpus, **_: Any) -> None:
    """Leave what a training leaves of its verdicts; one of a rate above 9e-3 diverges."""
    if task.recipe.training.learning_rate > 9e-3:
        raise TrainingError("The loss is nan in epoch 1.")
    random = np.random.default_rng([task.seed, task.fold])
    labels = corpus.labels[corpus.positions(task.parts.valid)]
    n = len(corpus.genres)
    said = np.where(random.random(len(labels)) < share_right(task), labels, (labels + 1) % n)
    write_text(task.folder / RECIPE, json.dumps({"digest": task.recipe.digest()}))
    write_probabilities(task.folder / PROBABILITIES, corpus, task.parts, {"valid": np.eye(n)[said]})
    write_text(task.folder / RUN, "{}")


def written(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path
