"""What each kernel of a convolution can run, and where another one is faster.

A rule takes a spec and returns None, or the reason why not as text, which ``explain`` prints. Rules
named ``…_only`` say what a kernel cannot run; ``…_slow`` what another one does better. Thresholds
stand beside the figures that made them.
"""

from fastconv.planner.rules.base import Rule, Spec, never
from fastconv.planner.rules.direct import direct_only, direct_slow
from fastconv.planner.rules.flat import flat_only, flat_slow
from fastconv.planner.rules.grouped import depthwise_only, grouped_only, grouped_slow
from fastconv.planner.rules.scatter import scatter_only, scatter_slow
from fastconv.planner.rules.whole import whole_only, whole_slow
from fastconv.planner.rules.winograd import winograd_only, winograd_slow, winograd_weight_only

__all__ = [
    "Rule",
    "Spec",
    "depthwise_only",
    "direct_only",
    "direct_slow",
    "flat_only",
    "flat_slow",
    "grouped_only",
    "grouped_slow",
    "never",
    "scatter_only",
    "scatter_slow",
    "whole_only",
    "whole_slow",
    "winograd_only",
    "winograd_slow",
    "winograd_weight_only",
]
