"""Methods by kind. Each module is loaded when a method of its kind is."""

from importlib import import_module

from eadbench.samples.config import BaseMethod
from eadbench.samples.methods.base import Context, Method

CLASSES = {
    "ground_truth": "controls:GroundTruth",
    "copied_input": "controls:CopiedInput",
    "still": "controls:Still",
    "shuffled_audio": "controls:ShuffledAudio",
    "eadnet": "eadnet:EadNet",
    "wav2lip": "wav2lip:Wav2Lip",
    "videos": "videos:Videos",
    "command": "command:Command",
    "external": "external:External",
}


def method_class(kind: str) -> type[Method]:
    """The class of a kind."""
    module, name = CLASSES[kind].split(":")
    return getattr(import_module(f"eadbench.samples.methods.{module}"), name)


def make_method(name: str, options: BaseMethod, context: Context) -> Method:
    """The method ``name`` of the config."""
    return method_class(options.kind)(name, options, context)
