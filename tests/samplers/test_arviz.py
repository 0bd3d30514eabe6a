"""The export to ArviZ: its schema, names, shapes and numbers."""

import sys

import numpy as np
import pytest

import samplers
import targets
from samplers.draws import Draws

arviz_base = pytest.importorskip("arviz_base")
STATS = {"lp", "energy", "acceptance_rate", "step_size", "n_steps", "tree_depth", "diverging"}


@pytest.fixture(scope="module")
def draws() -> Draws:
    return samplers.sample("eight_schools", num_samples=300, num_warmup=150, num_chains=2, seed=4)


def test_groups_variables_and_dimensions_are_those_of_the_schema(draws: Draws) -> None:
    tree = draws.to_arviz()
    usual = {"posterior", "unconstrained_posterior", "sample_stats"}
    assert set(tree.children) == usual | {f"warmup_{group}" for group in usual}
    posterior = tree["posterior"].dataset
    assert dict(posterior.sizes) == {"chain": 2, "draw": 300, "theta_dim_0": 8}
    assert posterior["theta"].dims == ("chain", "draw", "theta_dim_0")
    assert posterior["theta_dim_0"].values.tolist() == list(range(1, 9))
    assert set(posterior) == {"mu", "tau", "theta"}
    assert set(tree["unconstrained_posterior"].dataset) == {"mu", "log_tau", "raw"}
    stats = tree["sample_stats"].dataset
    assert set(stats) == STATS
    assert stats["diverging"].dtype == bool
    assert stats["tree_depth"].dtype == np.int64
    assert tree["warmup_posterior"].dataset.sizes["draw"] == 150
    assert tree["warmup_sample_stats"].dataset.sizes["draw"] == 150
    assert not any(group.startswith("warmup") for group in draws.to_arviz(save_warmup=False).children)


def test_numbers_are_those_of_the_draws(draws: Draws) -> None:
    tree = draws.to_arviz()
    assert np.array_equal(tree["posterior"]["theta"].values, draws["theta"])
    assert np.array_equal(tree["posterior"]["tau"].sel(chain=1).values, draws["tau"][1])
    assert np.array_equal(tree["unconstrained_posterior"]["log_tau"].values, draws.values[..., 1])
    assert np.array_equal(tree["sample_stats"]["lp"].values, draws.stats["lp"])
    assert tree["sample_stats"]["diverging"].values.sum() == draws.divergences
    assert draws.warmup is not None
    assert np.array_equal(tree["warmup_posterior"]["mu"].values, draws.warmup["mu"])


def test_lp_is_the_log_density_of_the_draws(draws: Draws) -> None:
    density = targets.load("eight_schools").log_densities(draws.values[0])
    assert np.allclose(draws.to_arviz()["sample_stats"]["lp"].values[0], density, rtol=1e-12)


def test_attributes_say_where_the_draws_are_from(draws: Draws) -> None:
    for node in (draws.to_arviz(), draws.to_arviz()["posterior"], draws.to_arviz()["warmup_sample_stats"]):
        attributes = node.attrs
        assert attributes["inference_library"] == "crossover"
        assert attributes["inference_library_version"]
        assert attributes["tuning_steps"] == 150
        assert attributes["sampling_time"] > 0.0
        assert attributes["created_at"].startswith("20")
        assert attributes["sampler"] == "nuts[num_warmup=150,num_chains=2]"


def test_arviz_reads_it(draws: Draws) -> None:
    arviz_stats = pytest.importorskip("arviz_stats")
    tree = draws.to_arviz()
    found = arviz_stats.ess(tree, method="bulk")
    found = found.dataset if hasattr(found, "dataset") else found
    assert float(found["mu"]) == pytest.approx(draws.ess_bulk[0], rel=1e-10)


def test_coordinates_are_the_posterior_where_nothing_is_named() -> None:
    tree = samplers.sample("correlated_gaussian", dim=None, num_samples=20, num_chains=2).to_arviz()
    assert set(tree.children) == {"posterior", "sample_stats", "warmup_posterior", "warmup_sample_stats"}
    assert tree["posterior"]["x"].dims == ("chain", "draw", "x_dim_0")
    assert Draws(np.zeros((2, 5, 3))).to_arviz()["posterior"]["x"].shape == (2, 5, 3)


def test_members_of_an_ensemble_repeat_their_row_of_statistics() -> None:
    draws = Draws(np.zeros((6, 5, 1)), ("a",), {"lp": np.arange(10.0).reshape(2, 5)})
    lp = draws.to_arviz()["sample_stats"]["lp"].values
    assert lp.shape == (6, 5)
    assert np.array_equal(lp[:3], np.tile(np.arange(5.0), (3, 1)))


def test_without_the_extra_one_line_says_what_to_install(draws: Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(targets.UsageError, match="extra 'arviz' installs"):
        draws.to_arviz()
