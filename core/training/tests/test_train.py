"""Training: the published recipe, and that nothing is lost when it is killed, starved or fed nonsense."""

import json
import random
import signal
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core import tensors
from core.denoisers.gradient import by_autograd
from core.denoisers.unet import UNet
from core.errors import InputError
from core.metrics.psnr import psnr_of_errors
from core.seeds import generator
from core.tests.children import TINY, child_training, in_child, pictures, starving_training
from core.tests.thorough import THOROUGH
from core.training import train as module
from core.training.config import ADDED, TrainConfig
from core.training.presets import PRESETS
from core.training.schedule import epoch_order, exposures, learning_rate, noise_levels
from core.training.state import INDEX
from core.training.train import Diverged, build_model, evaluate, squared_errors, train, training_identity

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(model: UNet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# What an epoch shows


@given(n=st.integers(1, 300), count=st.integers(1, 500), epochs=st.integers(1, 4), seed=st.integers(0, 9))
def test_exact_repetition_shows_every_image_equally_often(n: int, count: int, epochs: int, seed: int) -> None:
    config = TINY.replace(exposures=count)
    shown = torch.cat([epoch_order(n, config, seed, epoch) for epoch in range(epochs)])
    counts = torch.bincount(shown, minlength=n)
    assert len(shown) == count * epochs == exposures(n, config) * epochs
    assert counts.max() - counts.min() <= 1


@given(n=st.integers(1, 300), count=st.integers(1, 500), epoch=st.integers(0, 3))
def test_whole_repetition_tiles_the_set(n: int, count: int, epoch: int) -> None:
    config = TINY.replace(exposures=count, repetition="whole")
    counts = torch.bincount(epoch_order(n, config, 0, epoch), minlength=n)
    assert (counts == max(1, count // n)).all()


@pytest.mark.parametrize(
    ("n", "shown"),
    [(10, 100_000), (1000, 100_000), (10_000, 100_000), (13_193, 92_351), (84_434, 84_434), (98_117, 98_117)],
)
def test_published_exposures(n: int, shown: int) -> None:
    assert exposures(n, PRESETS["paper40"].train) == shown


def test_orders_differ_by_epoch_and_seed_and_follow_from_them() -> None:
    orders = [epoch_order(48, TINY, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(orders[3], epoch_order(48, TINY, 1, 1))


@pytest.mark.parametrize(("law", "quartiles"), [("uniform", (0.25, 0.5, 0.75)), ("quadratic", (1 / 16, 1 / 4, 9 / 16))])
def test_noise_laws(law: str, quartiles: tuple[float, ...]) -> None:
    sigma = noise_levels(100_000, law, torch.Generator().manual_seed(0)).flatten()
    assert sigma.min() >= 0 and sigma.max() <= 1
    # the standard error of a quartile of 100,000 draws is below 0.002 under either law
    assert np.allclose(np.quantile(sigma.numpy(), (0.25, 0.5, 0.75)), quartiles, atol=0.01)


def test_learning_rate_halves() -> None:
    config = TrainConfig()
    assert [learning_rate(config, e) for e in (0, 99, 100, 199, 200, 999)] == [
        1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 1e-3 / 512
    ]  # fmt: skip


def test_a_cooled_rate_is_constant_and_then_falls_linearly_to_zero() -> None:
    config = TrainConfig(epochs=10, learning_rate=8e-3, schedule="cooled", cooldown=0.25)
    found = [learning_rate(config, *at) for at in ((0, 0.0), (4, 0.5), (7, 0.5), (8, 0.75), (9, 0.9), (9, 1.0))]
    assert found == pytest.approx([8e-3, 8e-3, 8e-3, 4e-3, 0.01 / 0.25 * 8e-3, 0], abs=1e-12)


def test_a_cooled_rate_changes_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []
    step = torch.optim.Adam.step

    def noted(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> Any:
        taken.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    history = train(pictures(), TINY.replace(schedule="cooled", cooldown=0.5, epochs=2), seed=0).history
    assert taken == pytest.approx([1e-3 * share for share in (1, 1, 1, 1, 2 / 3, 1 / 3)])  # three batches an epoch
    assert [row["learning_rate"] for row in history] == [1e-3, 1e-3]


@given(count=st.integers(1, 64), law=st.sampled_from(("uniform", "quadratic")), seed=st.integers(0, 99))
def test_stratified_levels_come_one_from_each_part(count: int, law: str, seed: int) -> None:
    sigma = noise_levels(count, law, torch.Generator().manual_seed(seed), "stratified").flatten().double()
    uniform = sigma.sqrt() if law == "quadratic" else sigma
    parts = torch.arange(count + 1) / count
    assert bool(((uniform >= parts[:-1] - 1e-6) & (uniform <= parts[1:] + 1e-6)).all())


def test_stratified_levels_follow_the_law() -> None:
    source = torch.Generator().manual_seed(0)
    sigma = torch.cat([noise_levels(5, "uniform", source, "stratified").flatten() for _ in range(2000)])
    assert np.allclose(np.quantile(sigma.numpy(), (0.1, 0.25, 0.5, 0.75, 0.9)), (0.1, 0.25, 0.5, 0.75, 0.9), atol=0.02)


def test_psnr_is_that_of_the_mean_squared_error() -> None:
    assert torch.allclose(
        psnr_of_errors(torch.tensor([1.0, 64.0]), 100), torch.tensor([20.0, -10 * np.log10(0.64)]).float()
    )


# The training itself

COOLED: dict[str, Any] = {
    "noise_draws": "stratified",
    "schedule": "cooled",
    "cooldown": 0.6,
    "beta1": 0.8,
    "beta2": 0.95,
}


def plain_training(images: Tensor, config: TrainConfig, seed: int, ranks: int = 1) -> dict[str, Tensor]:
    """The same recipe without Fabric, unfused, ranks one after the other in one process."""
    models = [build_model(config, seed) for _ in range(ranks)]
    betas = (config.beta1, config.beta2)
    optimizers = [torch.optim.Adam(model.parameters(), betas=betas, fused=False, foreach=False) for model in models]
    for epoch in range(config.epochs):
        sources = [generator("cpu", seed, "noise", epoch, rank) for rank in range(ranks)]
        batches = epoch_order(len(images), config, seed, epoch).split(config.batch)
        for step, batch in enumerate(batches):
            gradients = [[torch.zeros_like(p) for p in models[0].parameters()] for _ in range(ranks)]
            for rank, model in enumerate(models):
                model.zero_grad()
                share = batch[rank::ranks]
                shown = images[share if len(share) else batch[:1]]
                errors = squared_errors(model, shown, config.noise, sources[rank], config.noise_draws)
                if len(share):
                    (errors.sum() / len(batch)).backward()
                    gradients[rank] = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            for model, optimizer in zip(models, optimizers, strict=True):
                for k, p in enumerate(model.parameters()):
                    p.grad = torch.stack([g[k] for g in gradients]).sum(dim=0)
                optimizer.param_groups[0]["lr"] = learning_rate(config, epoch, step / len(batches))
                optimizer.step()
        states = [model.state_dict() for model in models]
        mean = {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}
        for model in models:
            model.load_state_dict(mean)
    return models[0].state_dict()


@pytest.mark.parametrize("change", [{}, {"noise": "quadratic", "channels_last": False}, {"exposures": 50}, COOLED])
def test_equals_a_plain_loop(change: dict[str, Any]) -> None:
    config = TINY.replace(**change)
    found = train(pictures(), config, seed=3).model.state_dict()
    expected = plain_training(pictures(), config, 3)
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("change", [{}, {"accumulate": 4, "exposures": 50}, COOLED])
def test_the_derivative_written_out_trains_as_autograd_does(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    found = train(pictures(), TINY.replace(**change), seed=3)
    monkeypatch.setattr(module, "by_hand", by_autograd)
    expected = train(pictures(), TINY.replace(**change), seed=3)
    assert same(weights(found.model), weights(expected.model))
    assert [row["loss"] for row in found.history] == [row["loss"] for row in expected.history]
    assert [row["psnr"] for row in found.history] == [row["psnr"] for row in expected.history]


def test_two_runs_are_equal_bit_for_bit_and_seeds_differ() -> None:
    first, second, other = (train(pictures(), TINY, seed=seed) for seed in (1, 1, 2))
    assert same(weights(first.model), weights(second.model))
    assert [row["loss"] for row in first.history] == [row["loss"] for row in second.history]
    assert not same(weights(first.model), weights(other.model))


def test_held_out_images_and_callbacks_change_nothing() -> None:
    seen: list[tuple[int, int]] = []
    rows: list[dict[str, Any]] = []
    plain = train(pictures(), TINY, seed=1)
    watched = train(
        pictures(),
        TINY,
        seed=1,
        test_images=pictures(7, seed=9),
        progress=lambda done, total: seen.append((done, total)),
        on_epoch=rows.append,
    )
    assert same(weights(plain.model), weights(watched.model))
    assert rows == watched.history and len(rows) == TINY.epochs
    assert seen[-1] == (192, 192) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert evaluate(watched.model, pictures(7, seed=9), TINY, 1) == {
        key: pytest.approx(rows[-1][key], rel=1e-5) for key in ("test_loss", "test_psnr")
    }


def test_training_lowers_the_held_out_loss() -> None:
    config = TINY.replace(epochs=20, exposures=160, halve_every=10, learning_rate=3e-3)
    smooth = torch.nn.functional.avg_pool2d(pictures(60, 32), 4) * 0.7 + 0.3 * pictures(60, 1, seed=1)
    history = train(smooth[:40], config, seed=0, test_images=smooth[40:]).history
    assert history[-1]["test_loss"] < 0.5 * history[0]["test_loss"]
    assert history[-1]["test_psnr"] > history[0]["test_psnr"] + 3


def test_accumulated_gradients_are_those_of_the_parts() -> None:
    config = TINY.replace(accumulate=2, epochs=1)
    found = train(pictures(), config, seed=0)
    assert np.isfinite(found.history[0]["loss"])
    # the noise is drawn part by part from the same stream, so the loss differs from the whole batch's only by that
    whole = train(pictures(), config.replace(accumulate=1), seed=0)
    assert found.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=0.5)
    assert not same(weights(found.model), weights(whole.model))


def test_bf16_and_tf32_train() -> None:
    for precision in ("bf16", "tf32"):
        result = train(pictures(), TINY.replace(precision=precision, epochs=2), seed=0)
        assert all(value.dtype == torch.float32 for value in result.model.state_dict().values())
        assert all(np.isfinite(row["loss"]) for row in result.history)


def test_a_compiled_network_trains_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # no accelerator here: the graphs are captured as there, and run by the ordinary kernels
    monkeypatch.setattr(
        module, "_compiled", lambda model, *_: torch.compile(model, backend="aot_eager", fullgraph=True)
    )
    found = train(pictures(), TINY.replace(epochs=1), seed=0)
    monkeypatch.undo()
    expected = train(pictures(), TINY.replace(epochs=1), seed=0)
    for name, value in weights(expected.model).items():
        assert torch.allclose(found.model.state_dict()[name], value, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("change", [{}, COOLED] if THOROUGH else [COOLED])
def test_two_processes_equal_their_plain_form(tmp_path: Path, change: dict[str, Any]) -> None:
    # 49 images leave a last batch of one: the second process has none of it
    config = TINY.replace(exposures=49, epochs=2, **change)
    rows: list[dict[str, Any]] = []
    found = train(pictures(), config, seed=5, devices=2, directory=tmp_path, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [0, 1]
    for name, value in plain_training(pictures(), config, 5, ranks=2).items():
        assert torch.allclose(found.model.state_dict()[name], value, rtol=1e-3, atol=1e-5), name


# Nothing is lost

LONGER = TINY.replace(epochs=8, exposures=96)


def final_state(directory: Path) -> dict[str, Tensor]:
    index = json.loads((directory / INDEX).read_text())
    assert len(index["history"]) == index["last"]["epochs"]
    return tensors.read_tensors(directory / index["last"]["file"], sha256=index["last"]["sha256"])


def test_killed_at_random_points_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    in_child(pictures)  # the server starts here, so that the next line times a training
    began = time.perf_counter()
    assert in_child(child_training, str(tmp_path / "whole"), LONGER) == 0
    duration = time.perf_counter() - began
    source = random.Random(0)
    kills = 0
    for attempt in range(60):
        if kills == 10:
            break
        code = in_child(child_training, str(tmp_path / "cut"), LONGER, kill_after=source.uniform(0, duration))
        if code == 0:  # finished before its time: start a new one
            assert same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
            (tmp_path / "cut").rename(tmp_path / f"done{attempt}")
        else:
            assert code == -signal.SIGKILL
            kills += 1
    assert kills == 10
    assert in_child(child_training, str(tmp_path / "cut"), LONGER) == 0
    assert same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))


@pytest.mark.parametrize("change", [{}, COOLED])
def test_killed_around_every_write_and_resumed_equals_uninterrupted(tmp_path: Path, change: dict[str, Any]) -> None:
    config = TINY.replace(epochs=3, **change)
    assert in_child(child_training, str(tmp_path / "whole"), config) == 0
    # one run killed again and again: before and after each of the three files of an epoch
    for die_at in (0, 1, 2, 3, 4, 5, 7):
        assert in_child(child_training, str(tmp_path / "cut"), config, die_at) == -signal.SIGKILL, die_at
        assert in_child(child_training, str(tmp_path / "cut"), config) == 0
        assert same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
        assert not list((tmp_path / "cut").glob(".*"))
        for path in (tmp_path / "cut").iterdir():
            path.unlink()


def test_a_disk_that_fills_up_leaves_the_state_before(tmp_path: Path) -> None:
    assert in_child(starving_training, str(tmp_path / "full"), TINY) == 0
    message = (tmp_path / "full" / "message").read_text()
    assert "cannot write the state after 3 epochs" in message and "the state after 2 epochs is intact" in message
    assert json.loads((tmp_path / "full" / INDEX).read_text())["last"]["epochs"] == 2
    assert in_child(child_training, str(tmp_path / "full"), TINY) == 0
    assert in_child(child_training, str(tmp_path / "whole"), TINY) == 0
    assert same(final_state(tmp_path / "full"), final_state(tmp_path / "whole"))


def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path) -> None:
    whole = train(pictures(), TINY, seed=0, directory=tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    damaged = tmp_path / index["last"]["file"]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    rows: list[dict[str, Any]] = []
    again = train(pictures(), TINY, seed=0, directory=tmp_path, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [TINY.epochs - 1]
    assert same(weights(whole.model), weights(again.model))
    for state in tmp_path.glob("state-*"):
        state.write_bytes(b"x")
    rows.clear()
    assert same(
        weights(whole.model), weights(train(pictures(), TINY, seed=0, directory=tmp_path, on_epoch=rows.append).model)
    )
    assert len(rows) == TINY.epochs


def test_history_is_kept_by_epoch(tmp_path: Path) -> None:
    result = train(pictures(), TINY, seed=0, directory=tmp_path, test_images=pictures(5, seed=1))
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert rows == result.history
    assert [row["epoch"] for row in rows] == list(range(TINY.epochs))
    assert all(
        {"loss", "psnr", "test_loss", "test_psnr", "learning_rate", "images_per_second"} <= row.keys() for row in rows
    )


# Bad input


@pytest.mark.parametrize(
    "other",
    [
        {"images": pictures(seed=8)},
        {"images": pictures().flip(0)},
        {"seed": 1},
        {"config": TINY.replace(noise="quadratic")},
    ],
)
def test_a_directory_of_another_training_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"images": pictures(), "config": TINY, "seed": 0}
    train(**arguments, directory=tmp_path)
    with pytest.raises(InputError, match="holds another training"):
        train(**(arguments | other), directory=tmp_path)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Diverged, match=r"learning_rate: with 1e\+30 the loss became (nan|inf) at step 1 of epoch 0"):
        train(pictures(), TINY.replace(learning_rate=1e30), seed=0, directory=tmp_path / "first")
    assert not (tmp_path / "first" / INDEX).exists()
    monkeypatch.setattr(module, "learning_rate", lambda config, epoch, shown=0.0: 1e-3 if epoch < 2 else 1e30)
    with pytest.raises(
        Diverged, match=r"at step 1 of epoch 2 \(step 7 of training\); the state after 2 epochs is kept"
    ):
        train(pictures(), TINY, seed=0, directory=tmp_path / "third")
    kept = final_state(tmp_path / "third")
    assert all(torch.isfinite(value).all() for value in kept.values())
    monkeypatch.undo()
    resumed = train(pictures(), TINY, seed=0, directory=tmp_path / "third")
    assert same(weights(resumed.model), weights(train(pictures(), TINY, seed=0).model))


def test_a_batch_that_does_not_fit_says_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = UNet.forward

    def small_device(self: UNet, y: Tensor) -> Tensor:
        if len(y) > 5:
            raise torch.OutOfMemoryError("no")
        return forward(self, y)

    monkeypatch.setattr(UNet, "forward", small_device)
    monkeypatch.setattr(module, "by_hand", by_autograd)  # as on an accelerator
    with pytest.raises(InputError, match="batch: 16 images at once do not fit on cpu, 4 do: --set accumulate=4"):
        train(pictures(), TINY, seed=0)
    train(pictures(), TINY.replace(accumulate=4), seed=0)
    # what is advised is what the trainer takes: a part of 18 that fits is 3, as 18 / 4 is no whole number
    odd = TINY.replace(batch=18)
    with pytest.raises(InputError, match="batch: 18 images at once do not fit on cpu, 3 do: --set accumulate=6"):
        train(pictures(), odd, seed=0)
    train(pictures(), odd.replace(accumulate=6), seed=0)
    # held-out images too come in parts then
    train(pictures(), TINY.replace(accumulate=4), seed=0, test_images=pictures(9, seed=1))


def test_held_out_images_that_do_not_fit_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = UNet.forward

    def small_device(self: UNet, y: Tensor) -> Tensor:
        if not self.training and len(y) > 8:
            raise torch.OutOfMemoryError("no")
        return forward(self, y)

    monkeypatch.setattr(UNet, "forward", small_device)
    monkeypatch.setattr(module, "by_hand", by_autograd)  # as on an accelerator
    with pytest.raises(InputError, match="batch: 16 images at once do not fit on cpu, 8 do: --set accumulate=2"):
        train(pictures(), TINY, seed=0, test_images=pictures(12, seed=1))
    train(pictures(), TINY.replace(accumulate=2), seed=0, test_images=pictures(12, seed=1))


def test_what_fits_is_found_after_the_failure_is_forgotten_and_as_it_will_be_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = UNet.forward
    alive: list[weakref.ref[Tensor]] = []

    def small_device(self: UNet, y: Tensor) -> Tensor:
        output = forward(self, y)
        if len(y) > 8 or any(ref() is not None for ref in alive) or not torch.is_autocast_enabled("cpu"):
            alive.append(weakref.ref(output))
            raise torch.OutOfMemoryError("no")
        return output

    monkeypatch.setattr(UNet, "forward", small_device)
    monkeypatch.setattr(module, "by_hand", by_autograd)  # as on an accelerator
    with pytest.raises(InputError, match="8 do: --set accumulate=2"):
        train(pictures(), TINY.replace(precision="bf16"), seed=0)


def test_images_that_do_not_fit_on_the_device_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    to = Tensor.to

    def full(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.shape == (20, 1, 8, 8):
            raise torch.OutOfMemoryError("no")
        return to(self, *args, **kwargs)

    monkeypatch.setattr(Tensor, "to", full)
    with pytest.raises(InputError, match=r"--sizes: 20 images take 0 MiB, which does not fit on cpu"):
        train(pictures(), TINY, seed=0)


def test_a_state_made_on_another_kind_of_device_is_refused(tmp_path: Path) -> None:
    train(pictures(), TINY, seed=0, directory=tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["device"] == "cpu"
    (tmp_path / INDEX).write_text(json.dumps({**index, "device": "cuda"}))
    with pytest.raises(InputError, match="this training began on cuda and cannot go on on cpu; use --device cuda"):
        train(pictures(), TINY, seed=0, directory=tmp_path)
    del index["device"]  # states of before it was noted are trusted
    (tmp_path / INDEX).write_text(json.dumps(index))
    train(pictures(), TINY, seed=0, directory=tmp_path)


def test_a_training_on_several_devices_has_a_key_of_its_own() -> None:
    keys = [training_identity(pictures(), TINY, 0, devices) for devices in (1, 2, 4)]
    assert len(set(keys)) == 3
    assert keys[0] == training_identity(pictures(), TINY, 0)


KEY_BEFORE = "f5c435618c8b83741ccec928ae2f331b418ee576b1e9a012b36fe5e843408f5d"


def test_an_option_that_came_later_leaves_the_keys_of_trainings_without_it() -> None:
    found = training_identity("0" * 64, TrainConfig(), 7)
    assert found == KEY_BEFORE
    later: dict[str, Any] = {
        "noise_draws": "stratified",
        "schedule": "cooled",
        "cooldown": 0.5,
        "beta1": 0.8,
        "beta2": 0.95,
    }
    assert later.keys() == ADDED.keys()
    keys = {training_identity("0" * 64, TrainConfig(**{name: value}), 7) for name, value in later.items()}
    assert len(keys | {found}) == len(later) + 1


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/run: cannot write the state after 1 epochs .*nothing was saved yet"):
        train(pictures(), TINY, seed=0, directory=tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(4, 1, 8, 10), r"got shape \(4, 1, 8, 10\), expected \(n >= 1, 1, 8, 8\)"),
        (torch.rand(0, 1, 8, 8), r"got shape \(0, 1, 8, 8\)"),
        (torch.rand(4, 1, 8, 8).double(), "got torch.float64"),
        (torch.rand(4, 1, 8, 8) * 255, r"expected \[0, 1\]"),
        (torch.full((4, 1, 8, 8), float("nan")), r"expected \[0, 1\]"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: Tensor, says: str) -> None:
    with pytest.raises(InputError, match=f"images: .*{says}"):
        train(images, TINY, seed=0)


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="device: nonsense x 1"):
        train(pictures(), TINY, seed=0, device="nonsense")
    with pytest.raises(InputError, match="batch: got 16, expected a multiple of devices x accumulate = 3 x 1"):
        train(pictures(), TINY, seed=0, devices=3)
