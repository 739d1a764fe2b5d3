"""Runs the published training script's own loop on a stand-in network, and says what it does (Topeza 2025, section 4).

The script is read as text. Its options are those that it declares; its loader, its optimiser and its loop over epochs
are taken out of it and run as they stand, with a network of one weight, four images and an epoch that trains nothing.
"""

import ast
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audit.measures.record import record
from core.errors import InputError
from fixtures.published.files import Published
from reports.record import ClaimRecord

EPOCHS = 6  # of the run whose records are counted
OPTIMISERS = {name: getattr(torch.optim, name) for name in ("Adam", "AdamW", "SGD", "RMSprop")}


def options(main: str) -> Namespace:
    """The options that the script declares, at their defaults."""
    found: dict[str, Any] = {}
    for call in (node for node in ast.walk(ast.parse(main)) if isinstance(node, ast.Call)):
        if ast.unparse(call.func).endswith(".add_argument"):
            given = {word.arg: word.value for word in call.keywords}
            name = str(ast.literal_eval(call.args[0])).lstrip("-")
            found[name] = ast.literal_eval(given["default"]) if "default" in given else None
    return Namespace(**found)


def taken(source: str, name: str, names: dict[str, Any]) -> Any:
    """A function of the script, or the value that it assigns to `name`, made with these names at hand.

    Raises:
        InputError: if the script defines no such thing.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            space = dict(names)
            exec(compile(ast.Module([node], []), "published script", "exec"), space)
            return space[name]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            code = compile(ast.Expression(node.value), "published script", "eval")
            return eval(code, dict(names))
    raise InputError(f"published training script: found no {name}; expected the script as published")


class Board:
    """Stands in for TensorBoard's writer: keeps the epochs of every curve."""

    def __init__(self) -> None:
        self.epochs: dict[str, set[int]] = {}

    def add_scalar(self, name: str, value: float, global_step: int) -> None:
        """Keep one value's epoch."""
        self.epochs.setdefault(name, set()).add(global_step)

    def add_scalars(self, name: str, values: Any, global_step: int) -> None:
        """Keep the epoch of several."""
        self.add_scalar(name, 0.0, global_step)

    def close(self) -> None:
        """Nothing is open."""


class Run:
    """One run of the published loop: the learning rate of every epoch, what was written, and what is left of it.

    Args:
        scripts: `main.py` and `trainer.py`, as text.
        folder: where the loop saves.
        epochs: how many; by default as many as the script declares.
    """

    def __init__(self, scripts: tuple[str, str], folder: Path, epochs: int | None = None) -> None:
        main, loop = scripts
        self.options, self.board = options(main), Board()
        self.rates: list[float] = []
        self.options.device, self.options.dir_name = torch.device("cpu"), str(folder)
        self.options.num_epochs = epochs or self.options.num_epochs
        self.model = nn.Linear(1, 1, bias=False)
        names = {**OPTIMISERS, "model": self.model, "args": self.options, "filter": filter}
        self.optimiser = taken(main, "optimizer", names)
        self.loader, _ = taken(main, "make_loader", {"DataLoader": DataLoader})(images(), images(), self.options)
        self.folder, self.written = folder, 0
        plain: Any = DataLoader(images())  # type: ignore[arg-type]
        run = taken(loop, "run_training", self._stand_ins())
        run(self.model, plain, plain, None, self.optimiser, self.options)

    def _stand_ins(self) -> dict[str, Any]:
        def train_epoch(model: nn.Module, *_: Any) -> tuple[nn.Module, float, float]:
            self.rates.append(self.optimiser.param_groups[0]["lr"])
            with torch.no_grad():
                model.weight.fill_(len(self.rates))  # type: ignore[union-attr,operator]
            return model, 0.0, 0.0

        def save(state: Any, path: str) -> None:
            self.written += 1
            torch.save(state, path)

        silent = dict.fromkeys(("plot_loss", "plot_psnr", "show_denoised_range", "calc_psnr", "print"), nothing)
        torch_like = Namespace(save=save, logspace=torch.logspace, no_grad=torch.no_grad)
        clock, board = Namespace(time=lambda: 0.0), lambda log_dir: self.board
        names = {"time": clock, "torch": torch_like, "SummaryWriter": board, "test_epoch": lambda *_: (0.0, 0.0)}
        return {**names, **silent, "train_epoch": train_epoch}

    @property
    def left(self) -> set[int]:
        """Epochs whose weights lie in the folder after the run."""
        files = [torch.load(path, weights_only=True) for path in self.folder.rglob("*.pt")]
        return {int(next(iter(state.values())).item()) - 1 for state in files}


def nothing(*_: Any, **__: Any) -> None:
    """Stands in for what draws or prints."""


def images() -> Tensor:
    """Four black images."""
    return torch.zeros(4, 1, 8, 8)


def optimiser_measures(scripts: tuple[str, str], folder: Path) -> dict[str, Any]:
    """What T-optimiser is judged by: the optimiser, its rate in every epoch, epochs and batch of the script."""
    run = Run(scripts, folder)
    expected = [0.001 * 0.5 ** (epoch // 100) for epoch in range(len(run.rates))]
    return {
        "optimiser": type(run.optimiser).__name__,
        "learning_rate": run.rates[0],
        "epochs": len(run.rates),
        "batch": run.loader.batch_size,
        "epochs_at_another_rate": sum(a != b for a, b in zip(run.rates, expected, strict=True)),
    }


def monitoring_measures(scripts: tuple[str, str], folder: Path) -> dict[str, int]:
    """What T-monitoring is judged by: of `EPOCHS` epochs those without records, and those whose checkpoint is gone."""
    run = Run(scripts, folder, EPOCHS)
    both = {
        what: [run.board.epochs.get(f"{what}/{of}", set()) for of in ("Train", "Test")] for what in ("Loss", "PSNR")
    }
    return {
        "epochs without a loss": EPOCHS - len(both["Loss"][0] & both["Loss"][1]),
        "epochs without a PSNR": EPOCHS - len(both["PSNR"][0] & both["PSNR"][1]),
        "epochs in which no checkpoint is written": max(0, EPOCHS - run.written),
        "epochs whose checkpoint is gone at the end": EPOCHS - len(run.left & set(range(EPOCHS))),
    }


def record_trainer(evidence: ClaimRecord, published: Published, folder: Path, measure: Any, n: int) -> None:
    """What the published script does, where the checkout holds it (T-optimiser, T-monitoring)."""
    with evidence.attempt("published"):
        scripts = published.scripts
        note = "code/main.py and code/trainer.py of the published repository, their loop run with a stand-in network"
        record(evidence, measure(scripts, folder), kind="published", n=n, note=note)
