"""Model formulas: a written grammar, parsed here before anything else sees the string.

A model file is input from outside, and formula engines evaluate what they are given as Python. So nothing outside this
grammar is accepted, and what is handed on is written anew from the parsed terms::

    formula  :=  NAME "~" sum
    sum      :=  term ("+" term)*
    term     :=  group | product | "1"
    group    :=  "(" ["0" "+"] ("1" | sum) "|" NAME (":" NAME)* ")"
    product  :=  factor ((":" | "*") factor)*
    factor   :=  NAME | "(" sum ")" | call
    call     :=  VALUE "(" NAME ")" | SMOOTH "(" inner ("," inner)* ("," NAME "=" NUMBER)* ")"
    inner    :=  NAME | VALUE "(" NAME ")"
    VALUE    :=  "log" | "log1p" | "sqrt" | "square"
    SMOOTH   :=  "ns" | "surface"
    NAME     :=  a letter, then letters, digits and "_"
    NUMBER   :=  digits, or digits "." digits

``ns(age_z, df=4)`` is a natural cubic spline, ``surface(a, b, df=3)`` a smooth function of two columns; see
`specification.transforms`. Their arguments are names and numbers, never expressions.

``a * b`` is ``a + b + a:b``. The intercept is always in the model. Coefficients of one group vary independently of each other
(lme4 writes ``||`` for that); ``(0 + a|g)`` varies the slope of ``a`` alone, and ``(a|g:h)`` varies it over the combinations
of two columns.
"""

import re
from dataclasses import dataclass
from itertools import product

from muscle_bayes.errors import FormulaError
from muscle_bayes.specification.transforms import Call, call_of, checked_call, variables_of_term

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<sign>[~+:*|(),=]))")
_MAX_LENGTH = 2_000
_MAX_DEPTH = 20

Term = tuple[str, ...]


