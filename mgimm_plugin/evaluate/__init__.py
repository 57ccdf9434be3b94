"""From records and a predictor to predictions, scores and a report."""

from mgimm_plugin.evaluate.report import Run, write_report
from mgimm_plugin.evaluate.runner import evaluate

__all__ = ["Run", "evaluate", "write_report"]
