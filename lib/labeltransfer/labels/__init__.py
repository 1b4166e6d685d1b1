"""What a label is, tables of labels, and where labels stand in other people's tables.

A label is any number that describes a star and is transferred from one survey to another (Ho et al. 2017, section 1).
Values and covariances are always in the physical units that `LABELS` spells out.
"""

from .columns import LabelColumns, label_column, label_values, labels_in, read_labels, usable_labels
from .labels import Labels, Rows, frozen, identifiers, several
from .registry import LABELS, PAPER_LABELS, Label, NamesLabels, check_names, register_label, usual_columns

__all__ = [
    "LABELS", "PAPER_LABELS", "Label", "LabelColumns", "Labels", "NamesLabels", "Rows", "check_names", "frozen",
    "identifiers", "label_column", "label_values", "labels_in", "read_labels", "register_label", "several",
    "usable_labels", "usual_columns",
]  # fmt: skip
