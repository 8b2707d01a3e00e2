"""The stand-ins, one per recipe: where each program reads, what it insists on, where it
writes; and the little of its libraries that it touches.
"""

HEAD = """import argparse, os, sys
from pathlib import Path
import numpy as np
from standin import *
begin()
"""
MODULE_HEAD = "import numpy as np\nfrom standin import loaded\n"

# Stand in for the libraries of the programs' environments; they lie in the checkout,
# which is first on the path.
LIBRARIES = {
    "torch/__init__.py": """
from . import cuda, nn

class Tensor:
    def cuda(self):
        raise RuntimeError("no CUDA-capable device is detected")

def load(path, map_location=None):
    loaded(path)

def manual_seed(seed):
    print("seed", seed)
""",
    "torch/cuda.py": "def is_available():\n    return False\ndef is_initialized():\n    return False\n",
    "torch/nn.py": """
class Module:
    def __init__(self, *args):
        loaded(type(self).__name__)

    def cuda(self):
        raise RuntimeError("no CUDA-capable device is detected")
""",
    "torchvision/__init__.py": "from . import models\n",
    "torchvision/models.py": "def vgg19(pretrained=False):\n    assert not pretrained, 'would be "
    "downloaded'\n",
    "diffusers.py": "class AutoencoderKL:\n    @classmethod\n    def from_pretrained(cls, path, "
    "torch_dtype=None):\n        loaded(path)\n",
    "transformers.py": "class WhisperModel:\n    @classmethod\n    def from_pretrained(cls, path):\n       "
    " loaded(path)\n",
}

