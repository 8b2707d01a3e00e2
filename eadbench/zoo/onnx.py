"""ONNX models through onnxruntime."""

from pathlib import Path
from typing import Any

from eadbench.core.errors import EadbenchError
from eadbench.media.onnx import session_options
from eadbench.zoo.weights import refuse_non_weights


def open_onnx(path: Path, device: Any = "cpu"):
    """An inference session, on the GPU if asked for and offered.

    Raises:
        EadbenchError: If the file is missing or not ONNX.
    """
    import onnxruntime

    refuse_non_weights(path)
    preferred = ["CPUExecutionProvider"]
    if str(device).startswith("cuda"):
        preferred.insert(0, "CUDAExecutionProvider")
    providers = [name for name in preferred if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), session_options(), providers=providers)
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise EadbenchError(
            f"not a usable ONNX model: {error}", path, "fetch it again from the named source"
        ) from error
