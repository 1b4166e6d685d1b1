"""The road from spectra to a catalogue, at any size: blocks are normalized, labelled, kept in parts, and joined."""

from .labelled import Labelled
from .road import infer_survey, label_survey, normalized

__all__ = ["Labelled", "infer_survey", "label_survey", "normalized"]
