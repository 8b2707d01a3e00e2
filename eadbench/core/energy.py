"""Energy that the visible NVIDIA GPUs have used, as far as their driver counts it
(Volta and later).
"""

import ctypes
import os


def millijoules() -> dict[str, int]:
    """Counter of each visible GPU since its driver was loaded, by index or uuid; empty
    without one. Other users of the GPU are counted in.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return {}
    if nvml.nvmlInit_v2() != 0:
        return {}
    try:
        return {name: value for name in _visible(nvml) if (value := _counter(nvml, name)) is not None}
    finally:
        nvml.nvmlShutdown()


def _visible(nvml: ctypes.CDLL) -> list[str]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    return [str(k) for k in range(count.value)]


def _counter(nvml: ctypes.CDLL, name: str) -> int | None:
    handle, value = ctypes.c_void_p(), ctypes.c_ulonglong()
    if name.isdigit():
        status = nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
    else:
        status = nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    if status != 0 or nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)) != 0:
        return None
    return value.value