PROGRAMS = {
    "wav2lip": {
        "models/__init__.py": "import torch\nclass Wav2Lip(torch.nn.Module):\n    pass\n",
        "inference.py": """
import torch
from models import Wav2Lip
parser = argparse.ArgumentParser()
for name in ("checkpoint_path", "face", "audio", "outfile"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--box", nargs=4, type=int, default=[-1] * 4)
a = parser.parse_args()
Wav2Lip()
torch.load(a.checkpoint_path, map_location=lambda storage, place: storage)
assert Path("temp").is_dir() and Path(a.checkpoint_path).exists() and Path(a.audio).exists()
top, bottom, left, right = a.box
frames, _ = read(a.face)
for image in frames:
    image[top:bottom, left:right] = 255 - image[top:bottom, left:right]
finish(frames[:-3], Path(a.outfile))
""",
    },
    "ip_lap": {
        "models/__init__.py": """
import lws, torch, torchvision
class Landmark_generator(torch.nn.Module):
    pass
class Renderer(torch.nn.Module):
    def __init__(self):
        super(Renderer, self).__init__()
        torchvision.models.vgg19(pretrained=True)
""",
        "face_alignment.py": """
class LandmarksType:
    TWO_D = 1
class FaceAlignment:
    def __init__(self, kind, flip_input, device):
        loaded("S3FD")
""",
        "inference_single.py": """
import face_alignment, torch
from models import Landmark_generator, Renderer
face_alignment.FaceAlignment(face_alignment.LandmarksType._2D, flip_input=False, device='cuda')
Landmark_generator(), Renderer(), torch.Tensor().cuda()
a = arguments("input", "audio", "output_dir", "landmark_gen_checkpoint_path", "renderer_checkpoint_path")
frames, _ = read(a.input)
wide = [np.concatenate([np.zeros_like(f), f], 1) for f in frames[:-4]]
finish(wide, Path(a.output_dir) / (Path(a.input).name[:-4] + "result_N_25_Nl_15.mp4"))
""",
    },
    "musetalk": {
        "musetalk/utils/__init__.py": "",
        "musetalk/utils/preprocessing.py": "raise ImportError('mmpose is not installed')",
        "musetalk/utils/utils.py": "def load_all_model(unet_model_path):\n    loaded(unet_model_path)\n",
        "musetalk/utils/face_parsing.py": "import torch\nclass FaceParsing(torch.nn.Module):\n    pass\n",
        "musetalk/utils/audio_processor.py": "import torch\nclass AudioProcessor(torch.nn.Module):\n    "
        "pass\n",
        "scripts/inference.py": """
import yaml
from musetalk.utils.audio_processor import AudioProcessor
from musetalk.utils.face_parsing import FaceParsing
from musetalk.utils.preprocessing import coord_placeholder, get_landmark_and_bbox, read_imgs
from musetalk.utils.utils import load_all_model
from transformers import WhisperModel
parser = argparse.ArgumentParser()
for name in ("inference_config", "result_dir", "unet_model_path", "unet_config", "whisper_dir", "version"):
    parser.add_argument(f"--{name}", required=True)
a = parser.parse_args()
task = yaml.safe_load(open(a.inference_config))["task_0"]
assert Path(a.unet_config).exists() and Path("musetalk/utils").is_dir()
frames, _ = read(task["video_path"])
load_all_model(a.unet_model_path), FaceParsing(), AudioProcessor()
WhisperModel.from_pretrained(a.whisper_dir)
boxes, _ = get_landmark_and_bbox(["frame.png"] * len(frames), 0)
assert len(boxes) == len(frames) and all(x1 > x0 and y1 > y0 for x0, y0, x1, y1 in boxes)
target = Path(a.result_dir) / a.version / task["result_name"]
target.parent.mkdir()
finish(frames, target)
""",
    },
    "latentsync": {
        "configs/unet/stage2_512.yaml": "{}",
        "insightface/__init__.py": "",
        "insightface/app.py": """
class FaceAnalysis:
    def __init__(self, allowed_modules, root, providers):
        loaded("buffalo_l")
        assert providers == ["CPUExecutionProvider"]
    def prepare(self, ctx_id, det_size):
        assert ctx_id == -1
""",
        "latentsync/__init__.py": "",
        "latentsync/utils/image_processor.py": """
from insightface.app import FaceAnalysis
class FaceDetector:
    def __init__(self, device):
        raise RuntimeError("needs CUDA")
    def __call__(self, frame):
        return (0, 0, 1, 1), np.ones((106, 2))
class ImageProcessor:
    def __init__(self, resolution, device, mask_image):
        assert device == "cpu"
""",
        "latentsync/pipelines/lipsync_pipeline.py": """
from latentsync.utils.image_processor import ImageProcessor
class LipsyncPipeline:
    def to(self, device):
        assert device == "cpu"
""",
        "latentsync/models/unet.py": """
class UNet3DConditionModel:
    @classmethod
    def from_pretrained(cls, config, path, device):
        loaded(path)
""",
        "latentsync/whisper/audio2feature.py": """
def load_model(path, device):
    assert device == "cpu"
class Audio2Feature:
    def __init__(self, model_path, device):
        loaded(model_path)
        load_model(model_path, device)
""",
        "scripts/inference.py": """
from diffusers import AutoencoderKL
from latentsync.models.unet import UNet3DConditionModel
from latentsync.pipelines import lipsync_pipeline
from latentsync.whisper.audio2feature import Audio2Feature
a = arguments("unet_config_path", "inference_ckpt_path", "video_path", "audio_path", "video_out_path",
              "inference_steps", "guidance_scale", "seed")
assert Path(a.unet_config_path).exists() and Path(a.inference_ckpt_path).exists() and int(a.seed) == 1247
Audio2Feature(model_path="checkpoints/whisper/tiny.pt", device="cuda")
AutoencoderKL.from_pretrained("stabilityai/sd-vae-ft-mse", torch_dtype="float32")
UNet3DConditionModel.from_pretrained({}, a.inference_ckpt_path, device="cpu")
lipsync_pipeline.LipsyncPipeline().to("cuda")
faces = lipsync_pipeline.ImageProcessor(512, device="cuda", mask_image=None).face_detector
frames, _ = read(a.video_path)
for image in frames:
    box, points = faces(image)
    assert box and all(points[k].any() for k in (43, 48, 49, 51, 50, 101, 105, 74, 77, 83, 86))
finish([*frames, frames[-1], frames[-2]], Path(a.video_out_path))
""",
    },
    "eat": {
        "config/x.yaml": "{}",
        "expPCAnorm_fin/U_mead.npy": "",
        "pad.npy": "",
        "modules/generator.py": "import torch\nclass OcclusionAwareSPADEGeneratorEam(torch.nn.Module):\n   "
        " pass\n",
        "demo.py": """
import dlib, torch
from modules.generator import OcclusionAwareSPADEGeneratorEam
dlib.get_frontal_face_detector(), dlib.shape_predictor("./demo/shape_predictor_68_face_landmarks.dat")
a = arguments("root_wav", "emo", "name")
OcclusionAwareSPADEGeneratorEam().cuda()
torch.load(f"./ckpt/{a.name}.pth.tar", map_location="cpu")
for name in ("latent_evp_25/drive.npy", "poseimg/drive.npy.gz", "deepfeature32/drive.npy", "drive.wav"):
    assert (Path(a.root_wav) / name).exists()
assert Path("ckpt").is_dir() and Path("pad.npy").exists()
(image,) = Path("demo/imgs_cropped").glob("*.jpg")
(frame,), _ = read(str(image))
assert frame.shape == (256, 256, 3)
count = len(list(Path(a.root_wav).glob("images_evp_25/cropped/*.jpg")))
target = Path(f"demo/output/{a.name}/{image.stem}_{a.emo}_{Path(a.root_wav).name}.mp4")
target.parent.mkdir(parents=True)
finish([frame] * count, target)
""",
    },
    "edtalk": {
        "ckpts/predefined_exp_weights/angry.npy": "",
        "networks/generator.py": "import torch\nclass Generator(torch.nn.Module):\n    pass\n",
        "networks/audio_encoder.py": "import torch\nclass Audio2Lip(torch.nn.Module):\n    pass\n",
        "demo_EDTalk_A_using_predefined_exp_weights.py": """
from moviepy.editor import *
from networks.generator import Generator
from networks.audio_encoder import Audio2Lip
np.zeros(3).astype(np.float), Audio2Lip().cuda(), Generator(256).cuda()
a = arguments("source_path", "audio_driving_path", "pose_driving_path", "exp_type", "save_path", "model_path",
              "audio2lip_model_path")
assert a.exp_type in ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
assert Path(a.model_path).exists() and Path("ckpts/predefined_exp_weights").is_dir()
(image,), _ = read(a.source_path)
frames, _ = read(a.pose_driving_path)
finish([image] * (len(frames) - 2), Path(a.save_path))
""",
    },
}
