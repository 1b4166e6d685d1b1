"""From spectra with labels to a catalogue of labels in two steps, for people who only want labels.

transfer = lt.learn(spectra, labels)
catalogue = transfer.label(other_spectra)
transfer.write("model.npz")
"""

from .comparison import compare_recipes
from .label_transfer import LabelTransfer
from .learning import learn

__all__ = ["LabelTransfer", "compare_recipes", "learn"]
