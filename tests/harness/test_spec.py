import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.spec import Spec, is_glob, parse
from targets.options import UsageError

WORDS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(
    lambda w: w not in {"true", "false", "none", "nan", "inf"}
)
VALUES = st.one_of(
    st.integers(-(10**6), 10**6), st.booleans(), st.none(), WORDS, st.floats(allow_nan=False, allow_infinity=False)
)


@given(WORDS, st.dictionaries(WORDS, VALUES, max_size=4))
def test_a_spec_reads_back_what_it_writes(name: str, options: dict[str, object]) -> None:
    spec = Spec(name, options)
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("nuts", {}),
        ("nuts[target_accept=0.9]", {"target_accept": 0.9}),
        (" hmc[ take = mean , n = 3 ] ", {"take": "mean", "n": 3}),
        (
            "hmc[warm_start=advi[tolerance=0.1,steps=2],take=draws+metric]",
            {"warm_start": "advi[tolerance=0.1,steps=2]", "take": "draws+metric"},
        ),
        ("m[a=true,b=None,c=1e-3]", {"a": True, "b": None, "c": 1e-3}),
    ],
)
def test_options_are_read_as_values(text: str, options: dict[str, object]) -> None:
    assert parse(text).options == options


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[a=1]",
        "hmc[",
        "hmc]",
        "hmc[a]",
        "hmc[a=]",
        "hmc[=1]",
        "hmc[a=1",
        "hmc[a=1]]",
        "hmc[a=1,a=2]",
        "a=1",
        "hmc[a=1,]",
    ],
)
def test_malformed_specs_say_what_a_spec_is(text: str) -> None:
    with pytest.raises(UsageError, match="it reads NAME or NAME"):
        parse(text)


def test_globs_are_told_from_names() -> None:
    assert is_glob("advi*") and is_glob("?mc")
    assert not is_glob("hmc[take=mean]")


@pytest.mark.parametrize("rho", [0.1, 0.123456789, 1 / 3, 0.9])
def test_labels_of_targets_and_methods_read_back_to_the_bit(rho: float) -> None:
    """A label is what a cell is made of again in its own process."""
    target = registry.target(Spec("correlated_gaussian", {"rho": rho}))
    assert registry.target(target.label).options == target.options
    for text in (
        f"hmc[target_accept={rho}]",
        f"advi_meanfield[tolerance={rho}]",
        f"hmc[warm_start=laplace,path={rho}]",
    ):
        method = registry.method(text)
        assert str(rho) in registry.label(method) or rho == 0.9
        assert registry.label(registry.method(registry.label(method))) == registry.label(method)
