"""What stands below each figure on the page, and what is read aloud in its place."""

from __future__ import annotations

from ostinato.errors import joined
from ostinato.study.report.reading import (
    Results,
    accuracy,
    confidences,
    confused_pairs,
    confusion,
    examined,
    gap,
    genre_f1,
    label,
    parts,
    support,
)
from ostinato.study.report.words import (
    NOUNS,
    amount,
    percent,
    percent_span,
    points,
)

#: By figure, in the order of the page: heading, and how to read it.
CAPTIONS: dict[str, tuple[str, str]] = {
    "learning_curves": (
        "Learning curves",
        "All models share the axes. Solid lines are each epoch's own weights, in evaluation mode "
        "on unaugmented recordings, so training and validation can be compared; the tables are of "
        "the finished model. The dotted objective is what training minimised, on augmented "
        "recordings: its level is another.",
    ),
    "overfitting": (
        "Over-fitting",
        "Training, validation and test accuracy of the same weights. The shaded gap is training "
        "minus validation accuracy, its interval in brackets. A small gap is a merit only where "
        "validation accuracy is not lower.",
    ),
    "confusion": (
        "Confusion matrices",
        "Each row is one true genre; what is off the diagonal is an error. Numbers are means over "
        "the seeds, hence the decimals.",
    ),
    "genre_f1": (
        "Genres",
        "F1 is the harmonic mean of precision (how many of those called so are so) and recall (how "
        "many of those that are so were found). Genres are few recordings each: look at the spread "
        "of the dots.",
    ),
    "trust": (
        "Probabilities",
        "Temperature and thresholds are chosen on recordings other than those they are judged on "
        "here. Above the diagonal a model is right more often than it says, below it less often.",
    ),
    "confusions": (
        "Commonest errors",
        "How many recordings of one genre were taken for another, of those that it has in this "
        "part.",
    ),
}


def alternatives(results: Results) -> dict[str, str]:
    """Each figure's content in words, for those who do not see it."""
    part, models = examined(results), list(results["models"])
    on = f"on the {NOUNS[part]} part"
    names = joined([label(results, m) for m in models])
    ends = joined(
        [
            f"{label(results, m)} {points(results['models'][m]['gap_last_epoch']['mean'])}"
            for m in models
        ]
    )
    spread = "; ".join(
        f"{label(results, m)}: "
        + joined([f"{NOUNS[p]} {percent(accuracy(results, m, p).mean)}" for p in parts(results)])
        + f", gap {points(gap(results, m).mean)} points ({percent_span(gap(results, m))})"
        for m in models
    )
    right = joined(
        [f"{label(results, m)} {amount(float(confusion(results, m).trace()))}" for m in models]
    )
    n = sum(support(results, part).values())
    sure = confidences(results)
    scores = joined([f"{genre} {score:.2f}" for genre, score in genre_f1(results).items()])
    errors = joined(
        [f"{true} taken for {said} {amount(k)}" for true, said, k in confused_pairs(results, 12)]
    )
    return {
        "learning_curves": f"Loss and accuracy by epoch of {names}. Training minus validation "
        f"accuracy at the last epoch, in points: {ends}.",
        "overfitting": f"Accuracies with intervals. {spread}.",
        "confusion": f"Confusion matrices {on}. On the diagonal, of {n} recordings: {right}.",
        "genre_f1": f"F1 of each genre {on}, mean of the models, weakest first: {scores}.",
        "trust": "Expected calibration error after temperature: "
        + (joined([f"{label(results, m)} {own['after']['ece']:.3f}" for m, own in sure.items()])
           or "not judged")
        + ".",
        "confusions": f"Commonest errors {on}, mean recordings: {errors or 'none'}.",
    }  # fmt: skip
