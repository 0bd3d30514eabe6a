"""The table of both divergences: medians, noise, and who has a row."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reports import runs, tables_of_divergences
from reports.records import Folder, open_folder


@pytest.fixture
def known(empty: Folder, filled: Callable[..., Folder], tmp_path: Path) -> Folder:
    """KL(q || p) is 0.1 times the seed, within a noise of 0.3; KL(p || q) is known of one seed; nuts has values too."""
    filled(empty, ["banana"], ["laplace", "cavi", "nuts"], seeds=3)
    folder = open_folder(tmp_path / "known", create=True)
    for cell, curves, _ in empty.read_all():
        n, has = len(curves["work"]), cell["method"] != "cavi"
        columns = {
            "kl_reverse": 0.1 * cell["seed"] if has else math.nan,
            "kl_reverse_reference_floor": 0.3,
            "kl_reverse_sampling_floor": 0.02,
            "kl_forward": 2.0 if has and cell["seed"] == 1 else math.nan,
            "kl_forward_reference_floor": math.nan,
            "kl_forward_sampling_floor": 0.0,
        }
        folder.write(cell, {**curves, **{name: np.full(n, value) for name, value in columns.items()}}, {})
    return folder


def test_fits_with_a_density_have_a_row_with_medians_and_noise(known: Folder) -> None:
    section = tables_of_divergences.section(runs.read(known.cells(), known.curves(), known.quantities()))
    assert section is not None
    (row,) = section.numbers  # cavi has no divergence, and a sampler has no density
    assert row["method"] == "laplace" and row["runs"] == 3
    seeds = sorted(cell["seed"] for cell in known.cells().to_dict("records") if cell["method"] == "laplace")
    assert row["kl_reverse"] == pytest.approx(0.1 * seeds[1])
    assert row["kl_reverse_noise"] == 0.3
    assert (row["kl_forward"], row["kl_forward_noise"]) == (2.0, 0.0)
    assert "KL(p || q)" in section.markdown().replace("\\", "")


def test_where_nothing_has_a_density_there_is_no_table(empty: Folder, filled: Callable[..., Folder]) -> None:
    filled(empty, ["banana"], ["nuts"], seeds=1)
    assert tables_of_divergences.section(runs.read(empty.cells(), empty.curves(), empty.quantities())) is None
