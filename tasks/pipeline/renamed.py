"""The keys of params.yaml that had other names before version 0.2: an old one names the new one."""

from collections.abc import Iterator
from typing import Any

_UNET = "encoder widths head blur norm icnr attention residual bottleneck output y_range"
_PHASE = {"warmup": "pct_start", "pictures": "samples_per_epoch"}
_OPTIM = {"weight_decay": "optim.weight_decay"}
_FEATURE = {"taps": "layers", "gram_taps": "gram_layers", "unit": "normalize_features"}
_FLAT_PHASE = {
    **{key: f"phases[0].{key}" for key in ("batch", "epochs", "max_lr")},
    "pictures": "phases[0].samples_per_epoch",
}

# `section.key` or `section.list.key` (of every entry of the list): what it is now, in the section,
# or behind a slash in the file
RENAMED: dict[str, dict[str, str]] = {
    "crappify": {"series": "group_pattern"},
    "pretrain_generator": {
        **{key: f"net.{key}" for key in _UNET.split()},
        "join": "net.concat",
        **_OPTIM,
    },
    "pretrain_generator.phases": _PHASE,
    "pretrain_critic": {
        "critic": "net.kind",
        **{key: f"net.{key}" for key in ("encoder", "depth", "width")},
        **_OPTIM,
    },
    "pretrain_critic.phases": _PHASE,
    "fit_gan": {
        **_FLAT_PHASE,
        **{key: f"phases[0].{key}" for key in ("image_px", "frozen")},
        "critic_times": "gan.critic_lr_mult",
        "momentum": "gan.optim.beta1",
        "weight_decay": "gan.optim.weight_decay",
        **{key: f"gan.{key}" for key in ("switch", "switch_eval", "ema")},
    },
    "fit_gan.feature": _FEATURE,
    "fit_feature": {"weight_decay": "/fit_pixel.optim.weight_decay"},
    "fit_feature.feature": _FEATURE,
    "fit_feature.phases": {old: f"/fit_pixel.phases[0].{new}" for old, new in _PHASE.items()},
    "fit_pixel.phases": _PHASE,
    "evaluate": {"at": "evaluations", "beside": "/compare.reference"},
    "promote": {"measure": "metric", "allowed": "tolerances"},
    "digits": _OPTIM,
    "digits.runs": _PHASE,
    "digits.surface": {"train": "phase", "reach": "extent", "digits": "samples"},
    "bedrooms_data": {"series": "group_pattern"},
    "bedrooms": {
        **_FLAT_PHASE,
        "noise": "net.noise",
        "features": "net.features",
        "extra": "net.extra_layers",
        "penalty": "gp_weight",
        "turns": "gan.switch",
        "critic_times": "gan.critic_lr_mult",
        "momentum": "gan.optim.beta1",
        "ema": "gan.ema",
        "taps": "layers",
        "measured": "n_samples",
    },
    "streets": {
        **{
            key: f"net.{key}" for key in _UNET.split() if key not in ("icnr", "residual", "y_range")
        },
        **_OPTIM,
    },
    "streets.phases": _PHASE,
    "numbers_data": {"until": "train_until"},
    "numbers": _OPTIM,
    "numbers.runs": {**_PHASE, "words": "seq_len"},
}


def renamed_keys(section: str, values: dict[str, Any]) -> Iterator[str]:
    """One sentence for each old key in a section of params.yaml, and in the lists in it."""
    for path, names in RENAMED.items():
        top, _, inner = path.partition(".")
        if top != section:
            continue
        found = values.get(inner) if inner else values
        for entry in found if isinstance(found, list) else [found]:
            for key in names.keys() & set(entry if isinstance(entry, dict) else ()):
                new = names[key]
                yield f"{path}.{key} is now {new[1:] if new[0] == '/' else f'{path}.{new}'}"
