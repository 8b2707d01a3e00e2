"""Methods by kind. Each module is loaded when a method of its kind is."""

from importlib import import_module

from eadbench.samples.config import BaseMethodConfig
from eadbench.samples.methods.base import Method, MethodContext

CLASSES = {
    "ground_truth": "controls:GroundTruth",
    "copied_input": "controls:CopiedInput",
    "still": "controls:Still",
    "shuffled_audio": "controls:ShuffledAudio",
    "eadnet": "eadnet:EADNetMethod",
    "wav2lip": "wav2lip:Wav2LipMethod",
    "videos": "videos:VideosMethod",
    "command": "command:CommandMethod",
    "external": "external:ExternalMethod",
}


def method_class(kind: str) -> type[Method]:
    """The class of a kind."""
    module, name = CLASSES[kind].split(":")
    return getattr(import_module(f"eadbench.samples.methods.{module}"), name)


def make_method(name: str, options: BaseMethodConfig, context: MethodContext) -> Method:
    """The method ``name`` of the config."""
    return method_class(options.kind)(name, options, context)
