"""The quadratic spectral model and its training: eqs. 3-6."""

from .model import CannonModel
from .training import train, train_subsets
from .uncertainty import coefficient_variance

__all__ = ["CannonModel", "coefficient_variance", "train", "train_subsets"]
