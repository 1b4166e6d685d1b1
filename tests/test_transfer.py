import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from labeltransfer import catalogue
from labeltransfer.archive import open_survey
from labeltransfer.mock import SimulatedSurvey, write_survey
from labeltransfer.reproduction.command import main
from labeltransfer.transfer import LabelTransfer, label_files, learn
from lamost_files import real_spectra

NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    survey = SimulatedSurvey(n_overlap=120, n_dr2=10, n_apogee=200, seed=8)
    return write_survey(survey, tmp_path_factory.mktemp("survey") / "new", progress=False)


@pytest.fixture(scope="module")
def transfer(folder):
    return learn(open_survey("folder", folder, NAMES, progress=False), rng=np.random.default_rng(1), recipe="paper")


def test_a_survey_is_learnt(transfer):
    assert transfer.model.label_names == NAMES
    assert transfer.simulated
    assert 80 < len(transfer.reference_labels) == transfer.counts["reference stars"] <= 120
    assert repr(transfer).startswith("LabelTransfer(teff, logg, fe_h; recipe paper; trained on")


def test_what_was_learnt_survives_the_file(transfer, folder, tmp_path):
    transfer.write(tmp_path / "model.npz")
    again = LabelTransfer.read(tmp_path / "model.npz")
    files = sorted(folder.rglob("spec-*.fits"))[:20]
    first, second = (label_files(one, files, progress=False).catalogue for one in (transfer, again))
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert again.counts == transfer.counts
    assert (again.width, again.convention, again.mask) == (50.0, "paper", "none")


def test_labels_come_back_near_the_truth(transfer, folder):
    overlap = open_survey("folder", folder, NAMES, progress=False).overlap()
    labelled = label_files(transfer, [folder / "spectra"], progress=False)
    table = labelled.catalogue
    place = {name: row for row, name in enumerate(table["id"])}
    rows = [place[name] for name in overlap.truth.ids]
    good = np.asarray(table["converged"])[rows]
    assert good.mean() > 0.9
    for name, limit in zip(NAMES, (120, 0.35, 0.2), strict=True):
        residual = (np.asarray(table[name])[rows] - overlap.truth.column(name))[good]
        assert np.median(np.abs(residual)) < limit


def test_blocks_change_nothing_and_every_file_is_accounted_for(transfer, folder, tmp_path):
    target = tmp_path / "spectra"
    target.mkdir()
    for path in sorted(folder.rglob("spec-*.fits"))[:25]:
        shutil.copy(path, target)
    (target / "copy").mkdir()
    files = sorted(target.glob("*.fits"))
    shutil.copy(files[3], target / "copy")
    files[7].write_bytes(b"broken")
    whole = label_files(transfer, [target], progress=False)
    parts = label_files(transfer, [target], block_size=4, progress=False)
    assert len(whole.catalogue) == len(parts.catalogue) == 24
    assert len(whole.unreadable) == len(parts.unreadable) == 2
    assert whole.catalogue["id"].tolist() == parts.catalogue["id"].tolist()
    np.testing.assert_allclose(whole.catalogue["teff"], parts.catalogue["teff"], rtol=1e-5)
    assert "24 stars" in repr(whole)
    assert "2 unreadable files" in repr(whole)


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_a_run_kept_in_parts_goes_on_where_it_stopped(transfer, folder, tmp_path, monkeypatch, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(catalogue, "best_format", lambda: suffix)
    files = [*sorted(folder.rglob("spec-*.fits"))[:11], tmp_path / "absent.fits", tmp_path / "absent too.fits"]
    options = {"parts": tmp_path / "parts", "block_size": 3, "progress": False}
    plain = label_files(transfer, files, block_size=3, progress=False)
    whole = label_files(transfer, files, **options)
    parts = sorted((tmp_path / "parts").glob(f"part-*{suffix}"))
    assert len(parts) == 4
    written = parts[3].stat().st_mtime_ns
    (tmp_path / "parts" / "part-00001.json").unlink()
    parts[0].write_bytes(parts[0].read_bytes()[:900])
    parts[2].unlink()
    again = label_files(transfer, files, **options)
    assert parts[3].stat().st_mtime_ns == written
    for other in (whole, again):
        assert other.unreadable == plain.unreadable
        assert other.catalogue.colnames == plain.catalogue.colnames
        for name in plain.catalogue.colnames:
            np.testing.assert_array_equal(other.catalogue[name], plain.catalogue[name], err_msg=name)
            assert str(other.catalogue[name].unit) == str(plain.catalogue[name].unit)
    with pytest.raises(ValueError, match=r"holds parts of another run \(different: files\)"):
        label_files(transfer, files[:10], **options)


def test_the_catalogue_says_where_it_comes_from(transfer, folder, tmp_path):
    labelled = label_files(transfer, sorted(folder.rglob("spec-*.fits"))[:5], progress=False)
    catalogue.write(labelled.catalogue, tmp_path / "labels.fits")
    table = catalogue.read(tmp_path / "labels.fits")
    facts = json.loads(table.meta["PROVENAN"])
    assert facts["training_hash"] == transfer.model.training_hash
    assert facts["simulated"] is True
    assert {"ra", "snr", "label_distance", "cov_teff_logg", "converged"} <= set(table.colnames)


def test_the_mask_of_the_survey_is_applied_to_the_files(folder):
    transfer = learn(open_survey("folder", folder, NAMES, mask="or", progress=False), recipe="paper")
    assert transfer.mask == "or"
    files = sorted(folder.rglob("spec-*.fits"))[:5]
    plain = label_files(replace(transfer, mask="none"), files, progress=False).catalogue
    assert (label_files(transfer, files, progress=False).catalogue["n_pixels"] <= plain["n_pixels"]).all()


def test_nothing_to_label(transfer, tmp_path):
    with pytest.raises(ValueError, match="found no spectra, wanted LAMOST files"):
        label_files(transfer, [tmp_path], progress=False)
    (tmp_path / "a.fits").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"none of 1 files could be read; .*a.fits: not a FITS file"):
        label_files(transfer, [tmp_path / "a.fits"], progress=False)


