"""Shapes and live bytes of the tiles in a Triton kernel, by abstract interpretation of its source."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

Shape = tuple[str, ...]
_BYTES = {
    "float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "float16": 2, "bfloat16": 2,
    "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "int1": 1, "float8e4nv": 1, "float8e5": 1, "float8e4b8": 1,
}  # fmt: skip
_REDUCE = {"sum", "max", "min", "argmax", "argmin", "xor_sum", "reduce"}
_MAKE = {"zeros", "full"}
_SCALARS = {"program_id", "num_programs", "cdiv", "next_power_of_2", "multiple_of", "max_contiguous"}
COMPUTED_BYTES = 4  # Triton's arithmetic on half types goes through float32


@dataclass(frozen=True)
class Tile:
    """What an expression is: a shape of symbolic extents, bytes per element (low and high) and whether it holds data."""

    shape: Shape = ()
    low: int = 0
    high: int = 0
    data: bool = False


SCALAR = Tile()


@dataclass
class Interval:
    """Where a tile is alive, in statement order."""

    tile: Tile
    first: int
    last: int


@dataclass
class KernelTiles:
    """The data tiles of one kernel with their lifetimes; ``names`` are the symbols their shapes depend on."""

    name: str
    line: int
    parameters: tuple[str, ...]
    defaults: Mapping[str, int]
    intervals: list[Interval] = field(default_factory=list)

    def names(self) -> set[str]:
        """The symbols that the shapes depend on."""
        found: set[str] = set()
        for interval in self.intervals:
            for extent in interval.tile.shape:
                found |= {n.id for n in ast.walk(ast.parse(extent, mode="eval")) if isinstance(n, ast.Name)}
        return found

    def live_bytes(self, values: Mapping[str, int]) -> tuple[int, int] | None:
        """Most bytes alive at once, with 2-byte and with 4-byte loads; None where an extent has no value."""
        known = {**self.defaults, **values}
        sized: list[tuple[Interval, int]] = []
        for interval in self.intervals:
            elements = 1
            for extent in interval.tile.shape:
                value = evaluate(ast.parse(extent, mode="eval").body, known)
                if value is None:
                    return None
                elements *= value
            sized.append((interval, elements))
        points = {i.first for i, _ in sized}
        low = max((sum(n * i.tile.low for i, n in sized if i.first <= p <= i.last) for p in points), default=0)
        high = max((sum(n * i.tile.high for i, n in sized if i.first <= p <= i.last) for p in points), default=0)
        return low, high


def evaluate(node: ast.expr, values: Mapping[str, int]) -> int | None:
    """The integer that an expression of names and integers is, None where it is not one.

    Where the value is not fixed but bounded, the largest: the known arguments of ``min``, the larger branch of a choice.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int) else None
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.BinOp):
        left, right = evaluate(node.left, values), evaluate(node.right, values)
        if left is None or right is None:
            return None
        return _arithmetic(node.op, left, right)
    if isinstance(node, ast.IfExp):
        branches = [evaluate(node.body, values), evaluate(node.orelse, values)]
        return max(b for b in branches if b is not None) if None not in branches else None
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        numbers = [evaluate(a, values) for a in node.args]
        known = [n for n in numbers if n is not None]
        if name == "min" and known:
            return min(known)
        if len(known) != len(numbers) or not known:
            return None
        if name == "cdiv" and len(known) == 2 and known[1]:
            return -(-known[0] // known[1])
        if name == "next_power_of_2":
            return 1 << max(known[0] - 1, 0).bit_length()
        if name == "max":
            return max(known)
    return None


def _arithmetic(operator: ast.operator, left: int, right: int) -> int | None:
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.FloorDiv) and right:
        return left // right
    if isinstance(operator, ast.Pow) and 0 <= right < 64:
        return int(left**right)
    return left << right if isinstance(operator, ast.LShift) and 0 <= right < 64 else None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class KernelReader:
    """Reads one kernel function into ``KernelTiles``."""

    def __init__(self, function: ast.FunctionDef):
        parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        defaults = dict(
            zip([p.arg for p in reversed(function.args.args)], reversed(function.args.defaults), strict=False)
        )
        numbers = {k: evaluate(v, {}) for k, v in defaults.items()}
        known = {k: v for k, v in numbers.items() if v is not None}
        self.tiles = KernelTiles(function.name, function.lineno, tuple(p.arg for p in parameters), known)
        self._environment: dict[str, Tile] = {}
        self._open: dict[str, Interval] = {}
        self._clock = 0
        self._block(function.body)

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self._clock += 1
            if isinstance(statement, (ast.For, ast.While)):
                before = set(self._open)
                if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
                    self._environment[statement.target.id] = SCALAR
                self._block(statement.body)
                used = _loaded(statement)
                for name in before & used & set(self._open):
                    self._open[name].last = self._clock
            elif isinstance(statement, (ast.If, ast.With)):
                self._use(statement.test if isinstance(statement, ast.If) else None)
                self._block(statement.body)
                self._block(statement.orelse if isinstance(statement, ast.If) else [])
            else:
                self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        value = getattr(statement, "value", None)
        self._use(value)
        if isinstance(statement, ast.Assign):
            tile = self.tile(statement.value)
            for target in statement.targets:
                names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                for name in names:
                    if isinstance(name, ast.Name):
                        self._bind(name.id, tile)
        elif isinstance(statement, ast.AnnAssign) and statement.value and isinstance(statement.target, ast.Name):
            self._bind(statement.target.id, self.tile(statement.value))
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            old = self._environment.get(statement.target.id, SCALAR)
            self._bind(statement.target.id, _join([old, self.tile(statement.value)]))

    def _bind(self, name: str, tile: Tile) -> None:
        self._environment[name] = tile
        if tile.data and tile.shape:
            current = self._open.get(name)
            if current is not None and current.tile.shape == tile.shape:
                current.last = self._clock
                return
            self._open[name] = Interval(tile, self._clock, self._clock)
            self.tiles.intervals.append(self._open[name])
        else:
            self._open.pop(name, None)

    def _use(self, node: ast.expr | None) -> None:
        if node is None:
            return
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self._open:
                self._open[part.id].last = self._clock

    def tile(self, node: ast.expr) -> Tile:
        """What an expression is."""
        if isinstance(node, ast.Name):
            return self._environment.get(node.id, SCALAR)
        if isinstance(node, ast.BinOp):
            return _join([self.tile(node.left), self.tile(node.right)])
        if isinstance(node, ast.UnaryOp):
            return self.tile(node.operand)
        if isinstance(node, ast.Compare):
            joined = _join([self.tile(node.left), *map(self.tile, node.comparators)])
            return Tile(joined.shape)
        if isinstance(node, ast.IfExp):
            return _join([self.tile(node.body), self.tile(node.orelse)])
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        return SCALAR

    def _subscript(self, node: ast.Subscript) -> Tile:
        inner = self.tile(node.value)
        axes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        shape: list[str] = []
        extents = iter(inner.shape)
        for axis in axes:
            if isinstance(axis, ast.Constant) and axis.value is None:
                shape.append("1")
            else:
                shape.append(next(extents, "1"))
        return Tile((*shape, *extents), inner.low, inner.high, inner.data)

    def _call(self, node: ast.Call) -> Tile:
        name = _last_name(node.func)
        if name == "arange" and len(node.args) == 2:
            start, stop = (ast.unparse(a) for a in node.args)
            return Tile((stop if start == "0" else f"({stop}) - ({start})",))
        if name in _MAKE:
            return self._made(node)
        if name == "make_block_ptr":
            shape = next((k.value for k in node.keywords if k.arg == "block_shape"), None)
            return Tile(_extents(shape))
        if name == "load" and node.args:
            return Tile(self.tile(node.args[0]).shape, 2, COMPUTED_BYTES, True)
        if name in _SCALARS:
            return self.tile(node.args[0]) if name.startswith("m") and node.args else SCALAR
        if name == "to" and isinstance(node.func, ast.Attribute):
            inner = self.tile(node.func.value)
            size = _BYTES.get(_last_name(node.args[0]) if node.args else "", 0)
            return Tile(inner.shape, size or inner.low, size or inner.high, inner.data)
        if name == "dot" and len(node.args) >= 2:
            left, right = self.tile(node.args[0]).shape, self.tile(node.args[1]).shape
            return Tile((left[:1] or ("1",)) + (right[-1:] or ("1",)), COMPUTED_BYTES, COMPUTED_BYTES, True)
        if name in _REDUCE:
            return self._reduced(node)
        inner_value = [self.tile(node.func.value)] if isinstance(node.func, ast.Attribute) else []
        return _join([*inner_value, *map(self.tile, node.args)])

    def _made(self, node: ast.Call) -> Tile:
        dtype = next(
            (k.value for k in node.keywords if k.arg == "dtype"), node.args[-1] if len(node.args) > 1 else None
        )
        size = _BYTES.get(_last_name(dtype) if dtype is not None else "", COMPUTED_BYTES)
        shape = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "shape"), None)
        return Tile(_extents(shape), size, size, True)

    def _reduced(self, node: ast.Call) -> Tile:
        inner = self.tile(node.args[0]) if node.args else SCALAR
        axis = next((k.value for k in node.keywords if k.arg == "axis"), node.args[1] if len(node.args) > 1 else None)
        position = evaluate(axis, {}) if axis is not None else None
        if position is None or not -len(inner.shape) <= position < len(inner.shape):
            return SCALAR
        position %= len(inner.shape)
        shape = inner.shape[:position] + inner.shape[position + 1 :]
        return Tile(shape, COMPUTED_BYTES, COMPUTED_BYTES, inner.data)


def _extents(node: ast.expr | None) -> Shape:
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(ast.unparse(e) for e in node.elts)
    return (ast.unparse(node),) if node is not None else ()


def _join(tiles: list[Tile]) -> Tile:
    """The broadcast of several tiles; data wins over indices, wide over narrow."""
    rank = max((len(t.shape) for t in tiles), default=0)
    shape = ["1"] * rank
    for tile in tiles:
        for back, extent in enumerate(reversed(tile.shape), 1):
            if extent != "1":
                shape[-back] = extent
    data = any(t.data for t in tiles)
    low = max((t.low for t in tiles), default=0)
    return Tile(tuple(shape), low, COMPUTED_BYTES if data else 0, data) if data else Tile(tuple(shape))


def _loaded(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
