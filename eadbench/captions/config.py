"""Section ``captions`` of the config: who describes, and what the filter compares."""

from typing import Any, Literal

from pydantic import Field, model_validator

from eadbench.core.section import SHAPES_NOTHING, ArtefactName, Section

READS = {
    "write": ("seed", "device", "captions", "-captions.filter"),
    "filter": ("seed", "device", "captions.filter", "-captions.filter.least_auc"),
    "report": ("captions.filter.least_auc", "corpora.sets.*.kind", "corpora.sets.*.studio.layout"),
}


class MeasuredConfig(Section):
    """The captioner that measures the mesh.

    Attributes:
        clips_per_speaker: Clips of a speaker (picked by hash, labels unseen) whose
            medians say what is usual for that face.
        shrink: Weight, in clips, of the corpus's median against the speaker's own;
            matters for speakers with few clips.
    """

    clips_per_speaker: int = Field(default=60, ge=1)
    shrink: float = Field(default=4.0, ge=0)


class QwenConfig(Section):
    """A Qwen VL model through transformers.

    Attributes:
        artefact: Artefact of the zoo (kind ``qwen_vl``) that is the model; or else
            ``model``.
        model: Local folder, or id on the Hugging Face hub.
        revision: Commit of that hub id; needed for a hub id, so that a caption can be
            made again.
        dtype: Numbers the weights are held in; ``auto`` is bfloat16 on a GPU and
            float32 on a CPU.
        four_bit: Load in 4 bit (needs bitsandbytes and a GPU).
        frames_as: Give the frames as one ``video`` or as single ``images``.
        max_pixels: Upper bound of the pixels of one frame as the model sees it; null
            leaves it to the model.
        repetition_penalty: 1 for none. The settings published with Qwen2.5-VL have
            1.05, which also counts for all words of the prompt.
    """

    artefact: ArtefactName | None = None
    model: str | None = None
    revision: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    four_bit: bool = False
    frames_as: Literal["video", "images"] = "images"
    max_pixels: int | None = None
    repetition_penalty: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_source(self) -> "QwenConfig":
        if self.artefact and self.model:
            raise ValueError("give `artefact` or `model`, not both")
        return self


class EndpointConfig(Section):
    """An OpenAI-compatible server, e.g. vLLM.

    Attributes:
        base_url: Its address, up to ``/v1``; ``${NAME}`` stands for a variable of the
            environment, so that a user and a password need not be written out.
        model: Name that the server knows the model by.
        key_env: Environment variable that holds the key; null for a server without one.
            The key itself never stands in a file.
        timeout: Seconds for one request, from connecting to the last byte of the
            answer.
        tries: Tries of one request; the wait between them doubles, or is what the
            server asks for (``Retry-After``).
        max_wait: Seconds that the waits of one request may take together; a server that
            asks for more than is left is not asked again.
        concurrency: Requests under way at a time.
        json_schema: Ask the server to hold the answer to the JSON schema
            (``response_format``).
        frames_as: Send the frames as single ``images``, or as one ``video`` (a vLLM
            server takes that, from 0.18 on); the model then sees the prompt that
            ``qwen.frames_as`` of the same name gives it.
        repetition_penalty: Sent along, since vLLM else takes the one that was published
            with the model, 1.05 for Qwen2.5-VL. Null leaves it out, for servers that
            refuse what OpenAI's API does not know.
    """

    base_url: str = Field(json_schema_extra=SHAPES_NOTHING)
    model: str
    key_env: str | None = Field(default=None, json_schema_extra=SHAPES_NOTHING)
    timeout: float = Field(default=60.0, gt=0, json_schema_extra=SHAPES_NOTHING)
    tries: int = Field(default=4, ge=1, json_schema_extra=SHAPES_NOTHING)
    max_wait: float = Field(default=600.0, ge=0, json_schema_extra=SHAPES_NOTHING)
    concurrency: int = Field(default=4, ge=1, json_schema_extra=SHAPES_NOTHING)
    json_schema: bool = True
    frames_as: Literal["video", "images"] = "images"
    repetition_penalty: float | None = Field(default=1.0, gt=0)


