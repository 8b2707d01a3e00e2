"""The stand-in's entry points, one per recipe: where each program reads, what it insists on, and where it writes."""

HEAD = """import argparse, os, pickle, sys
from pathlib import Path
import numpy as np
from standin import *
misbehave(os.environ.get("STANDIN", "well"))
"""

PROGRAMS = {
    "wav2lip": {
        "inference.py": """
parser = argparse.ArgumentParser()
for name in ("checkpoint_path", "face", "audio", "outfile"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--box", nargs=4, type=int, default=[-1] * 4)
a = parser.parse_args()
assert Path("temp").is_dir() and Path(a.checkpoint_path).exists() and Path(a.audio).exists()
top, bottom, left, right = a.box
frames, _ = read(a.face)
for image in frames:
    image[top:bottom, left:right] = 255 - image[top:bottom, left:right]
finish(frames[:-3], Path(a.outfile))
""",
    },
    "ip_lap": {
        "inference_single.py": """
a = arguments("input", "audio", "output_dir", "landmark_gen_checkpoint_path", "renderer_checkpoint_path")
frames, _ = read(a.input)
wide = [np.concatenate([np.zeros_like(f), f], 1) for f in frames[:-4]]
finish(wide, Path(a.output_dir) / (Path(a.input).name[:-4] + "result_N_25_Nl_15.mp4"))
""",
    },
    "musetalk": {
        "musetalk/utils/__init__.py": "",
        "scripts/inference.py": """
import yaml
parser = argparse.ArgumentParser()
for name in ("inference_config", "result_dir", "unet_model_path", "unet_config", "whisper_dir", "version"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--use_saved_coord", action="store_true")
a = parser.parse_args()
task = yaml.safe_load(open(a.inference_config))["task_0"]
assert Path(a.unet_config).exists() and Path("musetalk/utils").is_dir()
frames, _ = read(task["video_path"])
boxes = pickle.load(open(Path(a.result_dir) / ".." / (Path(task["video_path"]).stem + ".pkl"), "rb"))
assert len(boxes) == len(frames) and all(x1 > x0 and y1 > y0 for x0, y0, x1, y1 in boxes)
target = Path(a.result_dir) / a.version / task["result_name"]
target.parent.mkdir()
finish(frames, target)
""",
    },
    "latentsync": {
        "configs/unet/stage2_512.yaml": "{}",
        "latentsync/__init__.py": "",
        "scripts/inference.py": """
a = arguments("unet_config_path", "inference_ckpt_path", "video_path", "audio_path", "video_out_path", "inference_steps", "guidance_scale", "seed")
assert Path(a.unet_config_path).exists() and Path(a.inference_ckpt_path).exists() and int(a.seed) == 1247
frames, _ = read(a.video_path)
finish([*frames, frames[-1], frames[-2]], Path(a.video_out_path))
""",
    },
    "eat": {
        "config/x.yaml": "{}",
        "expPCAnorm_fin/U_mead.npy": "",
        "pad.npy": "",
        "demo.py": """
a = arguments("root_wav", "emo", "name")
assert Path("ckpt").is_dir() and Path("pad.npy").exists()
(image,) = Path("demo/imgs_cropped").glob("*.jpg")
(picture,), _ = read(str(image))
count = len(list(Path(a.root_wav).glob("images_evp_25/cropped/*.jpg")))
target = Path(f"demo/output/{a.name}/{image.stem}_{a.emo}_{Path(a.root_wav).name}.mp4")
target.parent.mkdir(parents=True)
finish([picture] * count, target)
""",
    },
    "edtalk": {
        "demo_EDTalk_A_using_predefined_exp_weights.py": """
a = arguments("source_path", "audio_driving_path", "pose_driving_path", "exp_type", "save_path", "model_path", "audio2lip_model_path")
assert a.exp_type in ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised") and Path(a.model_path).exists()
(picture,), _ = read(a.source_path)
frames, _ = read(a.pose_driving_path)
finish([picture] * (len(frames) - 2), Path(a.save_path))
""",
    },
}
