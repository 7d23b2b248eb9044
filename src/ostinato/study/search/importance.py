"""The figure of a search: how much each setting matters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ostinato.plotting import place, save, style, titled

#: Settings in the figure: the first of all.
SHOWN = 15


def draw_importances(
    importances: Mapping[str, float], path: Path, *, objective: str, n_trials: int
) -> Path | None:
    """Draw the share of each setting as bars, the largest first; None where there is none.

    MissingExtraError if matplotlib is not installed.
    """
    shown = sorted(importances.items(), key=lambda item: -item[1])[:SHOWN]
    if not shown:
        path.unlink(missing_ok=True)
        return None
    names, shares = [name for name, _ in shown], [100 * share for _, share in shown]
    with style("The figure of a search", names):
        height = 0.32 * len(shown) + 0.6
        figure = titled(
            "What matters",
            f"Importance of each setting for the {objective}, by {n_trials} complete trials "
            "(PED-ANOVA).",
            width=7.5, height=height,
        )  # fmt: skip
        axes = place(figure, 3.0, 0.5, 7.1, height - 0.05)
        places = range(len(shown))
        axes.barh(places, shares, color="#0072B2", height=0.7)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel("share, %")
        axes.grid(axis="x")
        for y, share in zip(places, shares, strict=True):
            axes.annotate(
                f"{share:.0f}", (share, y), (4, 0), textcoords="offset points", va="center"
            )
        return save(figure, path)
