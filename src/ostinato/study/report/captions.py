"""The caption of each figure on the page, and its text alternative."""

from __future__ import annotations

import numpy as np

from ostinato.errors import joined
from ostinato.study.report.reading import confused_pairs, genre_f1, kind, support
from ostinato.study.report.words import NOUNS, amount, percent, percent_span, points
from ostinato.study.results.schema import StudyResults

#: By figure, in the order of the page: heading, and how to read it.
CAPTIONS: dict[str, tuple[str, str]] = {
    "learning_curves": (
        "Learning curves",
        "All models share the axes. Solid lines are each epoch's own weights, in evaluation mode "
        "on unaugmented recordings, so training and validation can be compared; the tables show "
        "the finished model. The dotted objective is what training minimised, on augmented "
        "recordings: its level cannot be compared with the others.",
    ),
    "overfitting": (
        "Over-fitting",
        "Training, validation and test accuracy of the same weights. The shaded gap is training "
        "minus validation accuracy, its interval in brackets. A small gap is a merit only where "
        "validation accuracy is not lower.",
    ),
    "confusion": (
        "Confusion matrices",
        "Each row is one true genre; counts off the diagonal are errors. Numbers are means over "
        "the seeds, hence the decimals.",
    ),
    "genre_f1": (
        "Genres",
        "F1 is the harmonic mean of precision (the share right of the recordings given this genre) "
        "and recall (the share found of the recordings of this genre). Each genre has few "
        "recordings: look at the spread of the dots.",
    ),
    "trust": (
        "Probabilities",
        "Temperature and thresholds are chosen on other recordings than those they are judged on "
        "here. Above the diagonal a model is right more often than it says, below it less often.",
    ),
    "confusions": (
        "Commonest errors",
        "How many recordings of one genre were taken for another, of those that the genre has in "
        "this part.",
    ),
}


def alternatives(results: StudyResults) -> dict[str, str]:
    """Each figure's content in words, for those who do not see it."""
    part, models = results.examined, results.models.values()
    on = f"on the {NOUNS[part]} part"
    names = joined([m.label for m in models])
    ends = joined([f"{m.label} {points(m.gap_last_epoch.mean)}" for m in models])
    spread = "; ".join(
        f"{m.label}: "
        + joined([f"{NOUNS[p]} {percent(m.accuracy(p).mean)}" for p in results.parts])
        + f", gap {points(m.gap.mean)} points ({percent_span(m.gap)})"
        for m in models
    )
    right = joined([f"{m.label} {amount(float(np.trace(m.confusion[part])))}" for m in models])
    n = sum(support(results, part).values())
    sure = joined([f"{m.label} {m.confidence.after.ece:.3f}" for m in models if m.confidence])
    scores = joined([f"{genre} {score:.2f}" for genre, score in genre_f1(results).items()])
    errors = joined(
        [f"{true} taken for {said} {amount(k)}" for true, said, k in confused_pairs(results, 12)]
    )
    return {
        "learning_curves": f"Loss and accuracy by epoch of {names}. Training minus validation "
        f"accuracy at the last epoch, in points: {ends}.",
        "overfitting": f"Accuracies ({kind(results)}). {spread}.",
        "confusion": f"Confusion matrices {on}. On the diagonal, of {n} recordings: {right}.",
        "genre_f1": f"F1 of each genre {on}, mean of the models, weakest first: {scores}.",
        "trust": f"Expected calibration error after temperature: {sure or 'not judged'}.",
        "confusions": f"Commonest errors {on}, mean recordings: {errors or 'none'}.",
    }
