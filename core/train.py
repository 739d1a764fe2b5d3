"""Implements the denoiser training of Topeza (2025), section 4, on Lightning Fabric.

Images stay on the device; repetition and noise are indices and generators, never copies of the data. Every random
number of an epoch follows from (seed, epoch, rank), so a resumed run continues bit for bit on CPU.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn

from core.checkpoint import load_state, pack, save_state, tensor_sha256, unpack
from core.errors import InputError
from core.files import sha256_text, write_atomic
from core.presets import TrainConfig
from core.schedule import epoch_order, generator, learning_rate, noise_levels
from core.unet import UNet

TRAINER_VERSION = 1
"""Raised whenever a change of the code changes the weights that a configuration and a seed give."""

HISTORY = "history.jsonl"
History = list[dict[str, Any]]
Progress = Callable[[int, int], None]
OnEpoch = Callable[[dict[str, Any]], None]
PRECISION = {"32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed"}


class Diverged(InputError):
    """The loss stopped being finite; the state of the last good epoch is kept."""


@dataclass
class TrainResult:
    """A network in evaluation mode with its history, one row an epoch; an imported one has no options or seed."""

    model: UNet
    history: History
    config: TrainConfig | None
    seed: int | None


def build_model(config: TrainConfig, seed: int) -> UNet:
    """The untrained network of a seed."""
    source = generator("cpu", seed, "weights")
    model = UNet(config.base_channels, config.blocks, config.in_channels, generator=source)
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def squared_errors(model: nn.Module, clean: Tensor, law: str, source: torch.Generator) -> Tensor:
    """Squared denoising error of each image at its own random noise level, summed over pixels: (b,)."""
    sigma = noise_levels(len(clean), law, source)
    noise = torch.randn(clean.shape, generator=source, device=clean.device) * sigma
    return (model(clean + noise) - noise).float().square().sum(dim=(1, 2, 3))


def psnr(errors: Tensor, pixels: int) -> Tensor:
    """PSNR in dB for a peak of 1, of squared errors summed over `pixels` values."""
    return -10 * torch.log10(errors / pixels)


def training_identity(images: Tensor, config: TrainConfig, seed: int) -> str:
    """Hash of everything that determines the weights: images in order, options, seed, trainer version."""
    parts = {"images": tensor_sha256(images), "config": config.to_dict(), "seed": seed, "trainer": TRAINER_VERSION}
    return sha256_text(json.dumps(parts, sort_keys=True))


def check_images(images: Tensor, config: TrainConfig, name: str = "images") -> None:
    """Raise `InputError` unless `images` is (n >= 1, c, size, size) float32 in [0, 1], as `config` says."""
    wanted = (config.in_channels, config.image_size, config.image_size)
    if images.ndim != 4 or tuple(images.shape[1:]) != wanted or not len(images):
        raise InputError(f"{name}: got shape {tuple(images.shape)}, expected (n >= 1, {', '.join(map(str, wanted))})")
    if images.dtype != torch.float32:
        raise InputError(f"{name}: got {images.dtype}, expected torch.float32")
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):
        raise InputError(f"{name}: values from {low:g} to {high:g}, expected [0, 1]")


def train(
    images: Tensor,
    config: TrainConfig,
    *,
    seed: int,
    directory: Path | str | None = None,
    device: str = "cpu",
    devices: int = 1,
    progress: Progress | None = None,
    on_epoch: OnEpoch | None = None,
    test_images: Tensor | None = None,
) -> TrainResult:
    """Train a denoiser on `images`, or go on where `directory` stopped.

    Args:
        images: (n, c, size, size) float32 in [0, 1].
        config: options; `preset(name).train` has the scales.
        seed: of the initial weights, the order and the noise.
        directory: where the state is saved after every epoch; nothing is saved if absent.
        device: `cpu`, `cuda` or `mps`.
        devices: processes, one device each; the batch is divided among them.
        progress: called with (images shown, images in all) after every batch; after every epoch with several devices.
        on_epoch: called with the row of history after every epoch.
        test_images: held-out images; their loss and PSNR enter the history and change nothing else.

    Raises:
        Diverged: if the loss is not finite, with the step; the last good state is kept.
        InputError: for bad images, options or a directory that cannot be written or belongs to another training.
    """
    check_images(images, config)
    if test_images is not None:
        check_images(test_images, config, "test_images")
    if devices < 1 or config.batch % (devices * config.accumulate):
        raise InputError(
            f"batch: got {config.batch}, expected a multiple of devices x accumulate = {devices} x {config.accumulate}"
        )
    folder = Path(directory) if directory is not None else None
    identity = training_identity(images, config, seed) if folder else ""
    run = _Run(images, test_images, config, seed, folder, identity)
    fabric = _fabric(device, devices, config)
    if devices == 1:
        state, history = _fit(fabric, run, progress, on_epoch)
    else:
        with _follow(run, progress, on_epoch):
            # plain values: the launcher walks what it passes on, and refuses frozen dataclasses
            plain = (images, test_images, config.to_dict(), seed, str(folder) if folder else "", identity)
            outcome = fabric.launch(_fit_in_process, *plain)  # type: ignore[arg-type]
        if isinstance(outcome, InputError):
            raise outcome
        state, history = unpack(outcome[0], source="worker"), outcome[1]
    model = UNet(config.base_channels, config.blocks, config.in_channels)
    model.load_state_dict(state)
    return TrainResult(model.eval(), history, config, seed)


@dataclass
class _Run:
    images: Tensor
    test_images: Tensor | None
    config: TrainConfig
    seed: int
    directory: Path | None
    identity: str


def _fabric(device: str, devices: int, config: TrainConfig) -> Fabric:
    strategy = DDPStrategy(start_method="spawn", broadcast_buffers=False) if devices > 1 else "auto"
    try:
        precision: Any = PRECISION[config.precision]
        return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=precision)
    except Exception as error:  # Fabric has an exception for each accelerator that is not there
        raise InputError(f"device: {device} x {devices} cannot be used here ({error})") from error


def _fit(
    fabric: Fabric, run: _Run, progress: Progress | None = None, on_epoch: OnEpoch | None = None
) -> tuple[dict[str, Tensor], History]:
    config = run.config
    with _numerics(config):
        bare = build_model(config, run.seed)
        optimizer = torch.optim.Adam(bare.parameters(), lr=config.learning_rate, fused=True)
        model, optimizer = fabric.setup(_compiled(bare, config, fabric.device), optimizer)
        history: History = []
        if run.directory and (found := load_state(run.directory, identity=run.identity)):
            _restore(bare, optimizer, found[0])
            history = found[1]
        images = run.images.to(fabric.device)
        test = run.test_images.to(fabric.device) if run.test_images is not None else None
        for epoch in range(len(history), config.epochs):
            try:
                row = _epoch(fabric, model, optimizer, images, run, epoch, progress)
            except torch.OutOfMemoryError as error:
                raise InputError(_what_fits(bare, images, config)) from error
            for buffer in bare.buffers():  # each rank divides by the deviation of its own share
                buffer.copy_(_over_ranks(fabric, buffer, "mean"))
            if test is not None:
                row |= evaluate(model, test, config, run.seed)
            history.append(row)
            failure = _save(run, bare, optimizer, history) if run.directory and fabric.is_global_zero else ""
            if failure := fabric.broadcast(failure):
                raise InputError(failure)
            if on_epoch:
                on_epoch(row)
        return {name: value.detach().cpu().contiguous() for name, value in bare.state_dict().items()}, history


def _fit_in_process(
    fabric: Fabric, images: Tensor, test_images: Tensor | None, config: dict[str, Any], seed: int, *rest: str
) -> tuple[bytes, History] | InputError:
    folder, identity = rest
    run = _Run(images, test_images, TrainConfig.from_dict(config), seed, Path(folder) if folder else None, identity)
    try:
        state, history = _fit(fabric, run)
        return pack(state), history  # a tensor's shared memory would end with this process
    except InputError as error:  # an exception would reach the parent as text only
        return error


def _epoch(
    fabric: Fabric,
    model: _FabricModule,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    run: _Run,
    epoch: int,
    progress: Progress | None,
) -> dict[str, Any]:
    config, world, rank = run.config, fabric.world_size, fabric.global_rank
    rate = learning_rate(config, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    order = epoch_order(len(images), config, run.seed, epoch)
    batches = order.to(fabric.device).split(config.batch)
    source = generator(fabric.device, run.seed, "noise", epoch, rank)
    losses = torch.zeros(len(batches), device=fabric.device)
    decibels = torch.zeros((), device=fabric.device)
    model.train()
    began = time.perf_counter()
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        share = batch[rank::world]
        weight = 1.0 if len(share) else 0.0  # a last batch smaller than the number of ranks
        parts = (share if len(share) else batch[:1]).chunk(config.accumulate)
        for k, part in enumerate(parts):
            with fabric.no_backward_sync(model, enabled=k + 1 < len(parts)):
                errors = squared_errors(model, images[part], config.noise, source)
                loss = errors.sum() * (weight / len(batch))
                fabric.backward(loss * world)  # gradients are averaged over ranks: the mean over the whole batch
            losses[step] += loss.detach()
            decibels += weight * psnr(errors.detach(), images[0].numel()).sum()
        optimizer.step()
        if progress:
            progress(epoch * len(order) + min((step + 1) * config.batch, len(order)), config.epochs * len(order))
    losses, decibels = _over_ranks(fabric, losses), _over_ranks(fabric, decibels)
    if not bool(torch.isfinite(losses).all()):
        step = int((~torch.isfinite(losses)).nonzero()[0])
        kept = f"the state after {epoch} epochs is kept" if epoch and run.directory else "nothing was kept"
        raise Diverged(
            f"learning_rate: with {rate:g} the loss became {losses[step].item()} at step {step} of epoch {epoch} "
            f"(step {epoch * len(batches) + step} of training); {kept}"
        )
    seconds = time.perf_counter() - began
    sizes = torch.tensor([len(b) for b in batches], device=losses.device)
    return {
        "epoch": epoch,
        "exposures": len(order),
        "learning_rate": rate,
        "loss": float((losses * sizes).sum() / len(order)),
        "psnr": float(decibels / len(order)),
        "seconds": round(seconds, 4),
        "images_per_second": round(len(order) / seconds, 1),
    }


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, config: TrainConfig, seed: int, batch: int = 256) -> dict[str, float]:
    """Loss and PSNR of a network on held-out images, with noise that is the same at every call."""
    model.eval()
    source = generator(images.device, seed, "test")
    errors = torch.cat([squared_errors(model, part, config.noise, source) for part in images.split(batch)])
    return {"test_loss": float(errors.mean()), "test_psnr": float(psnr(errors, images[0].numel()).mean())}


def _compiled(model: UNet, config: TrainConfig, device: torch.device) -> nn.Module:
    """torch.compile where it pays and is there: on a GPU with Triton."""
    if not config.compile or device.type != "cuda" or not _has_triton():
        return model
    return torch.compile(model)  # type: ignore[return-value]


def _has_triton() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True


def _over_ranks(fabric: Fabric, value: Tensor, how: str = "sum") -> Tensor:
    """Sum or mean over the processes; one process returns the value itself."""
    return fabric.all_reduce(value, reduce_op=how) if fabric.world_size > 1 else value  # type: ignore[return-value]


def _what_fits(model: UNet, images: Tensor, config: TrainConfig) -> str:
    """A message that says how much of the batch the device holds, found by halving it."""
    part = config.batch // config.accumulate
    while part > 1:
        part //= 2
        model.zero_grad()
        with contextlib.suppress(torch.OutOfMemoryError):
            source = torch.Generator(images.device)
            squared_errors(model, images[torch.arange(part) % len(images)], config.noise, source).sum().backward()
            return (
                f"batch: {config.batch} images at once do not fit on {images.device}, {part} do: "
                f"use accumulate = {-(-config.batch // part)} or more"
            )
    return f"batch: not even one image fits on {images.device}"


def _save(run: _Run, model: UNet, optimizer: torch.optim.Optimizer, history: History) -> str:
    """Write the state of an epoch; returns what went wrong, or nothing."""
    assert run.directory is not None
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    try:
        save_state(run.directory, tensors, identity=run.identity, history=history)
        write_atomic(run.directory / HISTORY, "".join(json.dumps(row) + "\n" for row in history))
    except OSError as error:
        kept = f"the state after {len(history) - 1} epochs is intact" if len(history) > 1 else "nothing was saved yet"
        return f"{run.directory}: cannot write the state after {len(history)} epochs ({error.strerror}); {kept}"
    return ""


@contextlib.contextmanager
def _follow(run: _Run, progress: Progress | None, on_epoch: OnEpoch | None) -> Iterator[None]:
    """Report the epochs that other processes finish, as their history file grows."""
    done = threading.Event()

    def look(seen: int) -> int:
        path = run.directory / HISTORY if run.directory else None
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []
        for row in rows[seen:]:
            if progress:
                progress((row["epoch"] + 1) * row["exposures"], run.config.epochs * row["exposures"])
            if on_epoch:
                on_epoch(row)
        return len(rows)

    def watch() -> None:
        seen = 0
        while not done.wait(0.5):
            seen = look(seen)
        look(seen)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _restore(model: UNet, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = tensors[f"adam.{key}.{name}"]
            # the fused optimiser walks raw memory: moments must have the layout of their parameter
            state[key] = (
                torch.empty_like(parameter).copy_(value) if value.ndim else value.to(parameter.device, torch.float32)
            )


@contextlib.contextmanager
def _numerics(config: TrainConfig) -> Iterator[None]:
    """Deterministic convolutions, TF32 only if asked for; what was set before comes back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.deterministic = True
    cudnn.allow_tf32 = matmul.allow_tf32 = config.precision == "tf32"
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before
