"""Speech with the exact time of each phoneme, from espeak-ng."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eadbench.core.errors import EadbenchError

HELPER = Path(__file__).with_name("voice_process.py")


@dataclass(frozen=True)
class Utterance:
    """Samples in [-1, 1], their rate, and ``(seconds, phoneme)`` events in espeak-ng's
    mnemonics.
    """

    samples: np.ndarray
    rate: int
    events: list[tuple[float, str]]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


class Voices:
    """A helper process that speaks. The same request always gives the same samples. Use
    as a context manager.
    """

    def __enter__(self) -> "Voices":
        try:
            import espeakng_loader
        except ImportError as error:
            raise EadbenchError(
                "espeak-ng is missing", "package espeakng-loader", "pip install 'eadbench[studio]'"
            ) from error
        command = [
            sys.executable,
            "-I",
            "-S",
            str(HELPER),
            espeakng_loader.get_library_path(),
            str(espeakng_loader.get_data_path()),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *trace: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    def speak(self, text: str, voice: str, rate: float, pitch: float, spread: float) -> Utterance:
        """Speak one utterance.

        Args:
            text: English text.
            voice: espeak-ng voice with variant, e.g. ``en-us+f2``.
            rate: Words per minute, 80..450.
            pitch: Base pitch, 0..99.
            spread: Pitch range, 0..99.

        Raises:
            EadbenchError: If espeak-ng does not know the voice or dies.
        """
        request = {
            "text": text,
            "voice": voice,
            "rate": round(rate),
            "pitch": round(min(max(pitch, 0), 99)),
            "range": round(min(max(spread, 0), 99)),
        }
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        header = json.loads(line) if line else {"error": "the helper ended"}
        if "error" in header:
            raise EadbenchError(
                f"espeak-ng failed: {header['error']}",
                request,
                "check that the wheel espeakng-loader is whole",
            )
        samples = (
            np.frombuffer(self._process.stdout.read(2 * header["samples"]), "<i2").astype(np.float32) / 32768
        )
        return Utterance(
            samples, header["rate"], [(float(seconds), name) for seconds, name in header["events"]]
        )
