"""Runs a published program once per clip in one process, so that its weights are loaded
once. Started by ``eadbench.samples.worker`` with the interpreter of the program's own
environment: standard library only, Python 3.6 and later.

Requests come as lines of JSON on standard input, replies go as lines of JSON to the
pipe whose number is the argument.

    request: argv (words after the interpreter), cwd, log (a FIFO for what is printed),
        seed, keep, adapter, options
    reply: status, gpu_mb

``keep`` names functions and classes of the program, ``module:name``, that are called
once per arguments; later calls with the same arguments get the same object. ``adapter``
is a file of ours with ``install(options)``, called before the first clip.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import random
import runpy
import signal
import sys
import traceback
from pathlib import Path

DEV_NULL = os.open(os.devnull, os.O_RDWR)
prepared = []


def key_of(args, kwargs):
    """Arguments as text; files by their real path, functions by their name."""

    def plain(value):
        if isinstance(value, str) and Path(value).exists():
            return str(Path(value).resolve())
        return getattr(value, "__qualname__", None) or repr(value)

    return repr(([plain(a) for a in args], sorted((k, plain(v)) for k, v in kwargs.items())))


def keep_function(function):
    """A function that calls another once per arguments."""
    results = {}

    def cached_call(*args, **kwargs):
        key = key_of(args, kwargs)
        if key not in results:
            results[key] = function(*args, **kwargs)
        return results[key]

    return cached_call


def keep_class(cls):
    """Let the class return one instance per arguments; it stays a class, since its
    methods may name it.
    """
    init, instances, initialised = cls.__init__, {}, set()

    def cached_new(kind, *args, **kwargs):
        if kind is not cls:
            return object.__new__(kind)
        key = key_of(args, kwargs)
        if key not in instances:
            instances[key] = object.__new__(cls)
        return instances[key]

    def init_once(self, *args, **kwargs):
        if type(self) is not cls or id(self) not in initialised:
            init(self, *args, **kwargs)
            initialised.add(id(self))

    cls.__new__, cls.__init__ = cached_new, init_once


def keep(name):
    """Replace ``module:name`` by its cached form; a name that does not exist only costs
    time.
    """
    module, _, path = name.partition(":")
    try:
        owner = importlib.import_module(module)
        attributes = path.split(".")
        for attribute in attributes[:-1]:
            owner = getattr(owner, attribute)
        target = getattr(owner, attributes[-1])
    except (ImportError, AttributeError) as error:
        print(f"not kept from clip to clip: {name} ({error})")
        return
    if isinstance(target, type):
        keep_class(target)
    else:
        cached_call = keep_function(target)
        if isinstance(owner, type):
            cached_call = staticmethod(cached_call)
        setattr(owner, attributes[-1], cached_call)


def load_adapter(path):
    """The adapter's module."""
    spec = importlib.util.spec_from_file_location("eadbench_adapter", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seed_all(seed):
    """Seed all generators: a clip must not depend on the clips before it."""
    random.seed(seed)
    try:
        import numpy

        numpy.random.seed(seed % 2**32)
    except ImportError:
        pass
    try:
        import torch

        torch.manual_seed(seed)
    except ImportError:
        pass


def cuda():
    """``torch.cuda`` where the program uses it, else nothing."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    # torch before 1.4 has only the latter
    is_initialised = getattr(torch.cuda, "is_initialized", torch.cuda.is_available)
    return torch.cuda if is_initialised() else None


def reset_peak():
    """Reset the measurement of GPU memory."""
    gpu = cuda()
    if gpu:
        (getattr(gpu, "reset_peak_memory_stats", None) or gpu.reset_max_memory_allocated)()


def run(argv):
    """Run like ``python ARGV``; returns the exit status."""
    path = list(sys.path)
    try:
        if argv[0] == "-m":
            sys.argv = argv[1:]
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            sys.path.insert(0, str(Path(argv[0]).resolve().parent))
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    finally:
        sys.path[:] = path
    return 0


def run_request(request):
    """Run one clip; output and errors go to its log."""
    printed = os.open(request["log"], os.O_WRONLY)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    status = 1
    try:
        os.chdir(request["cwd"])
        if not prepared:
            prepared.append(True)
            script = request["argv"][0]
            if script != "-m":
                sys.path.insert(0, str(Path(script).resolve().parent))
            if request["adapter"]:
                load_adapter(request["adapter"]).install(request["options"])
            for name in request["keep"]:
                keep(name)
        seed_all(request["seed"])
        reset_peak()
        status = run(request["argv"])
    except BaseException:
        traceback.print_exc()
    gpu = cuda()
    gpu_mb = gpu.max_memory_allocated() / (1 << 20) if gpu else None
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(DEV_NULL, 1)
    os.dup2(DEV_NULL, 2)
    os.chdir("/")  # the folder is removed
    return {"status": status, "gpu_mb": gpu_mb}


def die_with_parent():
    """End this process when eadbench ends; Linux only."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main():
    """Serve requests until there are no more."""
    die_with_parent()
    requests = os.fdopen(os.dup(0))
    replies = os.fdopen(int(sys.argv[1]), "w")
    os.set_inheritable(replies.fileno(), False)
    os.dup2(DEV_NULL, 0)
    own_folder = Path(__file__).resolve().parent
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != own_folder]
    for line in requests:
        replies.write(json.dumps(run_request(json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
