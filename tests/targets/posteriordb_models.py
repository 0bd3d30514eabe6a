"""The twelve models of posteriordb once more, as plainly as SciPy says them: log densities of the named parameters."""

import numpy as np
from scipy import stats
from scipy.special import logsumexp

norm = stats.norm


def schools(d, p):
    prior = norm.logpdf(p["mu"], 0, 5) + stats.halfcauchy.logpdf(p["tau"], 0, 5)
    effects = norm.logpdf(p["theta"], p["mu"], p["tau"]).sum()
    return prior + effects + norm.logpdf(d["y"], p["theta"], d["sigma"]).sum()


def blr(d, p):
    prior = norm.logpdf(p["beta"], 0, 10).sum() + stats.halfnorm.logpdf(p["sigma"], 0, 10)
    return prior + norm.logpdf(d["y"], d["X"] @ p["beta"], p["sigma"]).sum()


def kidiq(d, p):
    b = p["beta"]
    mean = b[0] + b[1] * d["mom_hs"] + b[2] * d["mom_iq"] + b[3] * d["mom_hs"] * d["mom_iq"]
    return stats.halfcauchy.logpdf(p["sigma"], 0, 2.5) + norm.logpdf(d["kid_score"], mean, p["sigma"]).sum()


def earnings(d, p):
    b = p["beta"]
    mean = b[0] + b[1] * d["height"] + b[2] * d["male"] + b[3] * d["height"] * d["male"]
    return norm.logpdf(np.log(d["earn"]), mean, p["sigma"]).sum()


def garch(d, p):
    y, variance = d["y"], np.empty(len(d["y"]))
    variance[0] = d["sigma1"] ** 2
    for t in range(1, len(y)):
        variance[t] = p["alpha0"] + p["alpha1"] * (y[t - 1] - p["mu"]) ** 2 + p["beta1"] * variance[t - 1]
    return norm.logpdf(y, p["mu"], np.sqrt(variance)).sum()


def autoregression(d, p):
    y, order = d["y"], d["K"]
    value = norm.logpdf([p["alpha"], *p["beta"]], 0, 10).sum() + stats.halfcauchy.logpdf(p["sigma"], 0, 2.5)
    for t in range(order, len(y)):
        mean = p["alpha"] + sum(p["beta"][k - 1] * y[t - k] for k in range(1, order + 1))
        value += norm.logpdf(y[t], mean, p["sigma"])
    return value


def mixture(d, p):
    theta = p["theta"]
    prior = norm.logpdf(p["mu"], 0, 2).sum() + stats.halfnorm.logpdf(p["sigma"], 0, 2).sum()
    parts = norm.logpdf(d["y"][:, None], p["mu"], p["sigma"]) + np.log([theta, 1 - theta])
    return prior + stats.beta.logpdf(theta, 5, 5) + logsumexp(parts, axis=1).sum()


def hidden_markov(d, p):
    rows, emission = np.log([p["theta1"], p["theta2"]]), norm.logpdf(d["y"][:, None], p["mu"], 1)
    forward = emission[0]
    for t in range(1, len(emission)):
        forward = logsumexp(forward[:, None] + rows, axis=0) + emission[t]
    return norm.logpdf(p["mu"], [3, 10], 1).sum() + logsumexp(forward)


def gaussian_process(d, p):
    x = d["x"]
    covariance = p["alpha"] ** 2 * np.exp(-((x[:, None] - x) ** 2) / (2 * p["rho"] ** 2)) + p["sigma"] * np.eye(len(x))
    prior = stats.gamma.logpdf(p["rho"], 25, scale=1 / 4) + stats.halfnorm.logpdf(p["alpha"], 0, 2)
    prior += stats.halfnorm.logpdf(p["sigma"], 0, 1)
    return prior + stats.multivariate_normal.logpdf(d["y"], np.zeros(len(x)), covariance)


def nes(d, p):
    age, b = d["age_discrete"], p["beta"]
    mean = b[0] + b[1] * d["real_ideo"] + b[2] * d["race_adj"]
    mean = mean + b[3] * (age == 2) + b[4] * (age == 3) + b[5] * (age == 4)
    mean = mean + b[6] * d["educ1"] + b[7] * d["gender"] + b[8] * d["income"]
    return norm.logpdf(d["partyid7"], mean, p["sigma"]).sum()


def diamonds(d, p):
    centred = d["X"][:, 1:] - d["X"][:, 1:].mean(axis=0)
    prior = norm.logpdf(p["b"], 0, 1).sum() + stats.t.logpdf(p["Intercept"], 3, 8, 10)
    prior += np.log(2) + stats.t.logpdf(p["sigma"], 3, 0, 10)
    return prior + norm.logpdf(d["Y"], p["Intercept"] + centred @ p["b"], p["sigma"]).sum()


MODELS = {
    "arK-arK": autoregression,
    "diamonds-diamonds": diamonds,
    "earnings-logearn_interaction": earnings,
    "eight_schools-eight_schools_centered": schools,
    "eight_schools-eight_schools_noncentered": schools,
    "garch-garch11": garch,
    "gp_pois_regr-gp_regr": gaussian_process,
    "hmm_example-hmm_example": hidden_markov,
    "kidiq-kidscore_interaction": kidiq,
    "low_dim_gauss_mix-low_dim_gauss_mix": mixture,
    "nes1992-nes": nes,
    "sblrc-blr": blr,
}
DEPENDENT = {"theta1[2]", "theta2[2]"}  # of the hidden Markov model: one less the other
