"""Statistics of samples: pure functions of arrays that know no word of machine learning.

| question | function |
|---|---|
| what is typical, whatever the outliers? | `interquartile_mean` |
| how sure is an estimate? | `mean_interval` (t), `bootstrap_interval` (of any statistic) |
| are paired differences beyond a margin? | `shift` |
| are they within it? | `equivalence` |
| is a mean beyond another's, without pairs? | `welch` |
| has a share grown? | `excess_share` |
| do values tend to be larger? | `larger` |
| how many pairs does an effect take? | `pairs_needed` |
| how small an effect do n pairs see? | `smallest_effect` |
"""

from __future__ import annotations

from dlbench.statistics.intervals import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    mean_interval,
)
from dlbench.statistics.paired import equivalence, shift
from dlbench.statistics.result import Test
from dlbench.statistics.sizes import pairs_needed, smallest_effect
from dlbench.statistics.unpaired import excess_share, larger, welch

__all__ = [
    "Interval",
    "Test",
    "bootstrap_interval",
    "equivalence",
    "excess_share",
    "interquartile_mean",
    "larger",
    "mean_interval",
    "pairs_needed",
    "shift",
    "smallest_effect",
    "welch",
]
