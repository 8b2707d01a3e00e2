"""Published repositories, run from the user's checkout by a recipe."""

import hashlib
import json
import logging
import os
import shutil
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.files import hash_once, nature
from eadbench.core.secrets import expand
from eadbench.samples import process
from eadbench.samples.inputs import constant_box, face_boxes, landmarks, write_inputs
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Alignment, Method, MissingItem, RawResult, missing_variables
from eadbench.samples.recipe import Recipe, Weight, folder_of, load_recipe
from eadbench.samples.sources import Digests, changes_of, commit_of, reads, weights_of
from eadbench.samples.templates import fill, fill_one
from eadbench.samples.worker import Worker, WorkerRequest

log = logging.getLogger(__name__)
NO_GPU = "needs a GPU"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


class ExternalMethod(Method):
    """A recipe, a checkout, weights. The exit status proves nothing: an old output is
    removed first, and the new one is checked.
    """

    _worker: Worker | None = None

    @cached_property
    def _loaded(self) -> tuple[Recipe, str]:
        return load_recipe(self.options.recipe)

    @property
    def recipe(self) -> Recipe:
        return self._loaded[0]

    @property
    def protocols(self) -> frozenset[str]:
        return frozenset(self.recipe.protocols)

    @property
    def takes_intensity(self) -> bool:
        """Whether the recipe names the protocol ``dial``."""
        return "dial" in self.recipe.protocols

    @property
    def emotion_control(self) -> str:
        return self.recipe.emotion_control

    @property
    def licence(self) -> str:
        return f"code: {self.recipe.licence}; weights: {self.recipe.weights_licence}"

    @cached_property
    def hash(self) -> str:
        """sha256 over the recipe, its adapter, the options, the checkout's commit and
        local changes, and the weights.
        """
        sources = [reads(self.options, "", "", Digests()), self.options.options]
        return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()

    def needs(self) -> list[str]:
        recipe = self.recipe
        needs = [f"{recipe.repository} at {recipe.commit}", f"environment envs/{recipe.environment}.yaml"]
        needs += [f"{weight.path} from {weight.source}" for weight, _ in weights_of(self.options, recipe)]
        if recipe.prepared:
            needs.append(recipe.prepared)
        if recipe.gpu:
            needs.append("a GPU")
        return needs

    def notes(self) -> list[str]:
        notes = [f"how far this recipe was really run: {self.recipe.ran}"]
        changed = changes_of(self.options.path).count("\ndiff --git ")
        if changed:
            notes.append(
                f"the checkout has local changes in {changed} files; they are part of the hash of its results"
            )
        return [*notes, *self.recipe.traps]

    def missing_items(self) -> list[MissingItem]:
        missing = self._missing_checkout() + self._missing_weights()
        environment = f"envs/{self.recipe.environment}.yaml"
        if not shutil.which(self.options.python or ""):
            hint = f"conda env create -p ENV -f {environment}; then set `python: ENV/bin/python`"
            missing.append(MissingItem("environment is missing", self.options.python or environment, hint))
        prepared = self.options.prepared
        if self.recipe.prepared and not (prepared and Path(prepared).is_dir()):
            where = str(prepared or "prepared: not set")
            missing.append(MissingItem("prepared inputs are missing", where, self.recipe.prepared))
        if self.recipe.gpu and not _gpu_visible():
            missing.append(MissingItem(NO_GPU, "none is visible here"))
        return missing + missing_variables(self.options.env)

    def _missing_checkout(self) -> list[MissingItem]:
        recipe, path = self.recipe, self.options.path
        source = f"{recipe.repository} at {recipe.commit}"
        clone = f"git clone {recipe.repository} FOLDER && git -C FOLDER checkout {recipe.commit}"
        if not path:
            return [MissingItem("repository is missing", source, f"{clone}; then set `path: FOLDER`")]
        if not Path(path).is_dir():
            where = f"{path} (of {source})"
            return [MissingItem("repository is missing", where, clone.replace("FOLDER", path))]
        commit = commit_of(path)
        if commit == recipe.commit or self.options.any_commit:
            return []
        state = f"is at {commit}" if commit else "is not a git checkout"
        hint = f"git -C {path} checkout {recipe.commit}, or set `any_commit: true`"
        return [MissingItem(f"repository {state}, expected {recipe.commit}", path, hint)]

    def _missing_weights(self) -> list[MissingItem]:
        items = [self._missing_weight(weight, path) for weight, path in weights_of(self.options, self.recipe)]
        return [item for item in items if item is not None]

    def _missing_weight(self, weight: Weight, path: Path) -> MissingItem | None:
        checksum = f"sha256 {weight.sha256}" if weight.sha256 else "no published sha256"
        source = f"from {weight.source}, {checksum}"
        if not path.exists():
            return MissingItem("weights are missing", str(path), source)
        if self.options.any_weights or not path.is_file():
            return None
        if disguise := nature(path):
            return MissingItem(f"the weights file is {disguise}", str(path), source)
        hint = f"{source}, or set `any_weights: true`"
        size = path.stat().st_size
        if weight.size and size != weight.size:
            return MissingItem(f"weights have {size} bytes, expected {weight.size}", str(path), hint)
        if weight.sha256 and (sha256 := hash_once(path)) != weight.sha256:
            return MissingItem(f"weights have sha256 {sha256}", str(path), hint)
        return None

    @property
    def _options(self) -> dict[str, str | int | float]:
        """Values of the recipe's own placeholders."""
        return self.recipe.options | self.options.options

    @property
    def _adapter(self) -> Path | None:
        name = self.recipe.worker and self.recipe.worker.adapter
        return folder_of(self.options.recipe).resolve() / name if name else None

    def render(self, job: RenderJob, work: Path) -> RawResult:
        recipe, where = self.recipe, f"recipe {self.options.recipe}"
        values = self._values(job, work)
        self._fill_workdir(job, work, values, where)
        pattern = fill_one(recipe.output.path, values, where)
        for stale in work.glob(pattern):
            stale.unlink()
        log_file = self.log_path(job.clip_id).resolve()
        result = self._run(job, values, log_file, where)
        problem = result.problem(self.options.timeout)
        outputs = sorted(work.glob(pattern))
        if result.timed_out or result.note:
            raise EadbenchError(f"the program {problem}", job.clip_id, f"see {log_file}")
        if not outputs:
            state = problem or "ended with status 0"
            raise EadbenchError(f"no output was written; the program {state}", log_file)
        if len(outputs) > 1:
            raise EadbenchError(f"{len(outputs)} outputs fit {pattern}", log_file)
        # some programs fail after they wrote a good output, which is checked next
        if problem:
            log.warning("%s, %s: the program %s, yet wrote its output", self.name, job.clip_id, problem)
        output = recipe.output
        alignment = Alignment(output.missing, output.skip, output.resample, output.region)
        reference = job.clip_id if recipe.reference == "current" else job.reference_clip
        return RawResult(
            file=outputs[0],
            alignment=alignment,
            reference_clip=reference,
            seconds=result.seconds,
            peak_mb=result.peak_mb,
        )

    def close(self) -> None:
        if self._worker:
            self._worker.close()
            self._worker = None

    def _run(
        self, job: RenderJob, values: dict[str, object], log_file: Path, where: str
    ) -> process.ProcessResult:
        """Run the program for one clip, in the worker or in a process of its own."""
        recipe, timeout = self.recipe, self.options.timeout
        env = OFFLINE | {name: fill_one(value, values, where) for name, value in recipe.env.items()}
        for name, value in self.options.env.items():
            env[name] = expand(value, f"samples.methods.{self.name}.env.{name}")
        words, cwd = fill(recipe.command, values, where), Path(fill_one(recipe.cwd, values, where))
        if recipe.worker is None:
            return process.run(words, cwd, log_file, timeout, env)
        if self._worker and self._worker.env != env:
            self.close()
        if self._worker is None:
            self._worker = Worker(words[0], env, recipe.worker.keep, self._adapter)
        options = {name: str(value) for name, value in self._options.items()}
        seed = self.context.seed_for(job.protocol, job.clip_id)
        end = self._worker.run(WorkerRequest(words[1:], cwd, log_file, seed, options), timeout)
        if not self.options.persistent:
            self.close()
        return end

    def _values(self, job: RenderJob, work: Path) -> dict[str, object]:
        """Values for the recipe's templates."""
        recipe = self.recipe
        if recipe.emotions and job.emotion not in recipe.emotions:
            raise EadbenchError(
                f"it knows no emotion {job.emotion!r}; it knows {', '.join(recipe.emotions)}", job.clip_id
            )
        inputs = write_inputs(job, work)
        values = dict(self._options) | job.as_strings() | inputs.as_strings()
        values |= constant_box(face_boxes(job)) | {
            "repo": Path(self.options.path).resolve(),
            "weights": Path(self.options.weights or self.options.path).resolve(),
            "python": self.options.python,
            "work": work,
            "emotion": recipe.emotions.get(job.emotion, ""),
        }
        if recipe.prepared:
            values["prepared"] = Path(self.options.prepared).resolve()
            for clip in (job.clip_id, job.driving_clip):
                if not (values["prepared"] / clip).is_dir():
                    raise EadbenchError(
                        f"its prepared inputs of {clip} are missing",
                        values["prepared"] / clip,
                        recipe.prepared,
                    )
        return values

    def _fill_workdir(self, job: RenderJob, work: Path, values: dict[str, object], where: str) -> None:
        workdir = self.recipe.workdir
        for name in workdir.folders:
            (work / name).mkdir(parents=True, exist_ok=True)
        for name, target in workdir.links.items():
            source = Path(fill_one(target, values, where))
            if not source.exists():
                raise EadbenchError("a part of the checkout is missing", source, "is the checkout complete?")
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).symlink_to(source)
        for name, jpeg in workdir.jpegs.items():
            image = cv2.imread(fill_one(jpeg.source, values, where))
            if jpeg.size:
                interpolation = cv2.INTER_AREA if jpeg.size < len(image) else cv2.INTER_CUBIC
                image = cv2.resize(image, (jpeg.size, jpeg.size), interpolation=interpolation)
            (work / name).write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1])
        for name, text in workdir.files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(fill_one(text, values, where), encoding="utf-8")
        if workdir.landmarks:
            np.save(work / workdir.landmarks, landmarks(job))


def _gpu_visible() -> bool:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path("/dev/nvidiactl").exists() and not hidden
