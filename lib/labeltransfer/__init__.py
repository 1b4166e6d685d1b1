"""Label transfer between spectroscopic surveys with The Cannon (Ho et al. 2017; Ness et al. 2015).

The rooms in the order in which data flow: `labels` and `spectra` are the nouns, `lamost` and `apogee` read the
surveys, `mock` simulates them, `archive` says where a survey's files come from, `continuum` normalizes, `reference`
chooses the stars to train on, `cannon` makes the model, `inference` applies it, `validation`, `fisher` and
`diagnostics` check it, `survey` takes it to millions of stars, `catalogue` writes what came out, `figures` draws it;
`transfer` goes the whole way at once. A room is imported when it is first used; the names are listed in
``__init__.pyi``.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
