"""One training over two processes learns what one process learns from the same batches."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ostinato.models import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.training.fit import fit
from ostinato.training.tracks import Tracks
from tests.helpers.forked import forked
from tests.helpers.toy import QUICK, toy_corpus


class Plain(GenreModel):
    """Without batch normalisation, which would see a part of the batch in each process."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = FrameNormalisation(4)
        self.layer = torch.nn.LSTM(4, 6, batch_first=True)
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.normalise(x))[0].mean(dim=1))


def train_and_tell(folder: Path, devices: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    corpus, model = toy_corpus(per_genre=9), Plain()  # batches of 7 and 6 windows
    train, valid = (Tracks.of(corpus, ids) for ids in (corpus.ids[::2], corpus.ids[1::2]))
    curves, _ = fit(
        model, train=train, valid=valid, seed=3, folder=folder / "run", devices=devices,
        settings=replace(QUICK, mixup=0.2, noise=0.1, learning_rate=0.02),
    )  # fmt: skip
    here = torch.distributed
    rank, world = (here.get_rank(), here.get_world_size()) if here.is_initialized() else (0, 1)
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    found = {"world": world, "curves": curves, "weights": weights}
    (folder / f"{rank}.json").write_text(json.dumps(found))


def trained(folder: Path, *, processes: int) -> list[dict]:
    """Train in this process, or in several that are started as torchrun starts them."""
    folder.mkdir()
    if processes == 1:
        train_and_tell(folder, 1)
    else:
        forked()
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, start_method="forkserver",
            rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="test",
        )  # fmt: skip
        elastic_launch(config, train_and_tell)(folder, processes)
    return [json.loads((folder / f"{i}.json").read_text()) for i in range(processes)]


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and torchrun are of Linux and macOS")
def test_two_processes_have_the_loss_of_one_with_the_whole_batch(tmp_path) -> None:
    (one,) = trained(tmp_path / "one", processes=1)
    two = trained(tmp_path / "two", processes=2)
    assert [one["world"], *(found["world"] for found in two)] == [1, 2, 2]
    assert one["curves"]["objective"][-1] < one["curves"]["objective"][0]
    for found in two:
        for name in ("objective", "train_loss", "valid_loss", "gradient_1"):
            pairs = zip(one["curves"][name], found["curves"][name], strict=True)
            known = [(a, b) for a, b in pairs if a is not None]
            assert known
            np.testing.assert_allclose(*zip(*known, strict=True), rtol=1e-4)
        for name, value in one["weights"].items():
            np.testing.assert_allclose(found["weights"][name], value, rtol=1e-3, atol=1e-5)
    names = [{p.name for p in (tmp_path / way / "run").iterdir()} for way in ("one", "two")]
    assert names[0] == names[1] == {"curves.csv", "last.ckpt"}
