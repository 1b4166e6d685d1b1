"""The simulated overlap against the real one, and what the simulation assumes."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labeltransfer.mock import (
    ApogeeAccuracy,
    LamostAccuracy,
    SimulatedSurvey,
    apogee_table,
    assumptions,
    elements,
    facts,
    observing,
    pipelines,
    pointings,
    simulated_survey,
    sky,
    stars,
)
from labeltransfer.mock.facts import agree, mixture_percentile
from labeltransfer.mock.stars import population

SEEDS = (2017, 1, 2, 3, 4, 5)


@pytest.mark.slow
@pytest.mark.statistical
def test_overlaps_of_any_seed_agree_with_the_facts_of_the_real_one():
    """Their mean in every fact, so that agreement is no luck of one seed; single ones but for chance."""
    tables = [facts(SimulatedSurvey(n_overlap=11057, n_dr2=0, n_apogee=11057, seed=seed)) for seed in SEEDS]
    simulated = np.mean([table["simulated"] for table in tables], axis=0)
    first = tables[0]
    wrong = ~agree(np.asarray(first["real"]), simulated, np.asarray(first["tolerance"]))
    assert not wrong.any(), first[wrong]
    assert np.mean([table["agrees"] for table in tables]) > 0.99


@pytest.mark.statistical
def test_another_pipeline_does_not_agree_with_the_facts():
    """The comparison sees a squeeze of log g that is a quarter too weak, and a scatter a fifth too large."""
    ours = LamostAccuracy()
    slope = (ours.slope[0], 0.75 * ours.slope[1], ours.slope[2])
    noise, photon_noise = (tuple(1.2 * one for one in part) for part in (ours.noise, ours.photon_noise))
    others = {
        "slope": replace(ours, slope=slope),
        "about a line": replace(ours, noise=noise, photon_noise=photon_noise),
    }
    for ending, other in others.items():
        table = facts(SimulatedSurvey(n_overlap=11057, n_dr2=0, n_apogee=11057, lamost=other))
        assert any(name.endswith(ending) for name in table["quantity"][~table["agrees"]])


def test_real_percentiles_are_those_of_the_published_mixture():
    weights, means, covariances = population()
    rng = np.random.default_rng(0)
    part = rng.choice(len(weights), 100_000, p=weights)
    drawn = means[part, 1] + np.sqrt(covariances[part, 1, 1]) * rng.standard_normal(part.size)
    assert abs(np.mean(drawn < mixture_percentile(1, 16)) - 0.16) < 0.004


def test_every_assumption_says_unit_meaning_and_source():
    table = assumptions()
    assert (table["meaning"] != "").all()
    annotated = ~np.isin(table["where"], ["detector", "lamost_instrument"])
    assert (table["source"][annotated] != "").all()
    rows = {(row["where"], row["name"]): row for row in table}
    assert len(rows) == len(table)
    assert rows["SimulatedSurvey", "error_factor"]["value"] == "1.73"
    assert rows["observing", "BROADENING"]["unit"] == "pixels²"
    assert rows["ApogeeAccuracy", "cool_teff"]["value"] == f"{ApogeeAccuracy().cool_teff:.6g}"
    assert rows["stars", "VELOCITY_SPREAD"]["value"] == "disk 45, α-rich 75, halo 120"


FACTS_NOT_ASSUMED = {
    "LATITUDE_EDGES",
    "TO_GALACTIC",
    "FIBRES",
    "SPECTROGRAPHS",
    "FIRST_NIGHT",
    "N_UNIFORMS",
    "N_DETAILS",
    "BLOCK",
    "MOST_STARS",
    "ORIGIN",
    "UNIT",
    "ELEMENTS",
    "READ_COLUMNS",
}


@pytest.mark.parametrize(
    "module", [stars, elements, sky, pointings, observing, apogee_table, pipelines, simulated_survey]
)
def test_no_number_of_the_simulation_is_without_its_source(module):
    listed = {row["name"] for row in assumptions()}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
            numbers = {name for name in names if not isinstance(getattr(module, name), str | Path)}
            assert numbers <= listed | FACTS_NOT_ASSUMED, module.__name__
