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
from eadbench.zoo.kinds import i3d, inception, lpips, stable_syncnet, videomae_v2, vjepa


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


def _blocks(width: int, inner: int, draw, joint: bool) -> dict[str, torch.Tensor]:
    """Two blocks under timm's names; query and value alone have a bias in VideoMAE."""
    tensors = {}
    for k in range(2):
        bias = (
            {"attn.qkv.bias": draw(3 * width)}
            if joint
            else {"attn.q_bias": draw(width), "attn.v_bias": draw(width)}
        )
        own = {
            "norm1.weight": draw(width), "norm1.bias": draw(width), "attn.qkv.weight": draw(3 * width, width),
            "attn.proj.weight": draw(width, width), "attn.proj.bias": draw(width),
            "norm2.weight": draw(width), "norm2.bias": draw(width),
            "mlp.fc1.weight": draw(inner, width), "mlp.fc1.bias": draw(inner),
            "mlp.fc2.weight": draw(width, inner), "mlp.fc2.bias": draw(width),
        }  # fmt: skip
        tensors |= {f"blocks.{k}.{name}": value for name, value in (own | bias).items()}
    return tensors


def _draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: 0.2 * torch.randn(shape, generator=generator)


def videomae_state() -> dict[str, torch.Tensor]:
    draw = _draw()
    ends = {"patch_embed.proj.weight": draw(32, 3, 2, 14, 14), "patch_embed.proj.bias": draw(32)}
    ends |= {"fc_norm.weight": draw(32), "fc_norm.bias": draw(32)}
    return ends | _blocks(32, 96, draw, False) | {"head.weight": draw(174, 32), "head.bias": draw(174)}


def write_videomae(folder: Path) -> None:
    torch.save({"module": videomae_state()}, folder / videomae_v2.OFFICIAL)


def vjepa_states() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Encoder for frames of 64, probe."""
    draw = _draw()
    encoder = {"pos_embed": draw(1, 128, 32), "norm.weight": draw(32), "norm.bias": draw(32)}
    encoder |= {"patch_embed.proj.weight": draw(32, 3, 2, 16, 16), "patch_embed.proj.bias": draw(32)}
    parts = {"norm1": (32,), "norm2": (32,), "xattn.q": (32, 32), "xattn.kv": (64, 32),
             "xattn.proj": (32, 32), "mlp.fc1": (128, 32), "mlp.fc2": (32, 128)}  # fmt: skip
    block = "pooler.cross_attention_block"
    probe = {f"{block}.{name}.weight": draw(*shape) for name, shape in parts.items()}
    probe |= {f"{block}.{name}.bias": draw(shape[0]) for name, shape in parts.items()}
    probe |= {"pooler.query_tokens": draw(1, 1, 32), "linear.weight": draw(174, 32), "linear.bias": draw(174)}
    return encoder | _blocks(32, 128, draw, True), probe


def write_vjepa(folder: Path) -> None:
    """With what else the training left in the files."""
    encoder, probe = vjepa_states()
    named = {f"module.backbone.{name}": value for name, value in encoder.items()}
    optimiser = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    torch.save(
        {"encoder": named, "target_encoder": named, "opt": optimiser, "epoch": 3}, folder / vjepa.ENCODER
    )
    torch.save(
        {"classifier": {f"module.{name}": value for name, value in probe.items()}, "lr": 1e-3},
        folder / vjepa.PROBE,
    )


FILES = {
    "i3d-torchscript": i3d.OFFICIAL,
    "lpips-alex": lpips.OFFICIAL,
    "inception-fid": inception.OFFICIAL,
    "arcface-w600k-r50": "w600k_r50.onnx",
}
LARGE = {"videomae-v2-giant-ssv2": videomae_v2.OFFICIAL, "stable-syncnet": stable_syncnet.OFFICIAL}
PAIRS = {"vjepa-huge-ssv2": (vjepa.ENCODER, vjepa.PROBE)}
WRITERS = (
    write_videomae,
    write_vjepa,
    write_stable_syncnet,
    write_i3d,
    write_alexnet,
    write_inception,
    write_arcface,
)


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

    def overlay(self, path: Path, more: dict[str, str] | None = None, **changes: dict) -> Path:
        """The registry with this server's addresses and the files' own hashes;
        ``changes`` by the file's name; ``more``: further files, with the id of each.
        """
        entries = {}
        for entry, name in (FILES | LARGE).items():
            remote = {"name": name, "url": f"{self.url}/{name}"} | facts(self.folder / name)
            if entry.startswith("arcface"):
                remote |= {
                    "url": f"{self.url}/buffalo_l.zip",
                    "archive": {"member": name} | facts(self.folder / "buffalo_l.zip"),
                }
            entries[entry] = {"files": [remote | changes.get(name, {})]}
        for entry, names in PAIRS.items():
            remotes = [{"name": n, "url": f"{self.url}/{n}"} | facts(self.folder / n) for n in names]
            entries[entry] = {"files": remotes}
        for name, entry in (more or {}).items():
            entries[entry] = {
                "files": [{"name": name, "url": f"{self.url}/{name}"} | facts(self.folder / name)]
            }
        path.write_text(yaml.safe_dump(entries))
        return path

    def close(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
