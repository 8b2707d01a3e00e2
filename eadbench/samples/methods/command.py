"""A program of the user's, run per clip or once for all."""

import csv
import hashlib
import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eadbench.core.errors import EadbenchError, fatal_cause
from eadbench.core.protocols import PROTOCOLS
from eadbench.core.scratch import scratch_folder
from eadbench.core.secrets import expand
from eadbench.samples import process
from eadbench.samples.config import rendering
from eadbench.samples.inputs import write_inputs
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import MissingItem, RawResult, UserMethod, missing_variables
from eadbench.samples.templates import fill, fill_one, split

CHECKOUT = Path(__file__).parents[3]


class CommandMethod(UserMethod):
    """``command`` of the config with its placeholders filled; ``{out}`` is a file, or
    with ``per: manifest`` a folder.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._unreadable: dict[str, Exception] = {}
        self._folders = ExitStack()

    protocols = frozenset(PROTOCOLS)

    @property
    def takes_intensity(self) -> bool:
        """A manifest holds it; a command line only where it has the placeholder."""
        return self.options.can("dial")

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(rendering(self.options), sort_keys=True).encode()).hexdigest()

    def needs(self) -> list[str]:
        return [f"program {self._program}"]

    def missing_items(self) -> list[MissingItem]:
        missing = missing_variables(self.options.env)
        if not shutil.which(self._program):
            hint = "check the command in the config"
            missing.insert(0, MissingItem("program is missing", self._program, hint))
        return missing

    def close(self) -> None:
        self._folders.close()

    def prepare(self, jobs: list[RenderJob]) -> None:
        if self.options.per == "manifest":
            self._run_all(jobs)

    def render(self, job: RenderJob, work: Path) -> RawResult:
        if error := self._unreadable.get(job.clip_id):
            raise error
        if self.options.per == "manifest":
            return self._result_of_common_run(job)
        inputs = write_inputs(job, work)
        out = work / "out.mp4"
        log = self.log_path(job.clip_id)
        end = self._run(job.as_strings() | inputs.as_strings() | {"out": out}, work, log)
        problem = end.problem(self.options.timeout)
        if not out.exists():
            raise EadbenchError(
                f"no output was written; the command {problem or 'ended well'}", job.clip_id, f"see {log}"
            )
        if problem:
            raise EadbenchError(f"the command {problem}", job.clip_id, f"see {log}")
        return RawResult(
            file=out,
            alignment=self.alignment,
            reference_clip=job.reference_clip,
            seconds=end.seconds,
            peak_mb=end.peak_mb,
        )

    def _result_of_common_run(self, job: RenderJob) -> RawResult:
        file = self._folder / "out" / f"{job.clip_id}.mp4"
        if not file.exists():
            message = self._problem or "the command wrote no output for this clip"
            raise EadbenchError(message, job.clip_id, f"see {self._log}")
        return RawResult(
            file=file,
            alignment=self.alignment,
            reference_clip=job.reference_clip,
            seconds=self._seconds,
            peak_mb=self._peak_mb,
        )

    def _run_all(self, jobs: list[RenderJob]) -> None:
        """One run for all clips; ``{manifest}`` is a CSV with a row per clip and the
        columns that are placeholders with ``per: clip``.
        """
        self._folder = self._folders.enter_context(scratch_folder())
        (self._folder / "out").mkdir()
        rows = []
        for job in jobs:
            input_folder = self._folder / "in" / job.clip_id
            input_folder.mkdir(parents=True)
            try:
                inputs = write_inputs(job, input_folder).as_strings()
            except Exception as error:
                if fatal := fatal_cause(error):
                    raise fatal from error
                self._unreadable[job.clip_id] = error
                continue
            out = str(self._folder / "out" / f"{job.clip_id}.mp4")
            rows.append(job.as_strings() | inputs | {"out": out, "output": out})
        if not rows:
            return
        manifest = self._folder / "manifest.csv"
        with manifest.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        self._log = self.log_path("manifest")
        end = self._run({"manifest": manifest, "out": self._folder / "out"}, self._folder, self._log)
        problem = end.problem(self.options.timeout)
        self._problem = problem and f"the command {problem}"
        self._seconds, self._peak_mb = end.seconds / len(rows), end.peak_mb

    def _run(self, values: dict[str, object], work: Path, log: Path) -> process.ProcessResult:
        values = values | {
            "output": values["out"],
            "work": work,
            "python": sys.executable,
            "checkout": CHECKOUT,
        }
        cwd = Path.cwd()
        if self.options.cwd:
            cwd = Path(fill_one(self.options.cwd, values, self._where))
        env = {name: expand(value, self._where) for name, value in self.options.env.items()}
        return process.run(
            fill(self._words(), values, self._where), cwd, log.resolve(), self.options.timeout, env
        )

    @property
    def _where(self) -> str:
        return f"samples.methods.{self.name}.command"

    @property
    def _program(self) -> str:
        return self._words()[0].replace("{python}", sys.executable)

    def _words(self) -> list[str]:
        return split(self.options.command, self._where)
