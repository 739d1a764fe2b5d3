"""A program that `torch.export.save` wrote (`.pt2`), read without running anything that the file brings.

`torch.export.load` is made for files that one trusts. So every record of the archive is looked at first, and what is
more than tensors, expressions of sizes, and calls of torch's own operators on them is refused by name.
"""

import ast
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.denoisers.loading.batches import in_batches_of
from core.denoisers.loading.given import Given, as_denoiser
from core.denoisers.protocol import SigmaDenoiser
from core.errors import InputError
from core.tensors import first_words

RECORDS = re.compile(
    r"archive_format|archive_version|version|byteorder|\.data/\w+|models/model\.json|extra/.*|"
    r"data/(weights/(weight_\d+|model_weights_config\.json|model\.pt)|"
    r"constants/(tensor_\d+|model_constants_config\.json|model\.pt)|sample_inputs/model\.pt)"
)
OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
NUMBERS = re.compile(r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_)|"
                     r"torch\.sym_(int|float|min|max|not)|math\.(ceil|floor|trunc)")  # fmt: skip
FLOAT = 7  # float32, as the file writes it
TEXTS = {"approximate", "mode", "rounding_mode", "padding", "padding_mode", "equation", "reduce", "layout", "indexing"}
NAME = re.compile(r"[\w.+-]*")  # of tensors, weights, devices, versions
SYMBOLS = {  # what sizes are made of, in expressions and guards
    *("Symbol", "Integer", "Add", "Mul", "Pow", "Rational", "Max", "Min", "Mod", "FloorDiv", "CeilDiv", "CleanDiv"),
    *("PythonMod", "ModularIndexing", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "StrictLessThan", "StrictGreaterThan"),
    *("LessThan", "GreaterThan", "Equality", "Unequality", "Not", "And", "Or", "L", "min", "max"),
}
METHODS = {"size", "stride", "storage_offset", "dim"}
NODES = (
    *(ast.Expression, ast.Call, ast.Name, ast.Load, ast.keyword, ast.Constant, ast.Compare, ast.BoolOp, ast.BinOp),
    *(ast.UnaryOp, ast.Subscript, ast.Attribute, ast.operator, ast.boolop, ast.unaryop, ast.cmpop),
)


