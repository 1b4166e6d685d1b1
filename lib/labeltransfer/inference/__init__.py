"""The test step: labels and their covariances from spectra."""

from .label_fit import LabelFit, infer, starting_points

__all__ = ["LabelFit", "infer", "starting_points"]
