"""A book of three small chapters, for tests of the machinery: seconds instead of minutes."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

HEAD = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

INDEX = """\
# A small book

A page without code; the first chapter found {glue:text}`01_stars.md::n_stars:s` stars.
See [the second](02_mean.md).
"""

STARS = """
# 1 · Stars

There are {glue:text}`n_stars` stars, of which the paper has {glue:text}`paper_overlap`.

```{code-cell} ipython3
:tags: [parameters, hide-input]

run: str = "default"
n_overlap: int = 100
seed: int = 2017
```

```{code-cell} ipython3
:tags: [hide-input]

import numpy as np
from labeltransfer.reproduction import open_chapter

chapter = open_chapter("01_stars", globals())
chapter.paper_claims()
```

```{code-cell} ipython3
values = chapter.rng("values").normal(size=chapter.parameters.n_overlap)
chapter.save("values", {"values": values})
chapter.number("n_stars", len(values), "", ",d")
chapter.number("nothing", np.nan, "K")
```

```{code-cell} ipython3
:tags: [nbval-check-output]

chapter.key_numbers("n_stars", "nothing")
```

```{code-cell} ipython3
:tags: [remove-input]

chapter.finish()
```
"""

MEAN = """
# 2 · Mean

```{code-cell} ipython3
:tags: [parameters, hide-input]

run: str = "default"
n_overlap: int = 100
clip_sigma: float = 4.0
seed: int = 2017
```

```{code-cell} ipython3
:tags: [hide-input]

import matplotlib.pyplot as plt
from labeltransfer.reproduction import open_chapter

chapter = open_chapter("02_mean", globals())
values = chapter.load("values")["values"]
kept = values[abs(values) < chapter.parameters.clip_sigma]
chapter.number("mean", kept.mean(), "K", ".3f")
chapter.timing("train_seconds", 1.0)
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  image:
    alt: Histogram of the values.
  figure:
    caption: The values.
    name: fig-values
---
plt.hist(values);
```

The mean is {glue:text}`mean` K ({numref}`fig-values`); $x = 1$.

```{code-cell} ipython3
:tags: [nbval-check-output]

chapter.key_numbers("mean")
```

```{code-cell} ipython3
:tags: [remove-input]

chapter.finish()
chapter.verdicts()
```
"""

LEDGER = """
# Ledger

```{code-cell} ipython3
:tags: [parameters, hide-input]

run: str = "default"
n_overlap: int = 100
clip_sigma: float = 4.0
seed: int = 2017
```

```{code-cell} ipython3
:tags: [nbval-check-output]

from labeltransfer.reproduction import open_chapter

chapter = open_chapter("03_ledger", globals())
ledger = chapter.ledger()
chapter.number("n_claims", len(ledger.rows), "", "d")
chapter.key_numbers("n_claims")
```

```{code-cell} ipython3
:tags: [remove-input]

ledger.write()
chapter.finish()
ledger
```
"""

TOC = """\
format: jb-book
root: book/index
parts:
  - caption: All
    chapters:
      - file: book/01_stars
      - file: book/02_mean
      - file: book/03_ledger
"""

CONFIG = """\
title: A small book
only_build_toc_files: true
exclude_patterns: ["book/**.ipynb"]
execute: {execute_notebooks: cache, allow_errors: false, raise_on_error: true, stderr_output: remove-warn}
html: {use_edit_page_button: false}
sphinx:
  extra_extensions: [labeltransfer.reproduction.sphinx_extension]
  config:
    include_patterns: ["book/**"]
    suppress_warnings: []
"""


def write_book(folder: Path) -> Path:
    """Write the small book into a folder and return it."""
    pages = folder / "book"
    pages.mkdir(parents=True)
    (folder / "_toc.yml").write_text(dedent(TOC), encoding="utf-8")
    (folder / "_config.yml").write_text(CONFIG, encoding="utf-8")
    (pages / "index.md").write_text(INDEX, encoding="utf-8")
    for name, text in {"01_stars": STARS, "02_mean": MEAN, "03_ledger": LEDGER}.items():
        (pages / f"{name}.md").write_text(HEAD + text, encoding="utf-8")
    return folder


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """As on a full disk: no file of this process may become larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
