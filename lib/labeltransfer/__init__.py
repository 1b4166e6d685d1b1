"""Label transfer between spectroscopic surveys with The Cannon (Ho et al. 2017; Ness et al. 2015)."""

from .labels import LABELS, PAPER_LABELS, Label, Labels, register_label
from .spectra import Spectra

__all__ = ["LABELS", "PAPER_LABELS", "Label", "Labels", "Spectra", "register_label"]