def test_too_few_stars_to_learn_from(folder):
    survey = open_survey("folder", folder, NAMES, progress=False)
    with pytest.raises(ValueError, match=r": found \d+ stars with spectra and good labels, wanted 100000 or"):
        learn(survey, rng=np.random.default_rng(1), n_starts=100_000)


def test_real_giants_are_learnt_and_labelled():
    folder = real_spectra() / "lamost_dr10_giants"
    if not folder.exists():
        pytest.skip("no real LAMOST spectra at hand (LABELTRANSFER_REAL_SPECTRA)")
    transfer = learn(open_survey("folder", folder, NAMES, progress=False), rng=np.random.default_rng(1))
    labelled = label_files(transfer, [folder], progress=False)
    assert len(labelled.catalogue) == 80
    assert not transfer.simulated
    pipeline = open_survey("folder", folder, NAMES, progress=False).overlap().labels
    residual = labelled.catalogue["teff"] - pipeline.column("teff")
    assert np.nanmedian(np.abs(residual)) < 100


# --- from the shell


def test_train_and_infer_from_the_shell(folder, tmp_path, capsys):
    model, labels = tmp_path / "model.npz", tmp_path / "labels.fits"
    assert main(["train", str(folder), "-o", str(model), "--label-names", "teff,logg"]) == 0
    assert "reference stars" in capsys.readouterr().out
    files = [str(path) for path in sorted(folder.rglob("spec-*.fits"))[:6]]
    broken = tmp_path / "spec-broken.fits"
    broken.write_bytes(b"no FITS")
    assert main(["infer", str(model), *files, str(broken), "-o", str(labels)]) == 0
    captured = capsys.readouterr()
    assert f"not read: {broken}: not a FITS file" in captured.err
    assert "6 stars labelled" in captured.out
    assert "1 files not read" in captured.out
    table = catalogue.read(labels)
    assert len(table) == 6
    assert {"teff", "logg", "teff_err", "cov_teff_logg"} <= set(table.colnames)
    assert "fe_h" not in table.colnames


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "-o", "m.npz"], "nowhere: no such folder"),
        (["train", "nowhere", "-o", "m.pkl"], "found suffix '.pkl', wanted .npz"),
        (["infer", "m.npz", "a.fits", "-o", "x.doc"], "found suffix '.doc', wanted one of .fits"),
        (["infer", "m.npz", "a.fits", "-o", "x.fits"], "m.npz: no such file; wanted a LabelTransfer"),
    ],
)
def test_the_shell_is_told_what_is_wrong(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
