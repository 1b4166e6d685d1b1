"""What the paper claims, and what our numbers, records of real data and other choices than the paper's say of it."""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
"""jsonschema would read the grammar of internet addresses with it, for two seconds; no schema here has an address."""

SURVEY_PARAMETERS = ("source", "survey_dir", "label_names", "n_overlap", "n_dr2", "n_apogee", "seed", "mask")
"""Parameters of a run that say which survey it has."""