@dataclass(frozen=True)
class GroupTerm:
    """Coefficients that vary over the levels of a grouping factor.

    Attributes
    ----------
    factor : str
        The grouping column, such as `site`; or several, such as ``osteoarthritis:osteoporosis``.
    slopes : tuple of Term
        Terms whose coefficients vary; empty for a random intercept.
    intercept : bool
        Whether the intercept varies too.
    """

    factor: str
    slopes: tuple[Term, ...] = ()
    intercept: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose combinations are the groups."""
        return tuple(self.factor.split(":"))

    def __str__(self) -> str:
        """Return the term as a formula writes it."""
        parts = [str(int(self.intercept)), *(":".join(slope) for slope in self.slopes)]
        return f"({' + '.join(parts)}|{self.factor})"


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    response : str
        Name of the outcome.
    terms : tuple of Term
        Common terms, main effects before interactions (as R orders them), columns before transforms of transforms, else as
        written; without the intercept.
    groups : tuple of GroupTerm
        Group-level terms.
    """

    response: str
    terms: tuple[Term, ...]
    groups: tuple[GroupTerm, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every predictor of the common and varying terms, once, in the order of appearance."""
        every = [*self.terms, *(slope for group in self.groups for slope in group.slopes)]
        return tuple(dict.fromkeys(name for term in every for name in variables_of_term(term)))

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every transform of the common terms, once, in the order of appearance."""
        found = (call_of(part) for term in self.terms for part in term)
        return tuple(dict.fromkeys(call for call in found if call is not None))

    @property
    def common(self) -> str:
        """The common part, written anew: ``1 + a + b + a:b``."""
        return " + ".join(["1", *(":".join(term) for term in self.terms)])

    def __str__(self) -> str:
        """Return the canonical formula."""
        return f"{self.response} ~ {' + '.join([self.common, *map(str, self.groups)])}"


def parse_formula(text: str, *, where: str = "formula") -> Formula:
    """Parse a formula by the grammar of this module.

    Parameters
    ----------
    text : str
        Such as ``cbp ~ intermat_z * lmm_z + age_z + (1|site)``.
    where : str
        What an error names, such as the model file.

    Returns
    -------
    Formula
        The parsed formula.

    Raises
    ------
    FormulaError
        Where the text is outside the grammar; nothing of it has been evaluated.
    """
    return _Parser(text, where).formula()


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        if len(text) > _MAX_LENGTH:
            raise self.error(f"the formula has {len(text)} characters; {_MAX_LENGTH} are allowed")
        self.text = text
        self.tokens = self.tokenise(text)
        self.position = 0
        self.depth = 0

    def error(self, problem: str) -> FormulaError:
        return FormulaError(
            self.where,
            problem,
            "Write it from column names, ~ + : * | ( ) and 1, such as 'cbp ~ intermat_z * lmm_z + age_z + (1|site)'; "
            "transforms are ns(a, df=4), surface(a, b, df=3), log(a), log1p(a), sqrt(a) and square(a)",
        )

    def tokenise(self, text: str) -> list[str]:
        tokens, at = [], 0
        stripped = text.rstrip()
        while at < len(stripped):
            found = _TOKEN.match(stripped, at)
            if found is None:
                rest = stripped[at:].lstrip()
                raise self.error(f"{rest[:1]!r} is not allowed in a formula (at {rest[:20]!r})")
            token = found.group(found.lastgroup or 0)
            if "__" in token:
                raise self.error(f"{token!r} holds a double underscore, which no column may")
            tokens.append(token)
            at = found.end()
        return tokens

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            raise self.error(f"expected {token!r}, found {found or 'the end'!r}")

    def name(self) -> str:
        token = self.take()
        if not token[:1].isalpha():
            raise self.error(f"expected a column name, found {token or 'the end'!r}")
        return token

    def formula(self) -> Formula:
        response = self.name()
        self.expect("~")
        terms: list[Term] = []
        groups: list[GroupTerm] = []
        while True:
            if self.peek() == "(" and self.is_group():
                groups.append(self.group())
            else:
                terms += self.product()
            if not self.peek():
                break
            self.expect("+")
        unique = tuple(dict.fromkeys(_canonical(terms)))
        self.refuse_doubled(unique)
        if response in {name for term in unique for name in variables_of_term(term)}:
            raise self.error(f"the outcome {response!r} is also a predictor")
        if response in {name for group in groups for name in group.columns}:
            raise self.error(f"the outcome {response!r} also makes groups")
        if len({frozenset(group.columns) for group in groups}) < len(groups):
            raise self.error("a grouping factor has two terms; put its varying coefficients into one")
        return Formula(response, unique, tuple(groups))

    def refuse_doubled(self, terms: tuple[Term, ...]) -> None:
        """Refuse smooths beside their own straight lines, and products of smooths."""
        smooths = {part: call for term in terms for part in term if (call := call_of(part)) is not None and call.smooth}
        for part, call in smooths.items():
            inside = {str(argument) for argument in call.arguments}
            for term in terms:
                if part not in term and set(term) <= inside:
                    raise self.error(f"{part} holds {':'.join(term)} already; take one of them out")
                other = next((name for name in term if name in smooths and name != part), None)
                if part in term and other is not None:
                    raise self.error(f"{part} and {other} cannot be multiplied; take surface(a, b, df=3)")
                if (
                    part in term
                    and term != (part,)
                    and set(call.variables) & set(variables_of_term(_without(term, part)))
                ):
                    raise self.error(f"{part} cannot be multiplied with a column that it is made of")
            for name, second in smooths.items():
                shared = set(second.variables) & set(call.variables)
                if name != part and shared:
                    raise self.error(f"{part} and {name} are both smooth in {sorted(shared)[0]}; take one of them")

    def is_group(self) -> bool:
        depth = 0
        for token in self.tokens[self.position :]:
            depth += (token == "(") - (token == ")")
            if token == "|" and depth == 1:
                return True
            if depth == 0:
                return False
        return False

    def group(self) -> GroupTerm:
        self.expect("(")
        intercept = self.peek() != "0"
        if not intercept:
            self.take()
            self.expect("+")
        slopes = tuple(dict.fromkeys(_canonical(self.sum())))
        if any(call_of(part) for slope in slopes for part in slope):
            raise self.error("a transform cannot vary by group; take a column, or the transform as a common term")
        if not (intercept or slopes):
            raise self.error("a group with 0 and no column varies nothing")
        self.expect("|")
        columns = [self.name()]
        while self.peek() == ":":
            self.take()
            columns.append(self.name())
        if len(set(columns)) < len(columns):
            raise self.error(f"the group {':'.join(columns)} names a column twice")
        self.expect(")")
        return GroupTerm(":".join(columns), slopes, intercept)

    def sum(self) -> list[Term]:
        terms = self.product()
        while self.peek() == "+":
            self.take()
            terms += self.product()
        return terms

    def product(self) -> list[Term]:
        left = self.factor()
        while self.peek() in {":", "*"}:
            sign = self.take()
            right = self.factor()
            if not left or not right:
                raise self.error("1 cannot be multiplied with a column")
            crossed = [tuple(dict.fromkeys(a + b)) for a, b in product(left, right)]
            left = [*left, *right, *crossed] if sign == "*" else crossed
            if len(left) > 200:
                raise self.error("the formula expands to more than 200 terms")
        return left

    def factor(self) -> list[Term]:
        token = self.peek()
        if token == "(":
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise self.error(f"brackets are nested more than {_MAX_DEPTH} deep")
            self.take()
            inside = self.sum()
            self.expect(")")
            self.depth -= 1
            return inside
        if token[:1].isdigit():
            if self.take() != "1":
                raise self.error(f"the number {token} is not allowed; the intercept is 1 and always in the model")
            return []
        return [(str(self.argument(self.name())),)]

    def argument(self, name: str, depth: int = 0) -> str | Call:
        """Return a column, or the call that its name begins."""
        if self.peek() != "(":
            return name
        self.take()
        if depth > 1:
            raise self.error(f"{name}() stands too deep inside other transforms")
        arguments: list[str | Call] = []
        settings: dict[str, float] = {}
        while True:
            token = self.name()
            if self.peek() == "=":
                self.take()
                number = self.take()
                if not number[:1].isdigit():
                    raise self.error(f"{name}({token}=...) needs a number, found {number or 'the end'!r}")
                if token in settings:
                    raise self.error(f"{name}() is given {token} twice")
                settings[token] = float(number)
            elif settings:
                raise self.error(f"in {name}() columns come before {next(iter(settings))}=")
            else:
                arguments.append(self.argument(token, depth + 1))
            if self.peek() != ",":
                break
            self.take()
        self.expect(")")
        return checked_call(name, arguments, settings, self.where)


def _without(term: Term, part: str) -> Term:
    return tuple(other for other in term if other != part)


def _canonical(terms: list[Term]) -> list[Term]:
    """Drop repeats that differ only in the order of their factors (``a:b`` and ``b:a``), the first one stays."""
    seen: dict[frozenset[str], Term] = {}
    for term in terms:
        seen.setdefault(frozenset(term), term)
    return sorted(seen.values(), key=lambda term: (len(term), [_nested(part) for part in term]))


def _nested(part: str) -> list[bool]:
    """Say of each argument whether it is itself a call: those come last, as formulae cannot compare them with a column."""
    call = call_of(part)
    inside = [] if call is None else [isinstance(argument, Call) for argument in call.arguments]
    return inside if any(inside) else []
