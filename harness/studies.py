"""Studies: races that answer one question, each with the tables that it ends in; and questions that no race answers."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness import agreement, directions, registry, tails
from harness.budget import Budget
from harness.presets import PRESETS, Preset
from harness.spec import Spec, parse
from reports.section import Section
from targets.options import UsageError, require


@dataclass(frozen=True)
class Study:
    """One question.

    Attributes:
        race: targets, methods, seeds and budget, as a preset has them.
        tables: those of `reports.study.TABLES` that it ends in; beside them there is always the report.
        wherever: methods that take part as soon as they are registered.
        measured: makes a table of the study's targets that no race makes, or None.
        picture: that of `reports.study.PICTURES` that it ends in, or ''.
    """

    race: Preset
    tables: tuple[str, ...] = ()
    wherever: tuple[str, ...] = ()
    measured: Callable[[list[Spec]], Section] | None = None
    picture: str = ""

    @property
    def summary(self) -> str:
        """The question, in a line."""
        return self.race.summary

    def grid(self) -> Preset:
        """What races, with the methods that are registered by now."""
        known = registry.names()
        more = tuple(method for method in self.wherever if parse(method).name in known)
        return replace(self.race, methods=(*self.race.methods, *more))

    def measure(self) -> Section | None:
        """The table that no race makes."""
        return None if self.measured is None else self.measured(registry.select_targets(list(self.race.targets)))


@dataclass(frozen=True)
class Inquiry:
    """One question that no race answers. `reports.study.PAGES` says what its numbers become.

    Attributes:
        summary: the question, in a line.
        where: 'module:function', called with the number of seeds and the evaluations that each run may spend (None for
            what is usual), which gives numbers ready for JSON.
        corpora: whether it is of documents, and takes the path of others.
    """

    summary: str
    where: str
    corpora: bool = False

    def compute(self, seeds: int | None, max_evaluations: int | None, corpus: str | None = None) -> dict[str, Any]:
        """The numbers.

        Raises:
            UsageError: one of the two is not accepted.
        """
        module, function = self.where.split(":")
        require(corpus is None or self.corpora, "--corpus is not accepted; it is for studies of documents: topics")
        more = () if corpus is None else (corpus,)
        numbers: dict[str, Any] = getattr(importlib.import_module(module), function)(seeds, max_evaluations, *more)
        return numbers


def _warm(take: str, fit: str, more: str = "") -> str:
    return f"nuts[warm_start={fit},take={take}{more}]"


_DIMENSIONS = (2, 5, 10, 20, 50, 100)
# Adam's first step: the grid of Agrawal, Sheldon and Domke 2020, of which the best is to count.
_ADAM = tuple(
    f"bbvi[family=fullrank,estimator={estimator},step={0.1 / 4**k:g}]"
    for estimator in ("reparameterised", "sticking_the_landing")
    for k in range(4)
)

_METRICS = ("nuts[metric=nutpie_low_rank]", "nuts[metric=stan]", "nuts[metric=stan_dense]")

STUDIES = {
    "warm-start": Study(
        Preset(
            "what a fit saves the sampler that starts from it: its mean, its draws, or its metric as well",
            (
                "correlated_gaussian[dim=50,structure=rotated]",
                "correlated_gaussian[dim=50]",
                "logistic_regression",
                "eight_schools",
                "banana",
            ),
            (
                "nuts",
                _warm("mean", "advi_meanfield"),
                _warm("draws", "advi_meanfield"),
                _warm("draws+diagonal", "advi_meanfield"),
                _warm("draws+dense", "advi_fullrank"),
                _warm("draws+low_rank", "advi_fullrank"),
                _warm("draws+dense", "laplace"),
                _warm("draws+dense", "laplace", ",keep=false,strength=1000"),
            ),
            10,
            Budget(200_000, 60.0),
        ),
        ("paired",),
    ),
    "modes": Study(
        Preset(
            "what samplers make of two modes far apart, and what R-hat sees of it",
            tuple(
                f"bimodal_mixture[dim={dim},separation=10,weight=0.3,sd_ratio={ratio}]"
                for dim in (2, 10)
                for ratio in (1, 3)
            ),
            ("nuts", "nuts[start=one_basin]", "nuts[start=all_basins]", "hmc"),
            10,
            Budget(400_000, 60.0),
        ),
        ("modes",),
        ("smc", "parallel_tempering"),
    ),
    "samplers": Study(
        Preset(
            "how efficient every sampler is, by target and dimension, and what it pays for second moments",
            (
                "correlated_gaussian",
                "correlated_gaussian[dim=100]",
                "correlated_gaussian[dim=1000]",
                "funnel",
                "funnel[parameterisation=centred]",
                "eight_schools",
                "logistic_regression",
                "bimodal_mixture",
            ),
            (
                "tag:mcmc",
                "random_walk[adaptation=haario]",
                "random_walk[adaptation=ram]",
                "elliptical_slice[gaussian=fitted]",
                *_METRICS,
            ),
            5,
            Budget(300_000, 30.0),
        ),
        ("accuracy", "sampling"),
    ),
    "metrics": Study(
        Preset(
            "what NUTS pays for second moments with the metrics of Stan and of nutpie",
            (
                "correlated_gaussian",
                "correlated_gaussian[dim=100]",
                "correlated_gaussian[dim=50,structure=rotated]",
                "correlated_gaussian[dim=50,structure=equicorrelated]",
                "bimodal_mixture[separation=3]",
                "bimodal_mixture",
                "banana",
                "banana[dim=10]",
                "funnel",
                "funnel[parameterisation=centred]",
                "student_t",
                "eight_schools",
                "eight_schools[parameterisation=centred]",
                "logistic_regression",
                "logistic_regression[dataset=synthetic]",
            ),
            ("nuts", *_METRICS),
            10,
            Budget(400_000, 60.0),
        ),
        ("accuracy",),
    ),
    "alarms": Study(
        replace(
            PRESETS["standard"], summary="which alarms warn of a wrong answer, and which answers are silently wrong"
        ),
        ("alarms", "blind-spot", "alarms-by-method", "alarms-by-target", "silent", "alarms-by-pair"),
        measured=tails.measure,
    ),
    "directions": Study(
        Preset(
            "what either direction of KL, and what lies between, makes of two modes ten standard deviations apart",
            (
                f"bimodal_mixture[dim={directions.DIM},separation={directions.SEPARATION:g},"
                f"weight={directions.WEIGHT:g}]",
            ),
            (
                "laplace",
                "advi_meanfield",
                "advi_fullrank",
                "forward_kl_meanfield",
                "forward_kl_fullrank",
                "mixture_vi",
                "mixture_vi[covariance=diagonal]",
                "boosting",
                "svgd",
            ),
            10,
            Budget(1_000_000, 120.0),
        ),
        ("directions", "blind-spot"),
        (
            "pathfinder",
            "multi_pathfinder",
            "bam",
            "ngvi",
            *(f"alpha_vi[alpha={alpha:g}]" for alpha in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)),
            *(
                f"alpha_vi[alpha={alpha:g},start=forward_kl,draws={directions.DRAWS}]"
                for alpha in (0.05, 0.3, 0.5, 0.8, 0.95)
            ),
            "adaptive_is",
            "msc",
            "realnvp",
            "planar[annealing=4000,draws=128,tolerance=0.002]",
            "realnvp[couplings=4,annealing=4000,draws=128,tolerance=0.002]",
        ),
        measured=directions.measure,
        picture="directions",
    ),
    "quantities": Study(
        replace(
            PRESETS["quick"],
            summary="what each method makes of the quantities that users ask for, and when sampling overtakes VI",
            targets=("bioassay", "eight_schools", "logistic_regression"),
            seeds=10,
        ),
        ("quantities", "quantity-crossovers"),
    ),
    "mass-covering": Study(
        Preset(
            "up to which dimension fits under the forward KL have better standard deviations than reverse ones",
            tuple(
                f"{target}[dim={dim}]"
                for target in ("student_t", "correlated_gaussian")
                for dim in (2, 5, 10, 20, 50, 100)
            ),
            (
                "advi_meanfield",
                "forward_kl_meanfield",
                "msc[family=meanfield]",
                "msc[family=meanfield,kernel=hmc]",
                "advi_fullrank",
                "forward_kl_fullrank",
                "adaptive_is",
                "msc",
                "msc[kernel=hmc]",
                "jsa",
            ),
            3,
            Budget(100_000, 30.0),
        ),
        ("mass-covering",),
    ),
    "full-rank": Study(
        Preset(
            "what fits with a dense covariance pay for it, where the longest axis is a hundred times the shortest",
            ("correlated_gaussian[dim=50,structure=rotated,condition=10000]",),
            (
                "bam",
                "bam[batch=10]",
                "bam[batch=2]",
                "bam[regularisation=1000000]",
                "bam[warm_start=false]",
                "gsm",
                "ngvi",
                "advi_fullrank",
                "advi_fullrank[warm_start=false]",
                "laplace",
            ),
            10,
            Budget(1_000_000, 60.0),
        ),
        ("covariance",),
        ("pathfinder", "multi_pathfinder", *_ADAM),
    ),
    "families": Study(
        Preset(
            "whether richer families of Gaussians, and flows, come nearer to two posteriors, and what moments gain",
            ("logistic_regression", "eight_schools"),
            (
                "advi_meanfield",
                "structured",
                "structured[structure=blocks]",
                "advi_fullrank",
                "ngvi",
                "bam_lowrank[rank=3]",
                "bam",
                "gsm",
            ),
            10,
            Budget(200_000, 60.0),
        ),
        ("families",),
        ("bbvi[family=lowrank]", "realnvp", "planar"),
    ),
    "data-size": Study(
        Preset(
            "when fits by mini-batches overtake sampling that takes all rows, as rows grow",
            tuple(f"linear_regression[prior=ratio,dataset=synthetic,n={10**k}]" for k in (3, 4, 5)),
            (
                "nuts",
                "gibbs",
                "vbem",
                "advi_fullrank",
                "bbvi[family=fullrank]",
                "bbvi[family=fullrank,batch_rows=256]",
                "sgld",
            ),
            5,
            Budget(200_000, 60.0),
        ),
        ("data-size",),
    ),
    "references": Study(
        Preset(
            "whether NUTS agrees with the reference draws of posteriordb, and what fits make of them",
            ("tag:posteriordb",),
            ("nuts", "laplace", "advi_meanfield", "advi_fullrank"),
            3,
            Budget(200_000, 30.0),
        ),
        ("accuracy",),
        measured=agreement.references,
    ),
}


INQUIRIES = {
    "discrete": Inquiry(
        "bias and variance of gradients through discrete latents, fits with them, and when Gibbs overtakes",
        "harness.discrete:compute",
    ),
    "scaling": Inquiry(
        "how seconds and memory grow with rows, documents, features and components",
        "harness.scaling:compute",
    ),
    "coverage": Inquiry(
        "how often intervals of VB-EM and of Gibbs hold the parameters that data were drawn with: --seeds repetitions",
        "harness.coverage:compute",
    ),
    "variational-em": Inquiry(
        "what EM, variational EM and VB-EM take for points, what their bounds do, what they cost, and what they lose",
        "harness.variational_em:compute",
    ),
    "topics": Inquiry(
        "what VI of all documents, VI of batches, and collapsed Gibbs predict of words held out, and how soon",
        "harness.topics:compute",
        corpora=True,
    ),
}


def choose(name: str) -> Study | Inquiry:
    """The study of that name, or the question that no race answers.

    Raises:
        UsageError: there is none of that name.
    """
    known: dict[str, Study | Inquiry] = {**STUDIES, **INQUIRIES}
    if name not in known:
        raise UsageError(f"no study is called {name!r}; known: {', '.join(known)}")
    return known[name]
