"""The device that networks are trained on."""

from __future__ import annotations

import torch

from ostinato.errors import UsageError, joined, near

ACCELERATORS = ("cpu", "gpu", "cuda", "mps", "auto")
"""What can be asked for: the processor; a GPU of any kind, NVIDIA's or Apple's; the best found."""


def training_device(accelerator: str) -> str:
    """The device to train on, in Lightning's words: ``"cpu"``, ``"cuda"`` or ``"mps"``.

    UsageError if there is no such accelerator, or PyTorch does not find it on this machine.
    """
    if accelerator not in ACCELERATORS:
        raise UsageError(
            f"Expected an --accelerator of {', '.join(ACCELERATORS)}; got '{accelerator}'"
            + near(accelerator, ACCELERATORS)
        )
    is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = [name for name, there in is_there.items() if there]
    if accelerator in ("cpu", *found):
        return accelerator
    if accelerator in ("gpu", "auto") and found:
        return found[0]
    if accelerator == "auto":
        return "cpu"
    built = "" if torch.version.cuda else ", a build for processors alone,"
    raise UsageError(
        f"--accelerator {accelerator}: expected a GPU, but PyTorch {torch.__version__}{built} "
        f"finds {joined(found) or 'none'}; leave the option out to train on the processor."
    )
