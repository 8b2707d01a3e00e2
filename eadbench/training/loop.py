"""The training loop: one optimiser, any task, exact resume.

Everything random in step n depends on (seed, run, n) alone, so that a run that was
killed and resumed, one with other loader workers and one on several processes follow
the same path (bit for bit on one CPU process).
"""

import json
import logging
import math
import shutil
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from diffusers.optimization import get_scheduler
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import atomic_path, restore
from eadbench.core.progress import track
from eadbench.core.seeds import seed_for
from eadbench.training.config import OptimConfig
from eadbench.training.data import StepSampler, Windows, first_batches, loader, to_device

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel

log = logging.getLogger(__name__)


class TrainingTask(ABC):
    """What a kind of run trains.

    Attributes:
        model: The network that is trained.
        data, validation: Samples; validation may be ``None``.
    """

    model: nn.Module
    data: Windows
    validation: Windows | None = None

    @abstractmethod
    def losses(self, model: nn.Module, batch: dict[str, Any], step: int | None) -> dict[str, torch.Tensor]:
        """Scalars of one pass; ``loss`` is what is minimised.

        ``model`` is the network as wrapped for several processes. ``step`` is None in
        validation, where all counts that counts in the end.
        """

    def to(self, device: torch.device) -> None:  # noqa: B027 - nothing to move is a sound default
        """Move frozen networks to where the training runs."""

    @torch.no_grad()
    def validate(self, model: nn.Module, batches: list[dict[str, Any]]) -> dict[str, float]:
        """Quantities on the validation split; by default the mean losses."""
        sums: dict[str, float] = defaultdict(float)
        for batch in batches:
            for name, value in self.losses(model, batch, None).items():
                sums[name] += float(value) / len(batches)
        return dict(sums)

    def adjacency(self, batches: Iterable[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Learned graphs of the network for a reader to look at, on the CPU; by default
        there are none.
        """
        return {}


def make_schedule(config: OptimConfig, optimiser: torch.optim.Optimizer) -> LambdaLR:
    """The learning rate over the steps: linear warm-up, then constant or a cosine to
    zero. (``constant`` of diffusers 0.42 takes a warm-up and leaves it out.)
    """
    name = {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule)
    return get_scheduler(name, optimiser, num_warmup_steps=config.warmup, num_training_steps=config.steps)


def make_average(config: OptimConfig, parameters: Iterable[nn.Parameter]) -> "EMAModel | None":
    """The moving average of the weights, if there is to be one; says where its decay
    ends when that is below the one asked for.
    """
    if not config.ema:
        return None
    from diffusers.training_utils import EMAModel  # with it come transformers and scipy.stats

    average = EMAModel(
        parameters, decay=config.ema, min_decay=config.ema_min_decay, use_ema_warmup=config.use_ema_warmup,
        inv_gamma=config.ema_inv_gamma, power=config.ema_power,
    )  # fmt: skip
    last = average.get_decay(config.steps)
    if last < config.ema:
        log.info(
            "the decay of the averaged weights rises to %.4g within these %d steps; %g is not reached",
            last,
            config.steps,
            config.ema,
        )
    return average


class Trainer:
    """Trains a task.

    Args:
        task: The task.
        config: Optimiser and bookkeeping.
        run: Name of the run.
        seed: Seed of the config.
        folder: ``state/`` goes here.
        fingerprint: Hash of all that the run depends on; a state with another one is
            not resumed.
        device: ``cpu`` or ``cuda``; with several processes each takes its own.
    """

    def __init__(
        self,
        task: TrainingTask,
        config: OptimConfig,
        run: str,
        seed: int,
        folder: Path,
        fingerprint: str,
        device: torch.device,
    ) -> None:
        self.task, self.config, self.run, self.seed = task, config, run, seed
        self.state_folder, self.fingerprint = folder / "state", fingerprint
        precision = (
            config.precision if config.precision != "auto" else "bf16" if device.type == "cuda" else "no"
        )
        # Parts of a variant can be without gradient in a step (all texts dropped, say).
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=precision,
            gradient_accumulation_steps=config.accumulate,
            kwargs_handlers=[unused],
        )
        self.device = self.accelerator.device
        task.to(self.device)
        parameters = [p for p in task.model.parameters() if p.requires_grad]
        if not parameters:
            raise EadbenchError(
                "no parameter is trained", f"training.runs.{run}.trainable", "let some name match"
            )
        optimiser = torch.optim.AdamW(
            parameters, config.lr, (0.9, config.beta2), weight_decay=config.weight_decay, fused=True
        )
        self.model, self.optimiser = self.accelerator.prepare(task.model, optimiser)
        self.schedule = make_schedule(config, optimiser)
        self.ema = make_average(config, task.model.parameters())
        if self.ema:
            self.ema.to(self.device)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._values: dict[str, list[float]] = defaultdict(list)
        self._waited = self._worked = 0.0

    def train(self) -> None:
        """Train to the end, from the last saved state if there is one of the same run.

        Raises:
            EadbenchError: If a loss is not finite.
        """
        self.resume()
        if self.step >= self.config.steps:
            return
        config, accelerator = self.config, self.accelerator
        sampler = StepSampler(
            self.step + 1,
            config.steps,
            config.batch,
            config.accumulate,
            accelerator.process_index,
            accelerator.num_processes,
        )
        batches = iter(
            loader(self.task.data, sampler, config.workers, config.prefetch, self.device.type == "cuda")
        )
        steps = range(self.step + 1, config.steps + 1)
        for step in (
            track(steps, f"train {self.run}", total=len(steps), unit="steps")
            if accelerator.is_main_process
            else steps
        ):
            began = time.perf_counter()
            self._one_step(step, batches)
            self._worked += time.perf_counter() - began
            self.step = step
            last = step == config.steps
            if step % config.log_every == 0 or last:
                self._log()
            if config.validate_batches and (step % config.validate_every == 0 or last):
                self._validate()
            if step % config.save_every == 0 and not last:
                self.save()

    def _one_step(self, step: int, batches: Any) -> None:
        torch.manual_seed(seed_for(self.seed, self.run, "step", step, self.accelerator.process_index))
        self.task.model.train()
        for _ in range(self.config.accumulate):
            began = time.perf_counter()
            batch = to_device(next(batches), self.device)
            self._waited += time.perf_counter() - began
            with self.accelerator.accumulate(self.model):
                with self.accelerator.autocast():
                    losses = self.task.losses(self.model, batch, step)
                self._check_and_count(losses, batch, step)
                self.accelerator.backward(losses["loss"])
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.task.model.parameters(), self.config.clip)
                    self._values["gradient_norm"].append(float(norm))
                self.optimiser.step()
                self.optimiser.zero_grad()
        self._values["learning_rate"].append(self.schedule.get_last_lr()[0])
        self.schedule.step()
        if self.ema:
            self.ema.step(self.task.model.parameters())

    def _check_and_count(self, losses: dict[str, torch.Tensor], batch: dict[str, Any], step: int) -> None:
        """Mean of the losses over processes; all processes stop together when one is
        not finite.
        """
        names = sorted(losses)
        values = self.accelerator.reduce(
            torch.stack([losses[name].detach().float() for name in names]), "mean"
        ).tolist()
        if not all(map(math.isfinite, values)):
            clips = sorted(set(gather_object(batch["clip_id"])))
            bad = ", ".join(
                name for name, value in zip(names, values, strict=True) if not math.isfinite(value)
            )
            good = (
                f"the last good state is {self.state_folder}"
                if self.state_folder.exists()
                else "no state was saved before"
            )
            hint = f"{good}; lower optim.lr or raise optim.warmup, or look at these clips: {', '.join(clips)}"
            raise EadbenchError(f"{bad} is not finite", f"run {self.run}, step {step}", hint)
        for name, value in zip(names, values, strict=True):
            self._values[name].append(value)

    def _log(self) -> None:
        """One row per quantity: its mean over the steps that had it."""
        rows = {name: sum(values) / len(values) for name, values in self._values.items()}
        rows["data_wait"] = self._waited / max(self._worked, 1e-9)
        rows["seconds_per_step"] = self._worked / len(self._values["learning_rate"])
        self._add("train", rows)
        self._values.clear()
        self._waited = self._worked = 0.0

    def _validate(self) -> None:
        if self.task.validation is None or not self.accelerator.is_main_process:
            return
        batches = list(self._some_batches(self.task.validation))
        self.task.model.eval()
        parameters = list(self.task.model.parameters())
        if self.ema:
            self.ema.store(parameters)
            self.ema.copy_to(parameters)
        with self.accelerator.autocast():
            self._add("val", self.task.validate(self.task.model, batches))
        if self.ema:
            self.ema.restore(parameters)

    def _some_batches(self, data: Windows) -> Iterator[dict[str, Any]]:
        return first_batches(data, max(self.config.validate_batches, 1), self.config.batch, self.device)

    def adjacency(self) -> dict[str, torch.Tensor]:
        """The task's learned graphs under the final weights, over validation windows,
        or training windows where there are no others.
        """
        if self.ema:
            self.ema.copy_to(self.task.model.parameters())
        self.task.model.eval()
        with self.accelerator.autocast():
            return self.task.adjacency(
                self._some_batches(self.task.data if self.task.validation is None else self.task.validation)
            )

    def _add(self, split: str, values: dict[str, float]) -> None:
        self.history += [
            {"run": self.run, "step": self.step, "split": split, "quantity": k, "value": float(v)}
            for k, v in sorted(values.items())
        ]
        if self.accelerator.is_main_process:
            # all go to the log file, these to the terminal, too
            level = logging.DEBUG if split == "train" else logging.INFO
            numbers = ", ".join(f"{k} {v:.4g}" for k, v in sorted(values.items()))
            log.log(level, "%s step %d/%d %s: %s", self.run, self.step, self.config.steps, split, numbers)

    def save(self) -> None:
        """Write all that resuming needs to ``state/``; only the first process writes."""
        if self.accelerator.is_main_process:
            with atomic_path(self.state_folder) as part:
                part.mkdir(parents=True)
                save_file(
                    {k: v.contiguous() for k, v in self.task.model.state_dict().items()},
                    part / "model.safetensors",
                )
                if self.ema:
                    save_file(
                        {str(k): v.contiguous() for k, v in enumerate(self.ema.shadow_params)},
                        part / "ema.safetensors",
                    )
                optimiser = self.optimiser.state_dict()
                torch.save(
                    {"optimiser": optimiser, "schedule": self.schedule.state_dict()}, part / "optimiser.pt"
                )
                facts = {
                    "step": self.step,
                    "fingerprint": self.fingerprint,
                    "ema_step": self.ema.optimization_step if self.ema else 0,
                }
                (part / "state.json").write_text(json.dumps(facts | {"history": self.history}))
                seals.seal_files(part, list(part.iterdir()), part)
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Load ``state/`` if it is there and belongs to this very run."""
        if self.accelerator.is_main_process:
            restore(self.state_folder)
        self.accelerator.wait_for_everyone()
        path = self.state_folder / "state.json"
        if not path.exists():
            return
        try:
            seals.check_all(self.state_folder)
        except FatalError as error:
            log.warning(
                "%s: the state in %s is damaged; starting afresh: %s", self.run, self.state_folder, error
            )
            return
        facts = json.loads(path.read_text())
        if facts["fingerprint"] != self.fingerprint:
            log.warning(
                "%s: the state in %s is of another configuration or of other inputs; starting afresh",
                self.run,
                self.state_folder,
            )
            return
        self.task.model.load_state_dict(load_file(self.state_folder / "model.safetensors"))
        if self.ema:
            shadow = load_file(self.state_folder / "ema.safetensors")
            self.ema.shadow_params = [shadow[str(k)].to(self.device) for k in range(len(shadow))]
            self.ema.optimization_step = facts["ema_step"]
        saved = torch.load(self.state_folder / "optimiser.pt", map_location="cpu", weights_only=True)
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        self.step, self.history = facts["step"], facts["history"]
        log.info("%s: resumed after step %d", self.run, self.step)

    def forget_state(self) -> None:
        """Remove ``state/`` once the run is complete."""
        shutil.rmtree(self.state_folder, ignore_errors=True)

    def final_weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights (or the last ones without averaging), on the CPU."""
        if self.ema:
            self.ema.copy_to(self.task.model.parameters())
        return {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.task.model.state_dict().items()
        }