def load_exported(path: Path, given: Given, *, device: str = "cpu") -> SigmaDenoiser:
    """The denoiser of an exported program; what the file does not say stands in `FILE.json` or is given.

    Raises:
        InputError: naming the file, if it is no such program, or holds anything that could execute code.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    program = checked_program(raw, source=str(path))
    shapes = _input_shapes(program, str(path))
    try:
        from torch.export.pt2_archive._package import load_pt2  # what torch.export.load reads archives with

        module = load_pt2(io.BytesIO(raw)).exported_programs["model"].module().to(device)
    except Exception as error:  # torch's own, of many kinds: the file comes from outside
        raise InputError(f"{path}: torch cannot read this program ({first_words(str(error))})") from error
    for weight in module.parameters():
        weight.requires_grad_(False)
    return as_denoiser(
        in_batches_of(_runs(module, device), _fixed(shapes[0][0])),
        len(shapes),
        given.or_else(Given.beside(path)).or_else(Given(shape=_image(shapes[0]))),
        source=str(path),
    )


def _runs(module: Callable[..., Any], device: str) -> Callable[..., Tensor]:
    def network(x: Tensor, *level: Tensor) -> Tensor:
        out = module(x.to(device, torch.float32), *(s.to(device, torch.float32) for s in level))
        return out.to(x.device, x.dtype)

    return network


def checked_program(raw: bytes, *, source: str) -> dict[str, Any]:
    """The program's description, a JSON object, if nothing in the archive could execute code.

    The records are read by torch's own reader, which also loads them: another reader of zip archives could be shown
    others.

    Raises:
        InputError: naming `source`, and the record or entry that is refused.
    """
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(raw))
        records = {name: reader.get_record(name) for name in reader.get_all_records()}
    except RuntimeError as error:
        raise InputError(f"{source}: no program of torch.export.save (not a zip archive of torch's)") from error
    for name, record in records.items():
        if not RECORDS.fullmatch(name):
            raise InputError(
                f"{source}: holds {first_words(name, 80)}, which may execute code; expected weights and a graph"
            )
        if name.endswith(".pt"):
            _only_tensors(record, f"{source}: {name}")
        if name.endswith("_config.json"):
            _check_payload(_json(record, source), source)
    if "models/model.json" not in records:
        raise InputError(
            f"{source}: holds no models/model.json, expected what torch.export.save writes since torch 2.8"
        )
    program = _json(records["models/model.json"], source)
    for place, text in _texts(program):
        _check_text(place, text, source)
    return program


def _json(record: bytes, source: str) -> dict[str, Any]:
    try:
        value = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: holds damaged JSON") from error
    if not isinstance(value, dict):
        raise InputError(f"{source}: holds a {type(value).__name__}, expected a JSON object")
    return value


def _check_payload(config: dict[str, Any], source: str) -> None:
    entries = config.get("config")
    if not isinstance(entries, dict) or not all(isinstance(payload, dict) for payload in entries.values()):
        raise InputError(f"{source}: holds a damaged list of weights")
    for entry, payload in entries.items():
        if payload.get("use_pickle") is not False:
            raise InputError(f"{source}: {first_words(entry, 80)} is pickled, which may execute code")


def _only_tensors(record: bytes, source: str) -> None:
    try:
        torch.load(io.BytesIO(record), map_location="cpu", weights_only=True)
    except Exception as error:  # zip and pickle errors alike
        raise InputError(f"{source} holds more than tensors, which may execute code") from error


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON value but its notes on where a node came from, with the key that it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "metadata":
                yield "key", key
                yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, place)
    elif isinstance(value, str):
        yield place, value


def _check_text(place: str, text: str, source: str) -> None:
    if place in ("expr_str", "guards_code"):
        fine = _plain_expression(text)
    elif place == "target":
        fine = _plain_operator(text)
    elif place in ("in_spec", "out_spec", "as_string"):
        return  # JSON, read as JSON; or an argument, which `_plain_operator` allows for operators that take a mode
    else:
        fine = bool(NAME.fullmatch(text))
    if not fine:
        raise InputError(
            f"{source}: {place} {first_words(text, 80)!r} may execute code; expected torch's own operators"
        )


def _plain_operator(target: str) -> bool:
    """Whether a call is of an operator of tensors or arithmetic of sizes that neither opens files nor runs code."""
    if NUMBERS.fullmatch(target):
        return True
    found = OPERATOR.fullmatch(target)
    overload = getattr(getattr(torch.ops.aten, found[1], None), found[2], None) if found else None
    if not isinstance(overload, torch._ops.OpOverload):
        return False
    arguments = overload._schema.arguments
    return all("str" not in str(argument.type) or argument.name in TEXTS for argument in arguments)


def _plain_expression(text: str) -> bool:
    """Whether an expression of sizes consists of numbers, symbols and known functions only."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in nodes:
        if not isinstance(node, NODES):
            return False
        if isinstance(node, ast.Name) and node.id not in SYMBOLS and not re.fullmatch(r"[suz]\d+", node.id):
            return False
        if isinstance(node, ast.Attribute) and node.attr not in METHODS:
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isidentifier():
            return False
    return True


def _input_shapes(program: dict[str, Any], source: str) -> list[list[dict[str, Any]]]:
    """The sizes of what the user hands in, in order, as the file writes them."""
    try:
        module = program["graph_module"]
        specs = [spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec]
        values = [module["graph"]["tensor_values"][spec["as_tensor"]["name"]] for spec in specs]
        kinds, sizes = [value["dtype"] for value in values], [value["sizes"] for value in values]
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}: takes something else than tensors, expected images and a level") from error
    if not sizes or len(sizes[0]) != 4 or any(len(size) != 1 for size in sizes[1:]) or set(kinds) != {FLOAT}:
        found = ", ".join(f"{len(size)} dimensions of kind {kind}" for size, kind in zip(sizes, kinds, strict=True))
        raise InputError(
            f"{source}: takes {found or 'nothing'}; expected images (b, c, h, w), or these and a level or time (b,), "
            f"as float32 (kind {FLOAT})"
        )
    return sizes


def _fixed(size: dict[str, Any]) -> int | None:
    return size.get("as_int")


def _image(sizes: list[dict[str, Any]]) -> tuple[int, int, int] | None:
    sides = [_fixed(size) for size in sizes[1:]]
    known = [side for side in sides if side is not None]
    return (known[0], known[1], known[2]) if len(known) == len(sides) == 3 else None
