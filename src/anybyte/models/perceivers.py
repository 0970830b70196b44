"""The Perceivers of the zoo: name -> config. Names follow what a model reads; `_nano` ones train on a laptop.

Sizes are those of the papers, and of DeepMind's release where it has them. What the papers leave open is said here.
"""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    AverageOutputConfig,
    BytesInputConfig,
    ClassOutputConfig,
    ConvStemConfig,
    EntityOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    MelInputConfig,
    PerceiverConfig,
    PointsInputConfig,
    PooledOutputConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)

_LANGUAGE = PerceiverConfig(
    inputs=(TokenInputConfig(),),
    outputs=(TokenOutputConfig(),),
    num_latents=256,
    latent_dim=1280,
    num_blocks=1,
    num_layers=26,
    encode=AttentionConfig(num_heads=8, qk_channels=256, v_channels=1280),
    process=AttentionConfig(num_heads=8, qk_channels=256, v_channels=1280),
    decode=AttentionConfig(num_heads=8, qk_channels=256, v_channels=768, query_residual=False),
)
_GLUE = {"cola": 2, "sst2": 2, "mrpc": 2, "stsb": 1, "qqp": 2, "mnli": 3, "qnli": 2, "rte": 2}
"""Task -> classes; stsb is a score."""

_PIXELS = PerceiverConfig(
    inputs=(ImageInputConfig(positions=FourierPositionsConfig(num_bands=64, max_resolution=(224, 224))),),
    outputs=(ClassOutputConfig(),),
)
_ORIGINAL = replace(_PIXELS, outputs=(AverageOutputConfig(),), num_cross_attends=8, distinct_cross_attends=2)

_FLOW = PerceiverConfig(
    inputs=(FlowInputConfig(positions=FourierPositionsConfig(num_bands=64, max_resolution=(368, 496))),),
    outputs=(FlowOutputConfig(),),
    num_latents=2048,
    latent_dim=512,
    num_blocks=1,
    num_layers=24,
    process=AttentionConfig(num_heads=16),
    decode=AttentionConfig(query_residual=False),
)

_AUDIO = FourierPositionsConfig(num_bands=192, max_resolution=(30_720,))
_VIDEO = FourierPositionsConfig(num_bands=32, max_resolution=(16, 56, 56))
_MULTIMODAL = PerceiverConfig(
    inputs=(
        AudioInputConfig(positions=_AUDIO),
        VideoInputConfig(positions=_VIDEO),
        LabelInputConfig(mask_probability=1.0),
    ),
    outputs=(
        GridOutputConfig(name="audio", shape=(1920,), num_channels=16, positions=_AUDIO, flatten=True),
        GridOutputConfig(name="image", shape=(16, 224, 224), num_channels=3, positions=_VIDEO),
        ClassOutputConfig(name="label", num_classes=700),
    ),
    num_latents=784,
    latent_dim=512,
    num_blocks=1,
    num_layers=8,
    decode=AttentionConfig(query_residual=False),
    decoder_channels=512,
)

# AudioSet: clips of 32 frames with their sound. The paper's width of 487 is 16 bands for video; for sound, which it
# leaves open, they are as many here. Of its two widths of latents, 512 and 1024, this is the smaller.
_SCENE = VideoInputConfig(
    shape=(32, 224, 224), patch=(2, 8, 8), positions=FourierPositionsConfig(num_bands=16, max_resolution=(16, 28, 28))
)
_WAVE = AudioInputConfig(
    num_samples=61_440, patch=128, positions=FourierPositionsConfig(num_bands=16, max_resolution=(480,))
)
# 4,800 places in the paper, which does not say how they are laid out.
_MEL = MelInputConfig(shape=(75, 64), positions=FourierPositionsConfig(num_bands=16, max_resolution=(75, 64)))
_AUDIOSET = PerceiverConfig(
    inputs=(_WAVE, _SCENE),
    outputs=(ClassOutputConfig(num_classes=527),),
    num_latents=512,
    latent_dim=512,
    num_blocks=1,
    num_layers=12,
)

