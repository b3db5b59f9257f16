"""Architectures of torchvision, timm and transformers with random weights, and inputs small enough for two cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ARCHITECTURES", "Architecture"]

N = 24


@dataclass(frozen=True)
class Architecture:
    """A model of a library, and what it is called with."""

    library: str
    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], Any]


def images(size: int, channels: int = 3) -> Tensor:
    return torch.randn(N, channels, size, size, generator=torch.Generator().manual_seed(0))


def sounds(*shape: int) -> Tensor:
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(0))


def ids(length: int, below: int = 90) -> Tensor:
    return torch.randint(5, below, (N, length), generator=torch.Generator().manual_seed(1))


def masked(length: int) -> dict[str, Tensor]:
    """Ids and a mask: sequences of 3 to `length` tokens."""
    lengths = torch.randint(3, length + 1, (N,), generator=torch.Generator().manual_seed(2))
    lengths[5] = length
    mask = (torch.arange(length) < lengths[:, None]).long()
    return {"input_ids": ids(length) * mask, "attention_mask": mask}


# -- torchvision ------------------------------------------------------------------------------------------------------

#: Name: side of the pictures, further arguments.
TORCHVISION: dict[str, tuple[int, dict[str, Any]]] = {
    "alexnet": (64, {}), "vgg11": (32, {}), "vgg11_bn": (32, {}), "resnet18": (32, {}), "resnet50": (32, {}),
    "resnext50_32x4d": (32, {}), "wide_resnet50_2": (32, {}), "squeezenet1_1": (64, {}), "densenet121": (32, {}),
    "googlenet": (64, {"aux_logits": False, "init_weights": False}),
    "inception_v3": (80, {"aux_logits": False, "init_weights": False}),
    "mobilenet_v2": (32, {}), "mobilenet_v3_small": (32, {}), "efficientnet_b0": (32, {}), "efficientnet_v2_s": (32, {}),
    "regnet_y_400mf": (32, {}), "shufflenet_v2_x0_5": (32, {}), "mnasnet0_5": (32, {}), "convnext_tiny": (32, {}),
    "vit_b_16": (32, {"image_size": 32}), "swin_t": (64, {}), "swin_v2_t": (64, {}),
    "fcn_resnet50": (32, {"weights_backbone": None}), "lraspp_mobilenet_v3_large": (32, {"weights_backbone": None}),
    "deeplabv3_mobilenet_v3_large": (32, {"weights_backbone": None}),
}  # fmt: skip


def torchvision_model(name: str, **more: Any) -> nn.Module:
    from torchvision.models import get_model

    return get_model(name, weights=None, **more)  # type: ignore[no-any-return]


def torchvision_models() -> Iterator[Architecture]:
    for name, (size, more) in TORCHVISION.items():
        yield Architecture("torchvision", name, partial(torchvision_model, name, **more), partial(images, size))
    video = torch.randn(N, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    yield Architecture("torchvision", "r3d_18", partial(torchvision_model, "r3d_18"), lambda: video)


# -- timm -------------------------------------------------------------------------------------------------------------

TIMM: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet26": (32, {}), "mixer_s32_224": (64, {"img_size": 64}), "gmlp_ti16_224": (64, {"img_size": 64}),
    "resmlp_12_224": (64, {"img_size": 64}), "vit_tiny_patch16_224": (32, {"img_size": 32}),
    "deit_tiny_distilled_patch16_224": (32, {"img_size": 32}), "cait_xxs24_224": (32, {"img_size": 32}),
    "xcit_nano_12_p16_224": (64, {"img_size": 64}), "pit_ti_224": (64, {"img_size": 64}), "poolformer_s12": (64, {}),
    "levit_128s": (64, {"img_size": 64}), "mobilevit_xxs": (64, {}), "mobileone_s0": (64, {}),
    "edgenext_xx_small": (64, {}), "convnextv2_atto": (32, {}), "nf_regnet_b0": (32, {}), "repvgg_a0": (32, {}),
    "ghostnet_050": (32, {}), "crossvit_tiny_240": (240, {}), "coat_lite_tiny": (64, {"img_size": 64}),
    "volo_d1_224": (64, {"img_size": 64}), "swinv2_cr_tiny_ns_224": (64, {"img_size": 64, "window_size": 2}),
    "tnt_s_legacy_patch16_224": (32, {"img_size": 32}), "res2net50_14w_8s": (32, {}), "dla34": (64, {}),
    "hrnet_w18_small": (64, {}), "selecsls42b": (64, {}), "cspresnet50": (64, {}),
}  # fmt: skip


def timm_model(name: str, **more: Any) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=10, **more)  # type: ignore[no-any-return]


def timm_models() -> Iterator[Architecture]:
    for name, (size, more) in TIMM.items():
        yield Architecture("timm", name, partial(timm_model, name, **more), partial(images, size))


# -- transformers -----------------------------------------------------------------------------------------------------

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 99}
GROUPED = SMALL | {"num_key_value_heads": 2}
PICTURES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32}

#: Class of the model: its configuration's arguments, and the inputs. The configuration's class is `config_class`.
TRANSFORMERS: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "BertForSequenceClassification": (SMALL, lambda: masked(9)),
    "RobertaModel": (SMALL, lambda: masked(9)),
    "DistilBertModel": ({"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "vocab_size": 99}, lambda: masked(9)),
    "AlbertModel": (SMALL | {"embedding_size": 16}, lambda: masked(9)),
    "ElectraForTokenClassification": (SMALL | {"embedding_size": 16}, lambda: masked(9)),
    "DebertaV2Model": (SMALL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, lambda: masked(9)),
    "LongformerModel": (SMALL | {"attention_window": 4}, lambda: masked(8)),
    "BigBirdModel": (SMALL | {"attention_type": "original_full"}, lambda: masked(9)),
    "FNetModel": (SMALL, lambda: ids(9)),
    "XLNetModel": ({"d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48, "vocab_size": 99}, lambda: masked(9)),
    "FunnelModel": ({"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "vocab_size": 99, "block_sizes": [1, 1, 1]},
                    lambda: masked(9)),
    "GPT2LMHeadModel": ({"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 99, "n_positions": 32}, lambda: ids(9)),
    "GPTNeoForCausalLM": ({"hidden_size": 32, "num_layers": 2, "num_heads": 4, "vocab_size": 99,
                           "attention_types": [[["global", "local"], 1]]}, lambda: ids(9)),
    "GPTNeoXForCausalLM": (SMALL, lambda: ids(9)),
    "LlamaForCausalLM": (GROUPED, lambda: ids(9)),
    "MistralForCausalLM": (GROUPED, lambda: ids(9)),
    "MixtralForCausalLM": (GROUPED | {"num_local_experts": 4}, lambda: ids(9)),
    "Qwen2ForCausalLM": (GROUPED, lambda: ids(9)),
    "Qwen3ForCausalLM": (GROUPED | {"head_dim": 8}, lambda: ids(9)),
    "GemmaForCausalLM": (GROUPED | {"head_dim": 8}, lambda: ids(9)),
    "PhiForCausalLM": (SMALL, lambda: ids(9)),
    "FalconForCausalLM": (SMALL, lambda: ids(9)),
    "BloomForCausalLM": ({"hidden_size": 32, "n_layer": 3, "n_head": 4, "vocab_size": 99}, lambda: ids(9)),
    "OPTForCausalLM": ({"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 48, "vocab_size": 99,
                        "word_embed_proj_dim": 32, "max_position_embeddings": 32}, lambda: ids(9)),
    "MambaForCausalLM": ({"hidden_size": 32, "num_hidden_layers": 3, "state_size": 8, "vocab_size": 99}, lambda: ids(9)),
    "RwkvForCausalLM": ({"hidden_size": 32, "num_hidden_layers": 3, "attention_hidden_size": 32, "intermediate_size": 48,
                         "vocab_size": 99}, lambda: ids(9)),
    "T5ForConditionalGeneration": ({"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 99,
                                    "decoder_start_token_id": 0},
                                   lambda: {"input_ids": ids(9), "labels": ids(5)}),
    "BartForConditionalGeneration": ({"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
                                      "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
                                      "vocab_size": 99, "max_position_embeddings": 32}, lambda: masked(9)),
    "WhisperForConditionalGeneration": ({"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 99,
                                         "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
                                         "decoder_ffn_dim": 48, "num_mel_bins": 8, "max_source_positions": 10,
                                         "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": 1,
                                         "eos_token_id": 2, "decoder_start_token_id": 3},
                                        lambda: {"input_features": sounds(8, 20), "decoder_input_ids": ids(5)}),
    "Wav2Vec2ForSequenceClassification": (SMALL | {"conv_dim": [16, 16], "conv_stride": [5, 4], "conv_kernel": [10, 8],
                                                   "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
                                                   "num_conv_pos_embedding_groups": 4},
                                          lambda: sounds(400)),
    "ASTForAudioClassification": (SMALL | {"num_mel_bins": 16, "max_length": 24, "patch_size": 8},
                                  lambda: sounds(24, 16)),
    "ViTForImageClassification": (PICTURES | {"patch_size": 8}, lambda: images(32)),
    "DeiTModel": (PICTURES | {"patch_size": 8}, lambda: images(32)),
    "BeitForImageClassification": (PICTURES | {"patch_size": 8}, lambda: images(32)),
    "Dinov2Model": (PICTURES | {"patch_size": 8}, lambda: images(32)),
    "ConvNextForImageClassification": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "image_size": 32},
                                       lambda: images(32)),
    "SegformerForSemanticSegmentation": ({"depths": [1, 1, 1, 1]}, lambda: images(32)),
    "CLIPModel": ({"text_config": SMALL | {"max_position_embeddings": 16}, "vision_config": PICTURES | {"patch_size": 8},
                   "projection_dim": 16}, lambda: {"input_ids": ids(9), "pixel_values": images(32)}),
    "SiglipModel": ({"text_config": SMALL | {"max_position_embeddings": 9}, "vision_config": PICTURES | {"patch_size": 8}},
                    lambda: {"input_ids": ids(9), "pixel_values": images(32)}),
    "PerceiverForSequenceClassification": ({"num_latents": 5, "d_latents": 32, "d_model": 24,
                                            "num_self_attends_per_block": 2,
                                            "num_self_attention_heads": 4, "num_cross_attention_heads": 4, "vocab_size": 99,
                                            "max_position_embeddings": 9}, lambda: {"inputs": ids(9)}),
    "PatchTSTForClassification": ({"num_input_channels": 3, "context_length": 32, "patch_length": 8, "patch_stride": 8,
                                   "d_model": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48},
                                  lambda: sounds(32, 3)),
}  # fmt: skip


def transformers_model(name: str, arguments: dict[str, Any]) -> nn.Module:
    import transformers

    kind = getattr(transformers, name)
    return kind(kind.config_class(**arguments))  # type: ignore[no-any-return]


def transformers_models() -> Iterator[Architecture]:
    for name, (arguments, inputs) in TRANSFORMERS.items():
        yield Architecture("transformers", name, partial(transformers_model, name, arguments), inputs)


ARCHITECTURES: dict[str, Callable[[], Iterator[Architecture]]] = {
    "torchvision": torchvision_models,
    "timm": timm_models,
    "transformers": transformers_models,
}
