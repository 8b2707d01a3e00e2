"""Tokenizers of the published sizes and special tokens, trained on the words of this
package; the rest of each vocabulary is filled up.
"""

import json
from pathlib import Path

from eadbench.captions.prompts import load_prompt

QWEN_SPECIALS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
QWEN_FIRST_SPECIAL = 151643
QWEN_CHAT = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in "
    "messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful "
    "assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] "
    "}}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% "
    "endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LINE_END, SPACE = "Ċ", "Ġ"  # as byte-level tokenizers write them
# One token each, which no text is split into; a model that is wired to say one gives a
# caption.
LOOKS = {
    "angry": "is tense with lowered brows",
    "happy": "is bright with raised cheeks",
    "sad": "is slack with drooping lips",
    "fear": "is drawn back with wide eyes",
}
SENTENCE = "The face of the speaker {}, and the mouth moves with the words."
ANSWERS = [
    json.dumps(
        {"description": SENTENCE.format(look), "emotion": emotion, "intensity": 0.8, "confidence": 0.9}
    ).replace(" ", SPACE)
    for emotion, look in LOOKS.items()
]


def _words() -> list[str]:
    """Texts to learn pieces from."""
    answer = (
        '{"description": "The brows are lowered.", "emotion": "angry", "intensity": 0.8, "confidence": 0.9}'
    )
    return [load_prompt("describe").text, answer, "user assistant system You are a helpful assistant."] * 8


def write_qwen(folder: Path, processor: str) -> None:
    """Byte-level BPE: 151,643 pieces and the special tokens at their published numbers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        _words(), trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    )
    learned = json.loads(inner.to_str())["model"]
    fillers = [
        *ANSWERS,
        *(f"<filler{n}>" for n in range(QWEN_FIRST_SPECIAL - len(learned["vocab"]) - len(ANSWERS))),
    ]
    vocabulary = learned["vocab"] | {text: n for n, text in enumerate(fillers, len(learned["vocab"]))}
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]]
    whole = Tokenizer(models.BPE(vocabulary, merges))
    whole.pre_tokenizer, whole.decoder = inner.pre_tokenizer, decoders.ByteLevel()
    whole.add_special_tokens(QWEN_SPECIALS)
    whole.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n", encoding="utf-8"
    )
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    added = {str(QWEN_FIRST_SPECIAL + n): {"content": token} | flags for n, token in enumerate(QWEN_SPECIALS)}
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": QWEN_SPECIALS[1:],
        "bos_token": None,
        "chat_template": QWEN_CHAT,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        "processor_class": processor,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": QWEN_CHAT}, indent=2))


def write_t5(folder: Path) -> None:
    """SentencePiece's Unigram: 32,000 pieces, in ``spiece.model`` and
    ``tokenizer.json``; the hundred sentinels come on top.
    """
    import sentencepiece
    from transformers import T5Tokenizer
    from transformers.utils.sentencepiece_model_pb2_new import (
        ModelProto,  # the package's own wants a newer protobuf than mediapipe
    )

    given = {
        "vocab_size": 300,
        "hard_vocab_limit": False,
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_words()), model_prefix=str(folder / "spiece"), **given
    )
    (folder / "spiece.vocab").unlink()
    proto = ModelProto()
    proto.ParseFromString((folder / "spiece.model").read_bytes())
    for number in range(len(proto.pieces), 32000):
        proto.pieces.add(piece=f"▁filler{number}", score=-30.0)
    proto.trainer_spec.vocab_size = 32000
    (folder / "spiece.model").write_bytes(proto.SerializeToString())
    made = T5Tokenizer(vocab=[(one.piece, one.score) for one in proto.pieces], extra_ids=100)
    made.save_pretrained(folder / "made")
    (folder / "made/tokenizer.json").replace(folder / "tokenizer.json")
    for path in (folder / "made").iterdir():
        path.unlink()
    (folder / "made").rmdir()
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512}))


def write_bert(folder: Path) -> None:
    """WordPiece: 30,522 pieces in ``vocab.txt`` and ``tokenizer.json``."""
    from tokenizers import BertWordPieceTokenizer

    made = BertWordPieceTokenizer(lowercase=True)
    made.train_from_iterator(_words(), vocab_size=400, min_frequency=1, show_progress=False)
    pieces = sorted(made.get_vocab(), key=made.get_vocab().get)
    pieces += [f"[unused{number}]" for number in range(30522 - len(pieces))]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True).save(str(folder / "tokenizer.json"))
    special = {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    settings = {
        "do_basic_tokenize": True,
        "do_lower_case": True,
        "model_max_length": 512,
        "never_split": None,
        "strip_accents": None,
    }
    settings |= {"tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer"} | special
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
