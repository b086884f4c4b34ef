"""Functions take few arguments, and a number reaches its layer without being copied, by the AST."""

import ast
from collections.abc import Iterator

import yaml

from tests.conftest import ROOT

FOLDERS = ("lessonpipe", "lessons", "tasks", "flows")
MOST_ARGUMENTS = 7
COMMAND = "lessonpipe/app/restore.py restore"  # whose arguments are its options
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text())


def functions(node: ast.AST, parent: ast.AST | None = None) -> Iterator[tuple[str, bool, Function]]:
    """Each function with its name, and whether it makes a layer: `conv`, a module's `__init__`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            bases = parent.bases if isinstance(parent, ast.ClassDef) else []
            layer = any(ast.unparse(base).startswith("nn.") for base in bases)
            name = f"{parent.name}.{child.name}" if isinstance(parent, ast.ClassDef) else child.name
            yield name, name == "conv" or (layer and child.name == "__init__"), child
        yield from functions(child, child)


def arguments(function: Function) -> tuple[int, int]:
    """How many arguments there are, and how many of them have no default; `self` aside."""
    args = function.args
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    count = len([name for name in names if name not in ("self", "cls")])
    defaults = len(args.defaults) + sum(default is not None for default in args.kw_defaults)
    return count, count - defaults


def test_no_function_has_more_than_seven_arguments_but_a_layer_with_defaults() -> None:
    checked, wrong = 0, []
    for file, tree in trees(*FOLDERS):
        for name, layer, function in functions(tree):
            count, required = arguments(function)
            checked += 1
            if (required if layer else count) > MOST_ARGUMENTS:
                wrong.append(f"{file} {name}")
    assert checked > 500
    assert wrong == [COMMAND]


def test_attention_is_written_five_times_from_params_to_the_layer() -> None:
    found = []
    net = yaml.safe_load((ROOT / "params.yaml").read_text())["pretrain_generator"]["net"]
    found += ["params.yaml"] * ("attention" in net)
    for file, tree in trees("lessonpipe", "tasks"):
        for node in ast.walk(tree):
            value = isinstance(node, ast.Name) and node.id == "attention"
            value |= isinstance(node, ast.arg | ast.keyword) and node.arg == "attention"
            value |= isinstance(node, ast.Constant) and node.value == "attention"
            if isinstance(node, ast.Attribute) and node.attr == "attention":
                value = ast.unparse(node.value) != "self"  # which is the layer
            if value:
                found.append(f"{file}:{node.lineno}")
    assert len(found) == 5, found
