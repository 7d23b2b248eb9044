"""What augmentation costs, as a share of a training step of the LSTM.

Run from the root of the repository, with the package installed (``.[train]``)::

    python benchmarks/augment.py
    python benchmarks/augment.py --rounds 101

A batch of 64 windows of 144 frames goes through each augmentation at a sensible strength, as MFCC
(40 of 128 bands, the default of studies) and as log-mel frames (128 bands); beside it a training
step of the default LSTM on the same batch: forward, backward, clipping and AdamW. One thread.

The cases take turns within a round, so that other work on the machine disturbs all of them alike; a
share is the median over rounds of the share within a round. The target is 10 % for each
augmentation. The exit status is 0 whether it is met or not.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from ostinato import models
from ostinato.features import FeatureSpec
from ostinato.training.augment_frames import FrameAugmentation, add_noise, mixup
from ostinato.training.settings import TrainingSettings

STRENGTHS = {
    "stretch": 0.2, "pitch": 2.0, "tilt": 0.3, "gain": 0.3, "mask_bands": 0.2, "mask_time": 0.2,
}  # fmt: skip
TARGET = 0.10


def cases(spec: FeatureSpec) -> dict[str, Callable[[], object]]:
    """What is timed; the training step comes first."""
    plain = TrainingSettings()
    torch.manual_seed(0)
    x = torch.randn(plain.batch_size, plain.window_frames, spec.n_features)
    labels = torch.randint(10, (plain.batch_size,))
    kind = models.family("lstm").settings
    model = models.build("lstm", spec=spec, n_genres=10, settings=kind())
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    timed: dict[str, Callable[[], object]] = {
        "training step": step,
        "noise": lambda: add_noise(x, torch.ones(spec.n_features)),
        "mixup": lambda: mixup(x, alpha=0.2),
    }
    for name, strength in STRENGTHS.items():
        augment = FrameAugmentation(
            TrainingSettings(**{name: strength}), spec, torch.zeros(spec.n_features)
        )
        window = torch.randn(plain.batch_size, augment.source_frames, spec.n_features)
        timed[name] = lambda augment=augment, window=window: augment(window)
    return timed


def main() -> None:
    """Time all cases, and print a table for each kind of frames."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for spec in (FeatureSpec(), FeatureSpec(kind="log-mel")):
        timed = cases(spec)
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for call in timed.values():
            call()
        for _ in range(rounds):
            for name, call in timed.items():
                started = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started)
        steps = np.array(seconds.pop("training step"))
        print(f"{spec.describe()}: a training step takes {1e3 * np.median(steps):.1f} ms")
        for name, taken in seconds.items():
            share = float(np.median(np.array(taken) / steps))
            met = "" if share <= TARGET else f"  (target: {TARGET:.0%})"
            print(f"  {name:<11}{1e3 * np.median(taken):6.2f} ms {share:7.1%}{met}")


if __name__ == "__main__":
    main()
