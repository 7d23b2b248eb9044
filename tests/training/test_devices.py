"""One training over two processes learns what one process learns from the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: Its model is plain: batch normalisation would see a part of the batch in each process.
SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from ostinato.models import GenreModel
from ostinato.models.layers.normalisation import FrameNormalisation
from ostinato.training.fit import fit
from ostinato.training.tracks import Tracks
from tests.helpers.toy import QUICK, toy_corpus

class Plain(GenreModel):
    def __init__(self):
        super().__init__()
        self.normalise = FrameNormalisation(4)
        self.layer = torch.nn.LSTM(4, 6, batch_first=True)
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layer(self.normalise(x))[0].mean(dim=1))

folder, devices = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
torch.manual_seed(1)
corpus, model = toy_corpus(per_genre=9), Plain()  # batches of 7 and 6 windows
train, valid = (Tracks.of(corpus, ids) for ids in (corpus.ids[::2], corpus.ids[1::2]))
curves, last = fit(
    model, train=train, valid=valid, seed=3, folder=folder / "run", devices=devices,
    settings=replace(QUICK, mixup=0.2, noise=0.1, learning_rate=0.02),
)
spread = torch.distributed.is_initialized()
here = torch.distributed
rank, world = (here.get_rank(), here.get_world_size()) if spread else (0, 1)
weights = {name: value.tolist() for name, value in model.state_dict().items()}
found = {"world": world, "curves": curves, "weights": weights}
(folder / f"{rank}.json").write_text(json.dumps(found))
"""


def trained(folder: Path, *, processes: int) -> list[dict]:
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    path = os.pathsep.join(filter(None, [*sys.path, str(Path.cwd())]))
    done = subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), folder / "script.py", folder,
         str(processes)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
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
