"""Training: data in memory, augmentation, the fit."""
