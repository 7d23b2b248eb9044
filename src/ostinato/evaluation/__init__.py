"""Says how good a model is, how sure it is, and whether two models differ.

Pure functions on arrays; every module states its references and conventions first, then its
functions, and ``evaluate()`` where all of them are wanted at once. Import the modules by name
(``from ostinato.evaluation import metrics``). Which statistic answers which question is in
``docs/reference/statistics.md``.
"""

from ostinato.evaluation.probabilities import apply_temperature, pool_windows, sigmoid, softmax

__all__ = ["apply_temperature", "pool_windows", "sigmoid", "softmax"]
