"""Files of the published networks' names and shapes with random weights, and a server
on this machine that sends them.
"""

import hashlib
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from rehearsal.weights import write_i3d, write_inception

from eadbench.models.stable_syncnet import StableSyncNet
from eadbench.zoo import i3d, inception, lpips, stable_syncnet


def write_alexnet(folder: Path) -> None:
    torch.manual_seed(0)
    trunk = lpips.LPIPSNetwork().trunk
    state = {
        ".".join(("features", *name.split(".")[-2:])): value for name, value in trunk.state_dict().items()
    }
    torch.save(state, folder / lpips.OFFICIAL)


def write_arcface(folder: Path) -> None:
    """``(N, 3, 112, 112)`` to ``(N, 512)``, in a zip as the pack is."""
    weight = np.random.default_rng(0).standard_normal((3, 512)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["input.1"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["683"]),
    ]
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["None", 3, 112, 112])]
    outputs = [helper.make_tensor_value_info("683", TensorProto.FLOAT, ["None", 512])]
    graph = helper.make_graph(nodes, "arcface", inputs, outputs, [numpy_helper.from_array(weight, "weight")])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        folder / "w600k_r50.onnx",
    )
    with zipfile.ZipFile(folder / "buffalo_l.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.write(folder / "w600k_r50.onnx", "buffalo_l/w600k_r50.onnx")


def stable_syncnet_state() -> dict[str, torch.Tensor]:
    """Names of the published network's tensors, few channels each."""
    torch.manual_seed(0)
    audio, visual = ([32] * count + [64] for count in (6, 7))
    return StableSyncNet(
        [(width, k in (3, 4)) for k, width in enumerate(audio)],
        [(width, k in (4, 5)) for k, width in enumerate(visual)],
    ).state_dict()


def write_stable_syncnet(folder: Path) -> None:
    """As LatentSync's training saves it."""
    course = {"global_step": 2, "train_step_list": [1, 2], "train_loss_list": [0.7, 0.6]}
    torch.save({"state_dict": stable_syncnet_state()} | course, folder / stable_syncnet.OFFICIAL)


FILES = {
    "stable-syncnet": stable_syncnet.OFFICIAL,
    "i3d-torchscript": i3d.OFFICIAL,
    "lpips-alex": lpips.OFFICIAL,
    "inception-fid": inception.OFFICIAL,
    "arcface-w600k-r50": "w600k_r50.onnx",
}
WRITERS = (write_stable_syncnet, write_i3d, write_alexnet, write_inception, write_arcface)


def facts(path: Path) -> dict:
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}


class Server:
    """Sends files, whole or from a byte on; ``cut``: names whose next answer ends
    half-way; ``page``: names answered by a web page.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.cut, self.page, self.seen, self.ranges = folder, set(), set(), Counter(), []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                server.seen[name] += 1
                body = (server.folder / name).read_bytes()
                if name in server.page:
                    body = b"<!DOCTYPE html><html><title>Quota exceeded</title></html>"
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                if start:
                    server.ranges.append((name, start))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                half = name in server.cut
                server.cut.discard(name)
                self.wfile.write(body[start : start + (len(body) - start) // 2] if half else body[start:])

            def log_message(self, *args):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def overlay(self, path: Path, **changes: dict) -> Path:
        """The registry with this server's addresses and the files' own hashes;
        ``changes`` by the file's name.
        """
        found = {}
        for entry, name in FILES.items():
            remote = {"name": name, "url": f"{self.url}/{name}"} | facts(self.folder / name)
            if entry.startswith("arcface"):
                remote |= {
                    "url": f"{self.url}/buffalo_l.zip",
                    "archive": {"member": name} | facts(self.folder / "buffalo_l.zip"),
                }
            found[entry] = {"files": [remote | changes.get(name, {})]}
        path.write_text(yaml.safe_dump(found))
        return path

    def close(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
