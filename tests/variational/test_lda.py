"""Latent Dirichlet allocation by variational inference: its bound, its steps, and what it makes of odd data."""

import itertools
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import digamma, gammaln, logsumexp, psi

from samplers.gibbs.lda import log_joint
from targets.conjugate.bags import Bags
from targets.conjugate.expectations import exp_digammas
from targets.conjugate.lda import TopicPrior, completion, halves
from tests.ascents import QUARTERS, assert_caught, assert_rises, plant
from variational import LatentDirichletAllocation
from variational.conjugate.lda_priors import learned
from variational.conjugate.lda_topics import Inference, Topics
from variational.conjugate.workers import Pool

TINY = np.array([[2, 1, 0], [0, 1, 2]])


def simulated(seed: int, n: int = 300, terms: int = 60, topics: int = 4, words: int = 40) -> Any:
    rng = np.random.default_rng(seed)
    beta = rng.dirichlet(np.full(terms, 0.1), topics)
    theta = rng.dirichlet(np.full(topics, 0.2), n)
    return np.array([rng.multinomial(words, row @ beta) for row in theta])


def test_exp_digamma() -> None:
    x = np.concatenate([np.geomspace(0.002, 1e12, 20_000), np.random.default_rng(1).gamma(0.5, 1.0, 20_000) + 0.002])
    assert np.max(np.abs(exp_digammas(x) / np.exp(digamma(x)) - 1.0)) < 1e-12


def elbo(X: Any, gamma: Any, lambdas: Any, phi: Any, prior: TopicPrior) -> float:
    """By its definition, term by term: E[log p] - E[log q], with phi (documents, terms, K)."""

    def log_dirichlet(parameters: Any, at: Any) -> float:  # E[log Dirichlet(parameters)] at expected logs
        return float(gammaln(parameters.sum()) - gammaln(parameters).sum() + (parameters - 1) @ at)

    value = 0.0
    log_beta = psi(lambdas) - psi(lambdas.sum(axis=0))
    for row, g, responsibility in zip(X, gamma, phi, strict=True):
        log_theta = psi(g) - psi(g.sum())
        value += log_dirichlet(prior.document, log_theta) - log_dirichlet(g, log_theta)
        value += float(np.sum(row[:, None] * responsibility * (log_theta + log_beta - np.log(responsibility))))
    for k in range(prior.n_topics):
        eta = np.full(len(lambdas), prior.term)
        value += log_dirichlet(eta, log_beta[:, k]) - log_dirichlet(lambdas[:, k], log_beta[:, k])
    return value


def test_the_bound_is_the_elbo_with_every_constant() -> None:
    X = simulated(1, n=12, terms=15, words=30)
    prior = TopicPrior(np.array([0.3, 0.5, 1.2]), 0.4)
    topics = Topics.random(prior, X.shape[1], np.random.default_rng(1), Pool(1), Inference(0.0, 3))
    bags = Bags.of(X, "X")
    batch = topics.batch(bags)
    for _ in range(3):
        before, former = topics.lambdas, batch.gamma.copy()
        bound = topics.learn(batch, 1.0, 1.0, bounded=True)
    gamma = batch.gamma.copy()
    # The last of three turns made phi from the gamma of the second one.
    topics_before = Topics(prior, before - prior.term, Pool(1), Inference(0.0, 2))
    batch.gamma[:] = former
    topics_before.infer(batch, False)
    former = batch.gamma
    logs = (psi(former) - psi(former.sum(axis=1, keepdims=True)))[:, None, :] + psi(before) - psi(before.sum(axis=0))
    phi = np.exp(logs - logsumexp(logs, axis=2, keepdims=True))
    assert bound == pytest.approx(elbo(X, gamma, topics.lambdas, phi, prior), rel=1e-11)


def test_with_one_topic_the_bound_is_the_evidence() -> None:
    X = simulated(2, n=20, terms=10)
    model = LatentDirichletAllocation(n_components=1, topic_word_prior=0.3).fit(X)
    counts, V = X.sum(axis=0), X.shape[1]
    exact = gammaln(V * 0.3) - V * gammaln(0.3) + gammaln(counts + 0.3).sum() - gammaln(counts.sum() + V * 0.3)
    assert model.lower_bound_ == pytest.approx(exact, abs=1e-8)


def evidence(X: Any, prior: TopicPrior) -> float:
    """Of words in sequence, by enumeration of all their topics."""
    tokens = [(d, w) for d, row in enumerate(X) for w, n in enumerate(row) for _ in range(n)]
    values = []
    for z in itertools.product(range(prior.n_topics), repeat=len(tokens)):
        by_document, by_term = np.zeros((len(X), prior.n_topics)), np.zeros((X.shape[1], prior.n_topics))
        for (d, w), k in zip(tokens, z, strict=True):
            by_document[d, k] += 1
            by_term[w, k] += 1
        values.append(log_joint(by_document, by_term, prior))
    return float(logsumexp(values))


