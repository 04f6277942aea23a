"""Small boolean formulas in the text of a rule: read, checked for names and types, never executed as code.

Python's expression syntax restricted to ``and or not``, comparisons (chained too), ``+ - * /``, ``in`` over a list of
texts, numbers, quoted texts and names. ``ast.parse`` gives the shape; what is not in this list is refused with its column.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from wafer2token.evidence.errors import InputError, Problem, nearest

Type = Literal["number", "truth", "text", "date"]
_COMPARE = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True)
class Const:
    """A number."""

    value: float


@dataclass(frozen=True)
class Text:
    """A quoted text, or a list of them."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Flag:
    """``True`` or ``False``."""

    value: bool


@dataclass(frozen=True)
class Var:
    """A named variable, parameter, definition or leg."""

    name: str


@dataclass(frozen=True)
class Arith:
    """Arithmetic on two numbers."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare:
    """One comparison; a chain ``a < b < c`` is an All of two."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Member:
    """A text is one of some texts."""

    left: Var
    values: tuple[str, ...]


@dataclass(frozen=True)
class All:
    """``and``."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """``or``."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """``not``."""

    item: Node


Node = Const | Text | Flag | Var | Arith | Compare | Member | All | Some | Not


class _RefusedError(Exception):
    def __init__(self, what: str, column: int):
        self.what = f"{what} (column {column + 1})"


@dataclass(frozen=True, repr=False)
class Expression:
    """A formula with its text as written."""

    text: str
    tree: Node

    @classmethod
    def parse(cls, text: object) -> Expression:
        """The formula in ``text``; InputError when the syntax is broken or goes beyond the restricted grammar."""
        if not isinstance(text, str) or not text.strip():
            raise InputError(Problem("not a formula", got=text, allowed='text such as "tpp >= 4800 and datacenter"'))
        try:
            parsed = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            raise InputError(Problem(f"broken formula: {error.msg} (column {error.offset or 1})", got=text)) from None
        try:
            return cls(text.strip(), _convert(parsed.body))
        except _RefusedError as refused:
            allowed = "and or not, comparisons, + - * /, in [...]"
            raise InputError(Problem(refused.what, got=text, allowed=allowed)) from None

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(raw: object) -> Expression:
            if isinstance(raw, Expression):
                return raw
            try:
                return cls.parse(raw)
            except InputError as error:
                raise PydanticCustomError(
                    "formula", "{text}", {"problems": error.problems, "text": str(error)}
                ) from None

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(lambda e: e.text)
        )


def _convert(node: ast.expr) -> Node:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return All(tuple(_convert(v) for v in values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return Some(tuple(_convert(v) for v in values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_convert(operand))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return Const(-float(value))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return Arith(_ARITHMETIC[type(op)], _convert(left), _convert(right))
        case ast.Compare():
            return _comparison(node)
        case ast.Name(id=name):
            return Var(name)
        case ast.Constant(value=bool() as value):
            return Flag(value)
        case ast.Constant(value=int() | float() as value):
            return Const(float(value))
        case ast.Constant(value=str() as value):
            return Text((value,))
    raise _RefusedError(f"{_what(node)} not allowed in a formula", node.col_offset)


def _what(node: ast.expr) -> str:
    names = {ast.Call: "a call", ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.Lambda: "a lambda"}
    return names.get(type(node), type(node).__name__.lower()) + " is"


def _comparison(node: ast.Compare) -> Node:
    parts: list[Node] = []
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, (ast.In, ast.NotIn)):
            found = _member(left, right)
            parts.append(Not(found) if isinstance(op, ast.NotIn) else found)
        elif type(op) in _COMPARE:
            parts.append(Compare(_COMPARE[type(op)], _convert(left), _convert(right)))
        else:
            raise _RefusedError("is and is not are not allowed in a formula", node.col_offset)
        left = right
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _member(left: ast.expr, right: ast.expr) -> Member:
    texts = (
        [e.value for e in right.elts if isinstance(e, ast.Constant)] if isinstance(right, (ast.List, ast.Tuple)) else []
    )
    if not isinstance(left, ast.Name) or not texts or not all(isinstance(t, str) for t in texts):
        raise _RefusedError('"in" needs a name on the left and a list of quoted texts on the right', left.col_offset)
    return Member(Var(left.id), tuple(str(t) for t in texts))


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node."""
    match node:
        case All(items) | Some(items):
            return items
        case Not(item):
            return (item,)
        case Arith(_, left, right) | Compare(_, left, right):
            return (left, right)
        case Member(left, _):
            return (left,)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def type_of(node: Node, types: Mapping[str, Type], problems: list[Problem]) -> Type | None:
    """The type of a node; unknown names and ill-typed parts are added to ``problems``."""
    match node:
        case Const():
            return "number"
        case Text():
            return "text"
        case Flag():
            return "truth"
        case Var(name):
            if name not in types:
                close = nearest(name, types)
                hint = f"did you mean {', '.join(close)}?" if close else "docs/controls.md lists the variables"
                problems.append(Problem("unknown name in a formula", got=name, remedy=hint))
            return types.get(name)
        case Not(item):
            return _all_of("truth", (item,), types, problems, "not")
        case All(items):
            return _all_of("truth", items, types, problems, "and")
        case Some(items):
            return _all_of("truth", items, types, problems, "or")
        case Arith(op, left, right):
            _all_of("number", (left, right), types, problems, op)
            return "number"
        case Member(left, _):
            return _all_of("text", (left,), types, problems, "in") and "truth"
        case Compare(op, left, right):
            return _compared(op, left, right, types, problems)


def _all_of(wanted: Type, items: tuple[Node, ...], types: Mapping[str, Type], problems: list[Problem], op: str) -> Type:
    for item in items:
        found = type_of(item, types, problems)
        if found is not None and found != wanted:
            problems.append(Problem(f"{op!r} needs a {wanted}, not a {found}", got=show(item)))
    return wanted


def _compared(op: str, left: Node, right: Node, types: Mapping[str, Type], problems: list[Problem]) -> Type:
    found = {type_of(left, types, problems), type_of(right, types, problems)} - {None}
    if found == {"date", "text"}:
        for side in (left, right):
            if isinstance(side, Text) and not _is_date(side.values[0]):
                problems.append(Problem("not a date", got=side.values[0], allowed='"2026-01-15"'))
    elif len(found) > 1:
        problems.append(Problem(f"{op!r} compares a {' with a '.join(sorted(str(f) for f in found))}", got=show(left)))
    elif found & {"truth", "text"} and op not in ("==", "!="):
        problems.append(Problem(f"{op!r} does not order a {found.pop()}", got=show(left), allowed="== or !="))
    return "truth"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def show(node: Node) -> str:
    """A node as text."""
    match node:
        case Const(value):
            return f"{value:g}"
        case Text(values):
            return ", ".join(repr(v) for v in values)
        case Flag(value):
            return str(value)
        case Var(name):
            return name
        case Not(item):
            return f"not {show(item)}"
        case All(items):
            return "(" + " and ".join(show(i) for i in items) + ")"
        case Some(items):
            return "(" + " or ".join(show(i) for i in items) + ")"
        case Arith(op, left, right) | Compare(op, left, right):
            return f"{show(left)} {op} {show(right)}"
        case Member(left, values):
            return f"{left.name} in [{', '.join(values)}]"
