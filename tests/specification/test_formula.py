"""The grammar accepts formulas and nothing else, before anything is evaluated."""

import pytest
from formulae import model_description
from hypothesis import example, given
from hypothesis import strategies as st

from muscle_bayes.errors import FormulaError
from muscle_bayes.specification.formula import parse_formula
from muscle_bayes.specification.transforms import call_of

HOSTILE = [
    'y ~ x + pd.io.common.os.system("id")',
    "y ~ __import__('os')",
    "y ~ x + os.system('id')",
    "y ~ I(x)",
    "y ~ np.log(x)",
    "y ~ eval('1')",
    "y ~ exec('1')",
    "y ~ open('f')",
    "y ~ x.y",
    "y ~ x[0]",
    "y ~ {x}",
    "y ~ `x y`",
    "y ~ 'x'",
    'y ~ "x"',
    "y ~ x; import os",
    "y ~ x\nimport os\n",
    "y ~ x # comment",
    "y ~ lambda: 0",
    "y ~ x if 1 else z",
    "y ~ x @ z",
    "y ~ x ** 2",
    "y ~ x ^ 2",
    "y ~ x / z",
    "y ~ x % z",
    "y ~ x - z",
    "y ~ x = z",
    "y ~ x := z",
    "y ~ x == z",
    "y ~ x < z",
    "y ~ x > z",
    "y ~ x & z",
    "y ~ !x",
    "y ~ ~x",
    "y ~ x, z",
    "y ~ $x",
    "y ~ \\x",
    "y ~ x\x00",
    "y ~ é + x",
    "y ~ x٣",
    "y ~ ｘ",
    "y ~ __class__",
    "y ~ x__y",
    "y ~ _x",
    "y ~ __builtins__",
    "y ~ ().__class__",
    "y ~ (1).__class__.__bases__",
    "y ~ f(x)",
    "y ~ scale(x)",
    "y ~ bs(x, df=4)",
    "y ~ C(x)",
    "y ~ ns(x)",
    "y ~ ns(x, 4)",
    "y ~ ns(x, df)",
    "y ~ ns(x, df=)",
    "y ~ ns(x, df=k)",
    "y ~ ns(x, df=2.5)",
    "y ~ ns(x, df=1)",
    "y ~ ns(x, df=99999999999)",
    "y ~ ns(x, df=4, df=4)",
    "y ~ ns(df=4, x)",
    "y ~ ns(x, df=4, knots=3)",
    "y ~ ns(x, df=4, bend=0)",
    "y ~ ns(x, df=4, bend=1e3)",
    "y ~ ns(x, df=-4)",
    "y ~ ns(x, df=4 + 1)",
    "y ~ ns(x, df='4')",
    "y ~ ns(x, df=4, )",
    "y ~ ns(, df=4)",
    "y ~ ns(x + z, df=4)",
    "y ~ ns(x:z, df=4)",
    "y ~ ns((x), df=4)",
    "y ~ ns(x, z, df=4)",
    "y ~ ns(ns(x, df=3), df=3)",
    "y ~ ns(os.system(x), df=4)",
    "y ~ ns(eval(x), df=4)",
    "y ~ ns(log(sqrt(x)), df=4)",
    "y ~ ns(x, df=4)(x)",
    "y ~ ns(x, df=4).values",
    "y ~ ns(x, df=4)[0]",
    "y ~ ns (x",
    "y ~ ns(x, df=4) + x",
    "y ~ ns(x, df=4) + ns(x, df=3)",
    "y ~ ns(x, df=4):x",
    "y ~ ns(x, df=4):ns(z, df=4)",
    "y ~ ns(y, df=4)",
    "y ~ surface(x, df=3)",
    "y ~ surface(x, x, df=3)",
    "y ~ surface(x, z, df=9)",
    "y ~ surface(x, z, df=3) + x:z",
    "y ~ surface(ns(x, df=2), z, df=3)",
    "y ~ log()",
    "y ~ log(2)",
    "y ~ log(x, z)",
    "y ~ log(x, base=2)",
    "y ~ log(log(x))",
    "y ~ exp(x)",
    "y ~ square(x) ** 2",
    "log(y) ~ x",
    "y ~ x + (1|log(site))",
    "y ~ x + (1 + ns(x, df=3)|site)",
    "y ~ x + (log(x)|site)",
    "y ~ offset(x)",
    "y ~ (1|site) + (1|site)",
    "y ~ (1|a:b) + (x|b:a)",
    "y ~ (1|a:a)",
    "y ~ (1|a:)",
    "y ~ (1|a*b)",
    "y ~ (1|a + b)",
    "y ~ (1|(a:b))",
    "y ~ (0|site)",
    "y ~ (0 + 1|site)",
    "y ~ (0 x|site)",
    "y ~ (x + 0|site)",
    "y ~ x + (1|y)",
    "y ~ x + (1|a:y)",
    "y ~ (1|f(site))",
    "y ~ (1|site|region)",
    "y ~ (1|)",
    "y ~ (|site)",
    "y ~ (1|site",
    "y ~ 1|site",
    "y ~ x +",
    "y ~ + x",
    "y ~ x x",
    "y ~ ()",
    "y ~",
    "~ x",
    "y",
    "",
    "   ",
    "y ~ x ~ z",
    "f(y) ~ x",
    "y[0] ~ x",
    "1 ~ x",
    "y ~ 0 + x",
    "y ~ 2",
    "y ~ 1e309",
    "y ~ 1*x",
    "y ~ y + x",
    "y ~ " + "(" * 50 + "x" + ")" * 50,
    "y ~ " + " * ".join(f"x{i}" for i in range(40)),
    "y ~ " + "x" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_refuses_what_is_outside_the_grammar(text: str) -> None:
    with pytest.raises(FormulaError, match="formula"):
        parse_formula(text)


def test_there_are_at_least_a_hundred_hostile_strings() -> None:
    assert len(set(HOSTILE)) >= 100


_PIECES = [*"xz=4(), +:*|.'", "ns", "surface", "log", "sqrt", "df", "bend", "0.5"]


@given(st.lists(st.sampled_from(_PIECES), max_size=40).map(lambda pieces: "y ~ " + "".join(pieces)))
@example("y ~ ns(x, df=4) * z + surface(a1, b, df=3, bend=0.25) + log(d)")
@example("y ~ ns(sqrt(x),df=4,bend=1)")
def test_any_text_with_calls_is_parsed_or_refused(text: str) -> None:
    """What is accepted holds names, numbers and known transforms only, and reads back as itself."""
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert parse_formula(str(formula)) == formula
    assert all(name.isidentifier() for name in formula.names)
    for call in formula.calls:
        assert call.function in {"ns", "surface", "log", "log1p", "sqrt", "square"}
        assert call_of(str(call)) == call
        assert set(call.variables) <= set(formula.names)


@given(st.text(alphabet="xyz01 ~+:*|()_.[]'\"\\\n\t-", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert parse_formula(str(formula)) == formula
    assert set("".join(formula.names)) <= set("xyz01_")


def _terms_by_formulae(text: str) -> set[frozenset[str]]:
    described = model_description(text)
    return {
        frozenset(str(component.name) for component in term.components)
        for term in described.common_terms
        if term.name != "Intercept"
    }


@pytest.mark.parametrize(
    "text",
    [
        "y ~ a",
        "y ~ a + b",
        "y ~ a * b",
        "y ~ a * b + b:a",
        "y ~ a:b + a + b",
        "y ~ (a + b) * c",
        "y ~ a * b * c",
        "y ~ (a + b):c + a + b + c",
        "y ~ 1 + a",
        "y ~ a + (1|site)",
        "y ~ a * b + (1|site)",
    ],
)
def test_expands_as_formulae_does(text: str) -> None:
    formula = parse_formula(text)
    assert {frozenset(term) for term in formula.terms} == _terms_by_formulae(text)
    assert _terms_by_formulae(str(formula)) == _terms_by_formulae(text)


@pytest.mark.parametrize(
    ("text", "canonical", "names"),
    [
        ("y ~ ns(x,df=4)", "y ~ 1 + ns(x, df=4)", ("x",)),
        ("y ~ ns( x , df = 4 , bend = 0.50 )", "y ~ 1 + ns(x, df=4)", ("x",)),
        ("y ~ ns(x, bend=0.250, df=4)", "y ~ 1 + ns(x, df=4, bend=0.25)", ("x",)),
        ("y ~ ns(log1p(x), df=3)", "y ~ 1 + ns(log1p(x), df=3)", ("x",)),
        ("y ~ surface(a, sqrt(b), df=2) + c", "y ~ 1 + c + surface(a, sqrt(b), df=2)", ("c", "a", "b")),
        ("y ~ log(a) + square(b) + b", "y ~ 1 + log(a) + square(b) + b", ("a", "b")),
        ("y ~ ns(x, df=3) * s", "y ~ 1 + ns(x, df=3) + s + ns(x, df=3):s", ("x", "s")),
        ("y ~ ns + log + df", "y ~ 1 + ns + log + df", ("ns", "log", "df")),
    ],
)
def test_transforms_have_one_canonical_text(text: str, canonical: str, names: tuple[str, ...]) -> None:
    formula = parse_formula(text)
    assert str(formula) == canonical
    assert formula.names == names
    assert parse_formula(canonical) == formula


def test_group_terms() -> None:
    formula = parse_formula("y ~ a + (1 + a|site)")
    assert [(group.factor, group.slopes) for group in formula.groups] == [("site", (("a",),))]
    assert str(formula) == "y ~ 1 + a + (1 + a|site)"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("y ~ a + (a|g:h)", "y ~ 1 + a + (1 + a|g:h)"),
        ("y ~ a * b + (a * b|g) + (1|h)", "y ~ 1 + a + b + a:b + (1 + a + b + a:b|g) + (1|h)"),
        ("y ~ a + (0 + a|g)", "y ~ 1 + a + (0 + a|g)"),
    ],
)
def test_group_terms_vary_what_formulae_says(text: str, canonical: str) -> None:
    formula = parse_formula(text)
    assert str(formula) == canonical
    described = {term.name for term in model_description(text).group_terms}
    ours = {
        f"{name}|{group.factor}"
        for group in formula.groups
        for name in [*(["1"] if group.intercept else []), *(":".join(slope) for slope in group.slopes)]
    }
    assert ours == described