def test_the_bound_is_below_the_evidence() -> None:
    prior = TopicPrior.of(2, 0.5, 0.4)
    exact = evidence(TINY, prior)
    for seed in range(5):
        model = LatentDirichletAllocation(
            n_components=2, doc_topic_prior=0.5, topic_word_prior=0.4, tol=0.0, random_state=seed
        ).fit(TINY)
        assert exact - 4.0 < model.lower_bound_ < exact


@pytest.mark.parametrize("quarter", QUARTERS)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 12),
    terms=st.integers(1, 15),
    topics=st.integers(1, 7),
    alpha=st.floats(0.002, 3.0),
    eta=st.floats(0.002, 3.0),
    learn_priors=st.booleans(),
    scale=st.sampled_from([0.3, 3.0, 1000.0]),
)
@settings(max_examples=50, deadline=None)
def test_the_bound_never_falls(
    quarter: int, seed: int, n: int, terms: int, topics: int, alpha: float, eta: float, learn_priors: bool, scale: float
) -> None:
    X = np.random.default_rng([seed, quarter]).poisson(scale, (n, terms))
    model = LatentDirichletAllocation(
        n_components=topics, doc_topic_prior=alpha, topic_word_prior=eta, learn_priors=learn_priors, tol=0.0,
        max_iter=15, random_state=seed,
    ).fit(X)  # fmt: skip
    assert_rises(model.lower_bounds_, 1e-12 * float(1 + X.sum()))  # of one term it is zero, a sum over all words


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("pace", "-psi(", "psi("), ("learn", ".document).sum(axis=0)", ".document).sum(axis=0) * 0.5")],
)
def test_a_fault_in_an_update_lowers_it(name: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, Topics, name, right, wrong)
    options = {"quarter": 0, "n": 10, "terms": 12, "topics": 3, "alpha": 0.5, "eta": 0.5, "scale": 3.0}
    assert_caught(test_the_bound_never_falls, ({"seed": s, "learn_priors": False, **options} for s in range(20)))


