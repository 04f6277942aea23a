"""The sites of a Python file: a walk over its syntax tree with import aliases resolved. Nothing is executed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import replace

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.model import Site
from wafer2token.stack.audit.names import UNKNOWN, Names

_ENV_NAME = re.compile(r"^[A-Z][A-Z0-9_]{3,}(=.*)?$", re.DOTALL)
_PLACING = {"cuda", "to", "to_empty", "pin_memory", "half", "bfloat16"}
_CUDA_SOURCE = re.compile(r"__global__|__device__|#\s*include\s*[<\"]")
_SKIPPED_ALONE = re.compile(r"^torch\.cuda\.synchronize(\(\))?$")
_REPORTERS = {"print", "debug", "info", "warning", "warn", "error", "log", "write"}
_PATHS = {"os.path.join", "pathlib.Path", "pathlib.PurePath"}
_LONG = 400  # characters; longer strings are prose or embedded programs and are scanned as text lines


def parse(source: str) -> ast.Module:
    """The syntax tree of a source text, quiet about its warnings. Raises SyntaxError, ValueError or RecursionError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


class PythonScan:
    """Walks one module; ``sites`` and ``imports`` hold what it found.

    Kinds of site: ``name`` (a dotted name, resolved), ``call`` (the same when called, with its arguments), ``method``
    and ``attribute`` (on a value of unknown type), ``string``, ``env``, ``import``, ``define``, ``decorator``.
    ``context`` is where a site stands: arg, keyword:<name>, compare, container, subscript, default or plain.
    """

    def __init__(self, module: str, is_package: bool, harmless: re.Pattern[str] | None = None):
        package = module if is_package else module.rpartition(".")[0]
        self._harmless = harmless
        self.names = Names(package)
        self.sites: list[Site] = []
        self.imports: list[str] = []
        self._guards: frozenset[str] = frozenset()
        self._context = "plain"
        self._depth = 0
        self._visitors: dict[type, Callable[..., None]] = {
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Attribute: self._dotted,
            ast.Name: self._dotted,
            ast.Call: self._call,
            ast.Constant: self._constant,
            ast.Compare: self._compare,
            ast.If: self._if,
            ast.IfExp: self._if_expression,
            ast.Try: self._try,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.Assign: self._assign,
            ast.Dict: self._container,
            ast.List: self._container,
            ast.Tuple: self._container,
            ast.Set: self._container,
            ast.Subscript: self._subscript,
            ast.Expr: self._expression,
        }

    def walk(self, tree: ast.Module) -> PythonScan:
        self._body(tree.body)
        return self

    # -- plumbing
    def _visit(self, node: ast.AST) -> None:
        visitor = self._visitors.get(type(node))
        if visitor is not None:
            visitor(node)
            return
        self._children(node)

    def _children(self, node: ast.AST) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST):
                        self._visit(item)
            elif isinstance(value, ast.AST):
                self._visit(value)

    def _body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self._visit(statement)

    def _within(self, extra: frozenset[str], statements: list[ast.stmt]) -> None:
        outer = self._guards
        self._guards = outer | extra
        self._body(statements)
        self._guards = outer

    def _in_context(self, context: str, node: ast.AST) -> None:
        outer = self._context
        self._context = context
        self._visit(node)
        self._context = outer

    def _add(self, kind: str, text: str, node: ast.expr | ast.stmt, arguments: tuple[tuple[str, str], ...] = (),
             detail: str = "") -> None:  # fmt: skip
        guarded = self._guards | {guards.LAZY} if kind == "import" and self._depth else self._guards
        self.sites.append(Site(kind, text, node.lineno, node.col_offset, self._context, guarded, arguments, detail))

    # -- statements
    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add("import", alias.name, node)
            self.imports.append(alias.name)
            if alias.asname:
                self.names.bind(alias.asname, alias.name)
            else:
                root = alias.name.partition(".")[0]
                self.names.bind(root, root)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = self.names.absolute(node.module, node.level)
        for alias in node.names:
            full = f"{module}.{alias.name}" if module else alias.name
            self._add("import", full, node, detail="relative" if node.level else "")
            self.imports.append(full)
            if alias.name != "*":
                self.names.bind(alias.asname or alias.name, full)

    def _if(self, node: ast.If) -> None:
        body, other = guards.of_test(node.test)
        if guards.chain_knows_npu(node):
            body, other = body | {guards.NPU_BRANCH}, other | {guards.NPU_BRANCH}
        outer = self._guards
        self._guards = outer | (body & {guards.NPU_BRANCH})
        first = len(self.sites)
        self._in_context("test", node.test)
        last = len(self.sites)
        self._guards = outer
        self._within(body, node.body)
        if guards.CUDA_ONLY in body and not node.orelse and self._decides_nothing(last):
            self._let_pass(first, last)
        self._within(other, node.orelse)

    def _let_pass(self, first: int, last: int) -> None:
        """Marks the queries of the device among the sites from ``first`` to ``last`` as deciding nothing."""
        self.sites[first:last] = [
            replace(s, context="harmless") if s.text.startswith("torch.cuda") else s for s in self.sites[first:last]
        ]

    def _decides_nothing(self, start: int) -> bool:
        """Whether the sites from ``start`` on do without a device: only calls that are harmless where CUDA is absent,
        or that nothing but a measured time depends on."""
        if self._harmless is None:
            return False
        for site in self.sites[start:]:
            asked = site.kind == "name" and site.text.startswith("torch.cuda")
            if asked and not self._harmless.search(site.text) and not _SKIPPED_ALONE.search(site.text):
                return False
            if site.kind == "method" and site.text in _PLACING:
                return False
            if site.kind == "string" and ("cuda" in site.text or "nccl" in site.text):
                return False
        return True

    def _if_expression(self, node: ast.IfExp) -> None:
        body, other = guards.of_test(node.test)
        outer = self._guards
        self._guards = outer | (body & {guards.NPU_BRANCH})
        self._in_context("test", node.test)
        self._guards = outer | body
        self._visit(node.body)
        self._guards = outer | other
        self._visit(node.orelse)
        self._guards = outer

    def _try(self, node: ast.Try) -> None:
        extra = frozenset({guards.OPTIONAL}) if guards.catches_imports(node) else frozenset[str]()
        self._within(extra, node.body)
        for handler in node.handlers:
            self._body(handler.body)
        self._body(node.orelse)
        self._body(node.finalbody)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._add("define", node.name, node)
        self._decorators(node.decorator_list)
        self._signature(node.args)
        if node.returns is not None:
            self._in_context("annotation", node.returns)
        self.names.push([a.arg for a in _parameters(node.args)])
        self._depth += 1
        self._body(node.body)
        self._depth -= 1
        self.names.pop()

    def _signature(self, arguments: ast.arguments) -> None:
        for parameter in _parameters(arguments):
            if parameter.annotation is not None:
                self._in_context("annotation", parameter.annotation)
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self._in_context("default", default)

    def _lambda(self, node: ast.Lambda) -> None:
        self._signature(node.args)
        self.names.push([a.arg for a in _parameters(node.args)])
        self._visit(node.body)
        self.names.pop()

    def _class(self, node: ast.ClassDef) -> None:
        self._add("define", node.name, node)
        self._decorators(node.decorator_list)
        for base in node.bases:
            self._in_context("base", base)
        for keyword in node.keywords:
            self._in_context("base", keyword.value)
        self._body(node.body)

    def _decorators(self, decorators: list[ast.expr]) -> None:
        for decorator in decorators:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            dotted = self.names.dotted(target)
            if dotted:
                self._add("decorator", dotted, decorator)
            self._in_context("decorator", decorator)

    def _assign(self, node: ast.Assign) -> None:
        outer = self._context
        self._context = "assign"
        self._visit(node.value)
        self._context = outer
        dotted = self.names.dotted(node.value) if isinstance(node.value, (ast.Attribute, ast.Name)) else None
        for target in node.targets:
            if isinstance(target, ast.Name):
                known = dotted if dotted and not dotted.startswith(UNKNOWN) else None
                if known or self.names.lookup(target.id):
                    self.names.bind(target.id, known)
                self._add("attribute", target.id, target, detail="target")
            else:
                self._visit(target)

    def _expression(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._visit(node.value)

    # -- expressions
    def _dotted(self, node: ast.Attribute | ast.Name) -> None:
        dotted = self.names.dotted(node)
        if dotted is None:
            return
        if not dotted.startswith(UNKNOWN):
            self._add("name", dotted, node)
        if isinstance(node, ast.Attribute):
            if dotted.startswith(UNKNOWN):
                self._add("attribute", dotted[len(UNKNOWN) + 1 :], node)
            self._inside(node.value)

    def _inside(self, node: ast.expr) -> None:
        """What stands within the chain below an attribute: the arguments of calls, other expressions."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            self._visit(node)

    def _call(self, node: ast.Call) -> None:
        dotted = self.names.dotted(node.func)
        arguments = _arguments(node)
        if dotted is not None and not dotted.startswith(UNKNOWN):
            self._add("call", dotted, node, arguments)
            self._add("name", dotted, node)
        elif isinstance(node.func, ast.Attribute):
            self._add("method", node.func.attr, node, arguments, detail=dotted or "")
            self._add("attribute", (dotted or UNKNOWN + "." + node.func.attr)[len(UNKNOWN) + 1 :], node)
        elif isinstance(node.func, ast.Name):
            self._add("call", node.func.id, node, arguments)
        if isinstance(node.func, ast.Attribute):
            self._inside(node.func.value)
        elif not isinstance(node.func, ast.Name):
            self._visit(node.func)
        if dotted == "importlib.import_module" and node.args and isinstance(node.args[0], ast.Constant):
            self._add("import", str(node.args[0].value), node)
        first = len(self.sites)
        for argument in node.args:
            self._in_context("path" if dotted in _PATHS else "arg", argument)
        for keyword in node.keywords:
            self._in_context(f"keyword:{keyword.arg or '**'}", keyword.value)
        if self._only_reports(node):
            self._let_pass(first, len(self.sites))

    def _only_reports(self, node: ast.Call) -> bool:
        """Whether a call prints or logs what its arguments say, with no other call among them."""
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in _REPORTERS:
            return False
        inner = [n.func for a in node.args for n in ast.walk(a) if isinstance(n, ast.Call)]
        return all((self.names.dotted(f) or "").startswith("torch.cuda.") for f in inner)

    def _constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str) or not node.value:
            return
        if len(node.value) > _LONG or "\n" in node.value:
            kind = "native" if _CUDA_SOURCE.search(node.value) else "text"
            for offset, line in enumerate(node.value.splitlines()):
                if line.strip():
                    inner = Site(kind, line, node.lineno + offset, 0, "embedded", self._guards)
                    self.sites.append(inner)
            return
        self._add("string", node.value, node)
        if _ENV_NAME.match(node.value):
            name, assigned, _ = node.value.partition("=")
            self._add("text" if assigned else "env", node.value if assigned else name, node)

    def _compare(self, node: ast.Compare) -> None:
        extra = guards.NPU_BRANCH if guards.speaks_of_npu(guards.words(node)) else ""
        outer = self._guards
        if extra:
            self._guards = outer | {extra}
        for part in [node.left, *node.comparators]:
            self._in_context("compare", part)
        self._guards = outer

    def _container(self, node: ast.Dict | ast.List | ast.Tuple | ast.Set) -> None:
        outer = self._guards
        if _lists_npu(node):
            self._guards = outer | {guards.NPU_BRANCH}
        context = "compare" if self._context == "compare" else "container"
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if key is not None:
                    self._in_context("key", key)
            for value in node.values:
                self._in_context(context, value)
        else:
            for item in node.elts:
                self._in_context(context, item)
        self._guards = outer

    def _subscript(self, node: ast.Subscript) -> None:
        self._visit(node.value)
        self._in_context("subscript", node.slice)


def _lists_npu(node: ast.Dict | ast.List | ast.Tuple | ast.Set) -> bool:
    items = node.keys if isinstance(node, ast.Dict) else node.elts
    texts = [i.value for i in items if isinstance(i, ast.Constant) and isinstance(i.value, str)]
    return any(guards.speaks_of_npu(t) for t in texts)


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _arguments(node: ast.Call) -> tuple[tuple[str, str], ...]:
    """Arguments that are plain constants or names, as (position or keyword, text)."""
    found: list[tuple[str, str]] = []
    for position, argument in enumerate(node.args):
        text = _plain(argument)
        if text is not None:
            found.append((str(position), text))
    for keyword in node.keywords:
        text = _plain(keyword.value)
        found.append((keyword.arg or "**", "" if text is None else text))
    return tuple(found)


def _plain(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return None
