"""``predictions.csv`` of a study: what every model says of every recording that is judged."""

from __future__ import annotations

import csv
import io

from ostinato.datasets import Corpus
from ostinato.datasets.splits import Split
from ostinato.study.results.pool import Verdicts

PREDICTIONS = "predictions.csv"
FACTS = ("recording", "artist", "part", "genre", "model", "seed", "fold")


def predictions_csv(corpus: Corpus, split: Split, verdicts: Verdicts) -> str:
    """One row a recording, part (valid, test), model, seed and fold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FACTS, *corpus.genres])
    for name, seeds in verdicts.items():
        for seed, folds in enumerate(seeds):
            for k, (fold, probabilities) in enumerate(zip(split.folds, folds, strict=True)):
                for part in (p for p in ("valid", "test") if p in probabilities):
                    where = corpus.positions(fold.part(part))
                    for i, row in zip(where, probabilities[part], strict=True):
                        r = corpus.recordings[i]
                        facts = [r.id, corpus.artists[i] or "", part, r.genre, name, seed, k]
                        writer.writerow([*facts, *(f"{p:.6g}" for p in row)])
    return text.getvalue()