PERCEIVERS: dict[str, PerceiverConfig] = {
    # Perceiver IO, as DeepMind released it.
    "perceiver_io_language": _LANGUAGE,
    "perceiver_io_pixels": _PIXELS,
    "perceiver_io_learned": replace(
        _PIXELS,
        inputs=(
            ImageInputConfig(
                stem=LinearStemConfig(), positions=LearnedPositionsConfig(num_channels=256, projected=True)
            ),
        ),
        decode=AttentionConfig(query_residual=False),
    ),
    "perceiver_io_conv": replace(
        _PIXELS,
        inputs=(
            ImageInputConfig(
                stem=ConvStemConfig(), positions=FourierPositionsConfig(num_bands=64, max_resolution=(56, 56))
            ),
        ),
    ),
    "perceiver_io_flow": _FLOW,
    "perceiver_io_multimodal": _MULTIMODAL,
    # Perceiver IO, of the paper alone. SentencePiece "Base": 223M parameters there (tables 6 and 11 differ in the width
    # of queries; 768, as of the bytes model, gives its number).
    "perceiver_io_sentencepiece": replace(
        _LANGUAGE,
        inputs=(TokenInputConfig(vocabulary=32_000, max_length=512),),
        outputs=(TokenOutputConfig(max_length=512),),
    ),
    # One learned query a task, and a head of its own behind it (multi-task queries of GLUE).
    "perceiver_io_glue": replace(
        _LANGUAGE,
        outputs=tuple(
            ClassOutputConfig(name=task, num_classes=classes, query_channels=768, hidden=768)
            for task, classes in _GLUE.items()
        ),
        query_padding=0,
    ),
    "perceiver_io_audioset": _AUDIOSET,
    "perceiver_io_audioset_mel": replace(_AUDIOSET, inputs=(_MEL, _SCENE)),
    # Heads and the width of latents are ours; the rest is the paper's.
    "perceiver_io_starcraft": PerceiverConfig(
        inputs=(ArrayInputConfig(name="entities", num_channels=128),),
        outputs=(
            EntityOutputConfig(name="entities", num_channels=256, activation="relu"),
            PooledOutputConfig(name="pooled", num_channels=256),
        ),
        num_latents=32,
        latent_dim=256,
        num_blocks=1,
        num_layers=3,
        process=AttentionConfig(num_heads=2),
    ),
    # Of neither paper: the classifier of whole files that stands beside ByteFormer.
    "perceiver_io_bytes": replace(_PIXELS, inputs=(BytesInputConfig(),)),
    # The original Perceiver: it reads its input before each block and averages the latents. 44.9M parameters in the
    # paper (table 7: one latent transformer for all blocks, the first cross-attend apart). Unshared, each has its own.
    "perceiver_pixels": _ORIGINAL,
    "perceiver_pixels_unshared": replace(_ORIGINAL, distinct_cross_attends=8, distinct_blocks=8),
    "perceiver_audioset": replace(
        _AUDIOSET,
        outputs=(AverageOutputConfig(num_classes=527),),
        num_blocks=2,
        num_layers=8,
        num_cross_attends=2,
        distinct_cross_attends=2,
        distinct_blocks=2,
    ),
    # Everything but the input and the number of blocks as for ImageNet.
    "perceiver_modelnet40": replace(
        _ORIGINAL,
        inputs=(PointsInputConfig(positions=FourierPositionsConfig(num_bands=64, max_resolution=(2240,) * 3)),),
        outputs=(AverageOutputConfig(num_classes=40),),
        num_blocks=2,
        num_cross_attends=2,
    ),
    # For minutes on a laptop's processor.
    "perceiver_io_bytes_nano": PerceiverConfig(
        inputs=(BytesInputConfig(num_channels=96),),
        outputs=(ClassOutputConfig(query_channels=128),),
        num_latents=48,
        latent_dim=128,
        num_blocks=2,
        num_layers=3,
        process=AttentionConfig(num_heads=4),
    ),
    "perceiver_io_language_nano": PerceiverConfig(
        inputs=(TokenInputConfig(num_channels=64, max_length=256),),
        outputs=(TokenOutputConfig(query_channels=64, max_length=256),),
        num_latents=48,
        latent_dim=128,
        num_blocks=1,
        num_layers=4,
        encode=AttentionConfig(num_heads=4, qk_channels=64, v_channels=128),
        process=AttentionConfig(num_heads=4, qk_channels=64, v_channels=128),
        decode=AttentionConfig(num_heads=4, qk_channels=64, v_channels=64, query_residual=False),
    ),
    "perceiver_io_pixels_nano": PerceiverConfig(
        inputs=(
            ImageInputConfig(shape=(32, 32), positions=FourierPositionsConfig(num_bands=16, max_resolution=(32, 32))),
        ),
        outputs=(ClassOutputConfig(query_channels=128),),
        num_latents=64,
        latent_dim=128,
        num_blocks=2,
        num_layers=3,
        process=AttentionConfig(num_heads=4),
    ),
    "perceiver_io_flow_nano": PerceiverConfig(
        inputs=(
            FlowInputConfig(num_channels=32, positions=FourierPositionsConfig(num_bands=8, max_resolution=(48, 64))),
        ),
        outputs=(FlowOutputConfig(),),
        num_latents=128,
        latent_dim=96,
        num_blocks=1,
        num_layers=4,
        process=AttentionConfig(num_heads=4),
        decode=AttentionConfig(query_residual=False),
    ),
    "perceiver_io_multimodal_nano": PerceiverConfig(
        inputs=(
            AudioInputConfig(num_samples=4096, positions=FourierPositionsConfig(num_bands=32, max_resolution=(256,))),
            VideoInputConfig(
                shape=(4, 32, 32), positions=FourierPositionsConfig(num_bands=8, max_resolution=(4, 8, 8))
            ),
            LabelInputConfig(num_classes=10, mask_probability=0.5),
        ),
        outputs=(
            GridOutputConfig(
                name="audio",
                shape=(256,),
                num_channels=16,
                positions=FourierPositionsConfig(num_bands=32, max_resolution=(256,)),
                flatten=True,
            ),
            GridOutputConfig(
                name="image",
                shape=(4, 32, 32),
                num_channels=3,
                positions=FourierPositionsConfig(num_bands=16, max_resolution=(4, 32, 32)),
            ),
            ClassOutputConfig(name="label", num_classes=10, query_channels=64),
        ),
        num_latents=96,
        latent_dim=128,
        num_blocks=1,
        num_layers=4,
        process=AttentionConfig(num_heads=4),
        decode=AttentionConfig(query_residual=False),
        decoder_channels=64,
    ),
    "perceiver_points_nano": PerceiverConfig(
        inputs=(PointsInputConfig(positions=FourierPositionsConfig(num_bands=16, max_resolution=(64,) * 3)),),
        outputs=(AverageOutputConfig(num_classes=10),),
        num_latents=48,
        latent_dim=128,
        num_blocks=2,
        num_layers=3,
        num_cross_attends=2,
        distinct_cross_attends=2,
        process=AttentionConfig(num_heads=4),
    ),
}
