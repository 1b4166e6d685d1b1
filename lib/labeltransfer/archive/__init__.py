"""Where a survey comes from: simulated, a folder of files, a store of spectra, the archives of LAMOST and APOGEE."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
