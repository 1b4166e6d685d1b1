"""The quadratic spectral model and its training: eqs. 3-6."""

from .model import CannonModel
from .training import coefficient_variance, train, train_subsets

__all__ = ["CannonModel", "coefficient_variance", "train", "train_subsets"]
