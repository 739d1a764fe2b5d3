"""Implements the denoiser training of Topeza (2025), section 4, on Lightning Fabric.

Images stay on the device; repetition and noise are indices and generators, never copies of the data. Every random
number of an epoch follows from (seed, epoch, rank), so a resumed run continues bit for bit on CPU.

Several devices share a batch: gradients are those of the whole batch, but each device divides by the deviations of its
own share, and the running deviations, which the trained network divides by, are averaged after every epoch. A training
on several devices is therefore another one than on one, and has a key of its own.
"""

import contextlib
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn

from core.denoisers.gradient import Gradient, by_autograd, by_hand, prediction_errors
from core.denoisers.unet import UNet
from core.errors import InputError
from core.files import sha256_text
from core.metrics.psnr import psnr_of_errors
from core.progress import Progress
from core.seeds import generator
from core.tensors import pack, tensor_sha256, unpack
from core.training.config import TrainConfig
from core.training.schedule import epoch_order, learning_rate, noise_levels
from core.training.state import History, OnEpoch, follow, load_state, restore, save_epoch

TRAINER_VERSION = 1
"""Raised whenever a change of the code changes the weights that a configuration and a seed give."""

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


def chosen_device(name: str) -> str:
    """`auto` is `cuda` if there is one, else `cpu`; any other name is itself."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def build_model(config: TrainConfig, seed: int) -> UNet:
    """The untrained network of a seed."""
    source = generator("cpu", seed, "weights")
    model = UNet(config.base_channels, config.blocks, config.in_channels, generator=source)
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def squared_errors(
    model: nn.Module, clean: Tensor, law: str, source: torch.Generator, levels: str = "independent"
) -> Tensor:
    """Squared denoising error of each image at its own random noise level, summed over pixels: (b,)."""
    return prediction_errors(model, *_noisy(clean, law, source, levels))


def _noisy(clean: Tensor, law: str, source: torch.Generator, levels: str) -> tuple[Tensor, Tensor]:
    sigma = noise_levels(len(clean), law, source, levels)
    noise = torch.randn(clean.shape, generator=source, device=clean.device) * sigma
    return clean + noise, noise


def training_identity(images: Tensor | str, config: TrainConfig, seed: int, devices: int = 1) -> str:
    """Hash of everything that determines the weights: images in order, options, seed, devices, trainer version.

    For `images` their `tensor_sha256` does, where it is known already: large sets take long to hash.
    """
    digest = images if isinstance(images, str) else tensor_sha256(images)
    parts: dict[str, Any] = {"images": digest, "config": config.determining(), "seed": seed}
    parts |= {"trainer": TRAINER_VERSION}
    if devices > 1:
        parts["devices"] = devices
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
    identity: str | None = None,
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
        identity: the `training_identity` of these arguments, where it is known already.

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
    identity = (identity or training_identity(images, config, seed, devices)) if folder else ""
    run = _Run(images, test_images, config, seed, folder, identity)
    fabric = _fabric(device, devices, config)
    if devices == 1:
        state, history = _fit(fabric, run, progress, on_epoch)
    else:
        with follow(folder, config.epochs, progress, on_epoch):
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
    with numerics(config.precision):
        bare = build_model(config, run.seed)
        betas = (config.beta1, config.beta2)
        optimizer = torch.optim.Adam(bare.parameters(), lr=config.learning_rate, betas=betas, fused=True)
        network = _compiled(bare, config, fabric.device)
        model, optimizer = fabric.setup(network, optimizer)
        # nothing but the network has a say in the derivative: it is not compiled, on one processor, in float32
        plain = network is bare and fabric.device.type == "cpu" and fabric.world_size == 1
        plain = plain and PRECISION[config.precision] == "32-true"
        gradient = by_hand(bare) if plain else by_autograd(model, partial(_backward, fabric))
        history: History = []
        if run.directory and (found := load_state(run.directory, identity=run.identity, device=fabric.device.type)):
            restore(bare, optimizer, found[0])
            history = found[1]
        images = _onto(fabric.device, run.images)
        test = _onto(fabric.device, run.test_images) if run.test_images is not None else None
        for epoch in range(len(history), config.epochs):
            row: dict[str, Any] = {}
            # the probe comes after this block: inside it the error still holds the graph that did not fit
            with contextlib.suppress(torch.OutOfMemoryError):
                row = _epoch(fabric, model, gradient, optimizer, images, run, epoch, progress)
                for buffer in bare.buffers():  # each rank divides by the deviation of its own share
                    buffer.copy_(_over_ranks(fabric, buffer, "mean"))
                if test is not None:
                    row["test_loss"], row["test_psnr"] = evaluate(model, test, config, run.seed).values()
            if not row or (test is not None and "test_psnr" not in row):
                raise InputError(_what_fits(fabric, bare, images, config))
            history.append(row)
            failure = ""
            if run.directory and fabric.is_global_zero:
                about = {"identity": run.identity, "device": fabric.device.type}
                failure = save_epoch(run.directory, bare, optimizer, history, **about)
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
        return error.with_traceback(None)  # whose frames would hold on to the network and its process group
    finally:
        # Fabric leaves the group of a CPU as it is: its threads are then ended by the interpreter, which may abort
        torch.distributed.destroy_process_group()


def _backward(fabric: Fabric, loss: Tensor) -> None:
    fabric.backward(loss * fabric.world_size)  # gradients are averaged over ranks: the mean over the whole batch


def _epoch(
    fabric: Fabric,
    model: _FabricModule,
    gradient: Gradient,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    run: _Run,
    epoch: int,
    progress: Progress | None,
) -> dict[str, Any]:
    config, world, rank = run.config, fabric.world_size, fabric.global_rank
    order = epoch_order(len(images), config, run.seed, epoch)
    batches = order.to(fabric.device).split(config.batch)
    source = generator(fabric.device, run.seed, "noise", epoch, rank)
    losses = torch.zeros(len(batches), device=fabric.device)
    decibels = torch.zeros((), device=fabric.device)
    model.train()
    began = time.perf_counter()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch, step / len(batches))
        optimizer.zero_grad()
        share = batch[rank::world]
        counts = 1.0 if len(share) else 0.0  # a last batch smaller than the number of ranks
        weight = counts / len(batch)
        parts = (share if len(share) else batch[:1]).chunk(config.accumulate)
        for k, part in enumerate(parts):
            with fabric.no_backward_sync(model, enabled=k + 1 < len(parts)):
                errors = gradient(*_noisy(images[part], config.noise, source, config.noise_draws), weight)
            losses[step] += errors.sum() * weight
            decibels += counts * psnr_of_errors(errors, images[0].numel()).sum()
        optimizer.step()
        if progress:
            progress(epoch * len(order) + min((step + 1) * config.batch, len(order)), config.epochs * len(order))
    losses, decibels = _over_ranks(fabric, losses), _over_ranks(fabric, decibels)
    if not bool(torch.isfinite(losses).all()):
        step = int((~torch.isfinite(losses)).nonzero()[0])
        rate = learning_rate(config, epoch, step / len(batches))
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
        "learning_rate": learning_rate(config, epoch),
        "loss": float((losses * sizes).sum() / len(order)),
        "psnr": float(decibels / len(order)),
        "seconds": round(seconds, 4),
        "images_per_second": round(len(order) / seconds, 1),
    }


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, config: TrainConfig, seed: int, batch: int = 256) -> dict[str, float]:
    """Loss and PSNR of a network on held-out images, with noise that is the same at every call.

    Where batches are computed in parts, so are these: the device is then short of memory.
    """
    model.eval()
    batch = min(batch, config.batch // config.accumulate) if config.accumulate > 1 else batch
    source = generator(images.device, seed, "test")
    errors = torch.cat([squared_errors(model, part, config.noise, source) for part in images.split(batch)])
    return {"test_loss": float(errors.mean()), "test_psnr": float(psnr_of_errors(errors, images[0].numel()).mean())}


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


def _onto(device: torch.device, images: Tensor) -> Tensor:
    """Images on the device, where they stay.

    Raises:
        InputError: if its memory does not hold them.
    """
    with contextlib.suppress(torch.OutOfMemoryError):
        return images.to(device)
    size = images.numel() * images.element_size() / 2**20
    raise InputError(f"--sizes: {len(images):,} images take {size:,.0f} MiB, which does not fit on {device}")


def _what_fits(fabric: Fabric, model: UNet, images: Tensor, config: TrainConfig) -> str:
    """A message that says how much of the batch the device holds: the largest share that `accumulate` can make."""
    share = config.batch // fabric.world_size
    here = config.batch // (fabric.world_size * config.accumulate)
    for accumulate in range(config.accumulate + 1, share + 1):
        if share % accumulate:
            continue
        model.zero_grad(set_to_none=True)
        gc.collect()
        if images.device.type == "cuda":
            torch.cuda.empty_cache()
        part = images[torch.arange(share // accumulate) % len(images)]
        with contextlib.suppress(torch.OutOfMemoryError):
            with fabric.autocast():
                errors = squared_errors(model, part, config.noise, torch.Generator(images.device))
            errors.sum().backward()
            fits = f"{len(part)} do" if len(part) > 1 else "one does"
            return f"batch: {here} images at once do not fit on {images.device}, {fits}: --set accumulate={accumulate}"
    return f"batch: not even one image fits on {images.device}"


@contextlib.contextmanager
def numerics(precision: str) -> Iterator[None]:
    """Deterministic convolutions, TF32 only if asked for; what was set before comes back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32)
    cudnn.deterministic = True
    cudnn.allow_tf32 = matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before
