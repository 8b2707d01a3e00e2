"""The paired test over clips that two methods have in common."""

import numpy as np


def signed_rank(differences: np.ndarray) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test (exact for small samples without
    ties); 1 if nothing differs, ``None`` for fewer than two pairs.
    """
    from scipy.stats import wilcoxon

    differences = np.asarray(differences, float)
    if len(differences) < 2:
        return None
    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences).pvalue)
