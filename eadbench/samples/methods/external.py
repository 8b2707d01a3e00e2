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
from eadbench.samples.methods.base import Alignment, Lack, Method, Raw, lacking_variables
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
    """A recipe, a checkout, weights. The exit status proves nothing: the output is
    removed first, then looked for and checked.
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
        """A recipe that names the protocol ``dial`` says so."""
        return "dial" in self.recipe.protocols

    @property
    def emotion_control(self) -> str:
        return self.recipe.emotion_control

    @property
    def licence(self) -> str:
        return f"code: {self.recipe.licence}; weights: {self.recipe.weights_licence}"

    @cached_property
    def hash(self) -> str:
        """Of the recipe, its adapter, the options, the commit that was found with what
        was changed in it, and the weights.
        """
        told = [reads(self.options, "", "", Digests()), self.options.options]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def needs(self) -> list[str]:
        recipe = self.recipe
        wanted = [f"{recipe.repository} at {recipe.commit}", f"environment envs/{recipe.environment}.yaml"]
        wanted += [
            f"{weight.path} from {weight.source}" for weight, _ in weights_of(self.options, self.recipe)
        ]
        return wanted + ([recipe.prepared] if recipe.prepared else []) + (["a GPU"] if recipe.gpu else [])

    def notes(self) -> list[str]:
        changed = changes_of(self.options.path).count("\ndiff --git ")
        local = (
            [f"the checkout has local changes in {changed} files; they are part of the hash of its results"]
            if changed
            else []
        )
        return [f"how far this recipe was really run: {self.recipe.ran}", *local, *self.recipe.traps]

    def lacks(self) -> list[Lack]:
        found = self._lacks_checkout() + self._lacks_weights()
        if not shutil.which(self.options.python or ""):
            get = (
                f"conda env create -p ENV -f envs/{self.recipe.environment}.yaml; then set `python: "
                "ENV/bin/python`"
            )
            found.append(
                Lack(
                    "environment is missing",
                    self.options.python or f"envs/{self.recipe.environment}.yaml",
                    get,
                )
            )
        if self.recipe.prepared and not (self.options.prepared and Path(self.options.prepared).is_dir()):
            found.append(
                Lack(
                    "prepared inputs are missing",
                    str(self.options.prepared or "prepared: not set"),
                    self.recipe.prepared,
                )
            )
        if self.recipe.gpu and not _gpu_visible():
            found.append(Lack(NO_GPU, "none is visible here"))
        return found + lacking_variables(self.options.env)

    def _lacks_checkout(self) -> list[Lack]:
        recipe, path = self.recipe, self.options.path
        get = f"git clone {recipe.repository} FOLDER && git -C FOLDER checkout {recipe.commit}"
        if not path:
            return [
                Lack(
                    "repository is missing",
                    f"{recipe.repository} at {recipe.commit}",
                    f"{get}; then set `path: FOLDER`",
                )
            ]
        if not Path(path).is_dir():
            return [
                Lack(
                    "repository is missing",
                    f"{path} (of {recipe.repository} at {recipe.commit})",
                    get.replace("FOLDER", path),
                )
            ]
        found = commit_of(self.options.path)
        if found == recipe.commit or self.options.any_commit:
            return []
        state = f"is at {found}" if found else "is not a git checkout"
        return [
            Lack(
                f"repository {state}, expected {recipe.commit}",
                path,
                f"git -C {path} checkout {recipe.commit}, or set `any_commit: true`",
            )
        ]

    def _lacks_weights(self) -> list[Lack]:
        return [
            lack
            for weight, path in weights_of(self.options, self.recipe)
            if (lack := self._lacks_weight(weight, path))
        ]

    def _lacks_weight(self, weight: Weight, path: Path) -> Lack | None:
        about = f"from {weight.source}" + (
            f", sha256 {weight.sha256}" if weight.sha256 else ", no published sha256"
        )
        if not path.exists():
            return Lack("weights are missing", str(path), about)
        if self.options.any_weights or not path.is_file():
            return None
        if disguise := nature(path):
            return Lack(f"the weights file is {disguise}", str(path), about)
        if weight.size and path.stat().st_size != weight.size:
            return Lack(
                f"weights have {path.stat().st_size} bytes, expected {weight.size}",
                str(path),
                f"{about}, or set `any_weights: true`",
            )
        if weight.sha256 and (found := hash_once(path)) != weight.sha256:
            return Lack(f"weights have sha256 {found}", str(path), f"{about}, or set `any_weights: true`")
        return None

    @property
    def _options(self) -> dict[str, str | int | float]:
        """Values of the recipe's own placeholders."""
        return self.recipe.options | self.options.options

    @property
    def _adapter(self) -> Path | None:
        name = self.recipe.worker and self.recipe.worker.adapter
        return folder_of(self.options.recipe).resolve() / name if name else None

    def render(self, job: RenderJob, work: Path) -> Raw:
        recipe, where = self.recipe, f"recipe {self.options.recipe}"
        values = self._values(job, work)
        self._fill_workdir(job, work, values, where)
        pattern = fill_one(recipe.output.path, values, where)
        for stale in work.glob(pattern):
            stale.unlink()
        record = self.log_path(job.clip_id).resolve()
        end = self._run(job, values, record, where)
        trouble = end.trouble(self.options.timeout)
        found = sorted(work.glob(pattern))
        if end.timed_out or end.note:
            raise EadbenchError(f"the program {trouble}", job.clip_id, f"see {record}")
        if len(found) != 1:
            state = trouble or "ended with status 0"
            raise EadbenchError(
                f"no output was written; the program {state}"
                if not found
                else f"{len(found)} outputs fit {pattern}",
                record,
            )
        # some programs end badly after writing well: what counts is the file, which is
        # checked next
        if trouble:
            log.warning("%s, %s: the program %s, yet wrote its output", self.name, job.clip_id, trouble)
        output = recipe.output
        alignment = Alignment(output.missing, output.skip, output.resample, output.region)
        reference = job.clip_id if recipe.reference == "current" else job.reference_clip
        return Raw(
            file=found[0],
            alignment=alignment,
            reference_clip=reference,
            seconds=end.seconds,
            peak_mb=end.peak_mb,
        )

    def close(self) -> None:
        if self._worker:
            self._worker.close()
            self._worker = None

    def _run(self, job: RenderJob, values: dict[str, object], record: Path, where: str) -> process.Finished:
        """Run the program for one clip, in the worker or in a process of its own."""
        recipe, timeout = self.recipe, self.options.timeout
        env = OFFLINE | {k: fill_one(v, values, where) for k, v in recipe.env.items()}
        env |= {k: expand(v, f"samples.methods.{self.name}.env.{k}") for k, v in self.options.env.items()}
        words, cwd = fill(recipe.command, values, where), Path(fill_one(recipe.cwd, values, where))
        if recipe.worker is None:
            return process.run(words, cwd, record, timeout, env)
        if self._worker and self._worker.env != env:
            self.close()
        if self._worker is None:
            self._worker = Worker(words[0], env, recipe.worker.keep, self._adapter)
        options = {k: str(v) for k, v in self._options.items()}
        seed = self.context.seed_for(job.protocol, job.clip_id)
        end = self._worker.run(WorkerRequest(words[1:], cwd, record, seed, options), timeout)
        if not self.options.persistent:
            self.close()
        return end

    def _values(self, job: RenderJob, work: Path) -> dict[str, object]:
        """What the recipe's templates may use."""
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
        plan = self.recipe.workdir
        for name in plan.folders:
            (work / name).mkdir(parents=True, exist_ok=True)
        for name, target in plan.links.items():
            source = Path(fill_one(target, values, where))
            if not source.exists():
                raise EadbenchError("a part of the checkout is missing", source, "is the checkout complete?")
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).symlink_to(source)
        for name, jpeg in plan.jpegs.items():
            image = cv2.imread(fill_one(jpeg.source, values, where))
            if jpeg.size:
                way = cv2.INTER_AREA if jpeg.size < len(image) else cv2.INTER_CUBIC
                image = cv2.resize(image, (jpeg.size, jpeg.size), interpolation=way)
            (work / name).write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1])
        for name, text in plan.files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(fill_one(text, values, where), encoding="utf-8")
        if plan.landmarks:
            np.save(work / plan.landmarks, landmarks(job))


def _gpu_visible() -> bool:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path("/dev/nvidiactl").exists() and not hidden