class FilterConfig(Section):
    """What decides that a caption trains the model.

    Attributes:
        compare: ``text-label`` (caption and description of the label), ``text-image``
            (caption and frames) or ``text-audio`` (caption and audio).
        embedder: Artefact of the zoo that embeds: kinds ``sentence`` or
            ``text_encoder``, ``clip``, ``clap``.
        keep: ``threshold`` (``value`` is a cosine) or ``quantile`` (``value`` is the
            share of the training clips to drop).
        value: See ``keep``.
        per: Fit the quantile over the whole ``corpus`` or for each ``emotion``.
        unlabelled: What to do with clips without a label when labels are compared.
        frames: Frames of the clip that ``text-image`` looks at.
        swap_share: Share of the captions that the held-out check swaps.
        least_auc: What the check must reach; below it the report warns.
    """

    compare: Literal["text-label", "text-image", "text-audio"] = "text-label"
    embedder: ArtefactName = "sentence"
    keep: Literal["threshold", "quantile"] = "quantile"
    value: float = Field(default=0.1, ge=-1, le=1)
    per: Literal["corpus", "emotion"] = "corpus"
    unlabelled: Literal["keep", "drop"] = "keep"
    frames: int = Field(default=4, ge=1)
    swap_share: float = Field(default=0.1, gt=0, le=1)
    least_auc: float = 0.8

    @model_validator(mode="after")
    def _quantile_in_range(self) -> "FilterConfig":
        if self.keep == "quantile" and not 0 <= self.value < 1:
            raise ValueError("`value` of a quantile is a share, 0 <= value < 1")
        return self


class CaptionsConfig(Section):
    """Captions.

    Attributes:
        captioner: ``measured``, ``qwen`` or ``endpoint``.
        prompt: Prompt of this package (``describe``), or path of a file of the same
            form.
        frames: Frames that the model sees, evenly spread over the clip.
        batch: Clips that the local model describes at a time.
        max_tokens: Longest answer in tokens.
        max_characters: Longest description that is accepted.
    """

    captioner: Literal["measured", "qwen", "endpoint"]
    prompt: str = "describe"
    frames: int = Field(default=8, ge=1)
    batch: int = Field(default=8, ge=1)
    max_tokens: int = Field(default=200, ge=8)
    max_characters: int = Field(default=600, ge=20)
    measured: MeasuredConfig = MeasuredConfig()
    qwen: QwenConfig = QwenConfig()
    endpoint: EndpointConfig | None = None
    filter: FilterConfig = FilterConfig()

    @model_validator(mode="after")
    def _captioner_is_described(self) -> "CaptionsConfig":
        if self.captioner == "endpoint" and self.endpoint is None:
            raise ValueError("captioner `endpoint` needs the block `endpoint` with base_url and model")
        if self.captioner == "qwen" and not (self.qwen.artefact or self.qwen.model):
            raise ValueError("captioner `qwen` needs `qwen.artefact` or `qwen.model`")
        return self

    def in_use(self) -> dict[str, Any]:
        dump = dict(self.__dict__)
        self.trim(dump)
        return dump

    def trim(self, dump: dict[str, Any]) -> None:
        """What the chosen captioner does not look at."""
        unread = {
            "measured": ("prompt", "frames", "batch", "max_tokens", "max_characters", "qwen", "endpoint"),
            "qwen": ("measured", "endpoint"),
            "endpoint": ("measured", "batch"),
        }
        for key in unread[self.captioner]:
            dump.pop(key, None)
        if self.captioner == "endpoint" and isinstance(dump.get("qwen"), dict):
            dump["qwen"] = {"max_pixels": dump["qwen"]["max_pixels"]}

    def reads(self) -> dict[str, str]:
        """What the captioner reads beside clips and settings, by content: its prompt;
        nothing for the measured one.

        Raises:
            EadbenchError: If the prompt is not there or has no version.
        """
        if self.captioner == "measured":
            return {}
        from eadbench.captions.prompts import load_prompt

        return {"prompt": load_prompt(self.prompt).version}

    def artefacts(self) -> tuple[str, ...]:
        """Artefacts that the captioner needs; the measured one and an endpoint need
        none.
        """
        return (self.qwen.artefact,) if self.captioner == "qwen" and self.qwen.artefact else ()


def check(settings: Any) -> None:
    """The prompt is there.

    Raises:
        EadbenchError: If it is not.
    """
    settings.captions.reads()