@pytest.mark.parametrize("method", ["batch", "online"])
def test_threads_change_nothing(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variational.conjugate.workers.WORTH", 1)
    X = simulated(3, n=100)
    models = [
        LatentDirichletAllocation(n_components=5, learning_method=method, max_iter=3, n_jobs=jobs).fit(X)
        for jobs in (1, 2, 3)
    ]
    for model in models[1:]:
        assert np.array_equal(model.components_, models[0].components_)
        assert np.array_equal(model.transform(X), models[0].transform(X))


def test_a_stream_gives_what_a_pass_gives() -> None:
    X = simulated(4)
    options: dict[str, Any] = {"n_components": 4, "batch_size": 32, "total_samples": len(X)}
    whole = LatentDirichletAllocation(learning_method="online", shuffle=False, max_iter=1, **options).fit(X)
    stream = LatentDirichletAllocation(**options)
    for first in range(0, len(X), 64):
        stream.partial_fit(csr_array(X[first : first + 64]))
    assert np.array_equal(whole.components_, stream.components_)
    assert stream.n_batch_iter_ == whole.n_batch_iter_ == 10


def test_steps_are_those_of_hoffman() -> None:
    X = simulated(5, n=40)
    options: dict[str, Any] = {"n_components": 3, "batch_size": 40, "learning_offset": 1.0, "max_doc_update_iter": 5}
    model = LatentDirichletAllocation(total_samples=400, **options).partial_fit(X)
    # The first step is one: lambda is eta and ten times the expected counts, of which there are as many as words.
    assert model.components_.sum() == pytest.approx(3 * X.shape[1] / 3 + 10 * X.sum(), rel=1e-12)
    before = model.components_
    model.partial_fit(X)
    rho = 2.0**-0.7
    expected = (1 - rho) * before.sum() + rho * (X.shape[1] + 10 * X.sum())
    assert model.components_.sum() == pytest.approx(expected, rel=1e-12)


def test_documents_are_inferred_as_by_scikit_learn() -> None:
    from sklearn.decomposition import LatentDirichletAllocation as Theirs

    X = simulated(6, n=40)
    options: dict[str, Any] = {"max_doc_update_iter": 1000, "mean_change_tol": 1e-9}
    ours = LatentDirichletAllocation(n_components=4, **options).fit(X)
    theirs = Theirs(n_components=4, max_iter=1, **options).fit(X)
    theirs.components_ = ours.components_
    expected = psi(theirs.components_) - psi(theirs.components_.sum(axis=1, keepdims=True))
    theirs.exp_dirichlet_component_ = np.exp(expected)
    assert np.max(np.abs(ours.transform(X) - theirs.transform(X))) < 1e-7


def test_held_out_words_are_predicted_as_well_as_by_scikit_learn() -> None:
    from sklearn.decomposition import LatentDirichletAllocation as Theirs

    X = simulated(7, n=500)
    train, test = X[:300], Bags.of(X[300:], "X")
    unigram = completion((train.sum(axis=0) + 1.0)[None] / (train.sum() + X.shape[1]), np.ones(1), test)
    scores = []
    for seed in range(2):
        options: dict[str, Any] = {"n_components": 4, "learning_method": "online", "max_iter": 3, "random_state": seed}
        ours = LatentDirichletAllocation(shuffle=False, **options).fit(train)
        theirs = Theirs(**options).fit(train).components_
        topics = theirs / theirs.sum(axis=1, keepdims=True)
        scores.append((ours.held_out(test), completion(topics, np.full(4, 0.25), test)))
    ours_mean, theirs_mean = np.mean(scores, axis=0)
    assert ours_mean > unigram + 0.2
    assert ours_mean > theirs_mean - 0.05


def test_halves_share_the_tokens() -> None:
    X = np.vstack([simulated(8, n=50), np.eye(1, 60, dtype=int), np.zeros((1, 60), dtype=int)])
    seen, scored = halves(Bags.of(X, "X"), 3)
    assert np.array_equal(seen.dense() + scored.dense(), X)
    assert np.array_equal(seen.lengths, np.ceil(X.sum(axis=1) / 2))


def test_learned_priors_come_near_those_of_the_data() -> None:
    rng = np.random.default_rng(9)
    alpha = np.array([0.2, 1.0, 3.0])
    theta, beta = rng.dirichlet(alpha, 4000), rng.dirichlet(np.full(4000, 0.3), 3).T
    found = learned(TopicPrior.of(3), theta * 1e15 + 1.0, beta * 1e15 + 1.0)  # as good as known
    assert found.document == pytest.approx(alpha, rel=0.15)
    assert found.term == pytest.approx(0.3, rel=0.08)


def test_it_keeps_to_the_conventions_of_scikit_learn() -> None:
    from sklearn.exceptions import SkipTestWarning
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimator .* does not inherit", UserWarning)
        warnings.filterwarnings("ignore", category=SkipTestWarning)
        done = check_estimator(LatentDirichletAllocation(n_components=3, max_iter=5), on_fail=None)
    assert {check["check_name"]: check["exception"] for check in done if check["status"] == "failed"} == {}
    assert sum(check["status"] == "passed" for check in done) > 30


def test_odd_documents_get_right_answers() -> None:
    X = np.array([[0, 0, 0, 0], [3, 1, 0, 0], [0, 0, 0, 5], [0.5, 1.5, 0.0, 2.0]])
    for method in ("batch", "online"):
        model = LatentDirichletAllocation(n_components=3, doc_topic_prior=[1.0, 2.0, 5.0], learning_method=method)
        model.fit(X)
        assert model.transform(X)[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
        unseen = model.transform(np.array([[0, 0, 7, 0]]))
        assert np.isfinite(model.components_).all() and unseen.sum() == pytest.approx(1.0)
    nothing = LatentDirichletAllocation(n_components=2, topic_word_prior=0.7).fit(np.zeros((3, 4)))
    assert nothing.components_ == pytest.approx(0.7)
    assert nothing.lower_bound_ == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, math.nan]], "contain NaN"),
        ([[1.0, math.inf]], "contain infinity"),
        ([[1.0, -1.0]], "Negative values"),
        (csr_array(np.array([[1.0, -1.0]])), "Negative values"),
        ([1.0, 2.0], "Expected 2D array"),
        ([["a", "b"]], "not a matrix of counts"),
        (np.empty((0, 3)), "0 sample"),
    ],
)
def test_bad_documents_are_refused(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentDirichletAllocation(n_components=2).fit(X)


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 0},
        {"doc_topic_prior": 0.0},
        {"doc_topic_prior": [1.0, 1.0, 1.0]},
        {"topic_word_prior": -1.0},
        {"learning_method": "both"},
        {"learning_decay": 0.4},
        {"learning_offset": 0.0},
        {"max_iter": 0},
        {"batch_size": 0},
        {"n_jobs": 0},
        {"mean_change_tol": math.nan},
        {"tol": -1.0},
        {"total_samples": 0},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not accepted; it takes"):
        LatentDirichletAllocation(**{"n_components": 2, **options}).fit(TINY)


def test_fractions_cannot_be_completed() -> None:
    model = LatentDirichletAllocation(n_components=2).fit(TINY)
    with pytest.raises(ValueError, match="takes whole counts"):
        model.held_out(TINY * 0.5)
    with pytest.raises(ValueError, match="needs a document of two words"):
        model.held_out(np.eye(3))
    with pytest.raises(ValueError, match="documents are empty"):
        model.score(np.zeros((2, 3)))


def test_topics_are_words_with_scores() -> None:
    bags = Bags.of_entries(np.array([0, 0, 1]), np.array([0, 1, 2]), [5, 4, 9], (2, 3), ("a", "b", "c"))
    model = LatentDirichletAllocation(n_components=2, doc_topic_prior=0.1, topic_word_prior=0.1).fit(bags)
    for by in ("probability", "lift"):
        found = sorted(model.topics(2, by=by), key=lambda topic: topic[0][0])
        assert [word for word, _ in found[0]] == ["a", "b"]
        assert found[1][0][0] == "c"
        assert found[0][0][1] > found[0][1][1] > 0.0
    with pytest.raises(ValueError, match="'probability' or 'lift'"):
        model.topics(by="size")
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.transform(bags), model.transform(bags))
    assert model.perplexity(bags) == pytest.approx(math.exp(-model.held_out(bags)))
