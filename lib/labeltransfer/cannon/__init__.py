"""The quadratic spectral model and its training: eqs. 3-6."""

from .model import CannonModel
from .training import train, train_subsets

__all__ = ["CannonModel", "train", "train_subsets"]
