"""What `lessonpipe models` says of a model."""

from pathlib import Path

from lessonpipe import zoo
from lessonpipe.inference.restorer import target_of
from lessonpipe.nets.io import read_model_json

TITLES = {
    "damage_removed": "damage removed",
    "unseen_removed": "of steps that no training picture had",
    "text_removed": "text removed",
}


def model_lines(folder: Path) -> str:
    """A model's name or folder, what it undoes, its measures, size, licence and where its card is.

    Raises `UserError` for a damaged folder.
    """
    about = read_model_json(folder)
    card = about.get("card", {})
    name = folder.name if folder.parent == zoo.ZOO else str(folder)
    lines = [f"{name}: {card['summary']}" if "summary" in card else name]
    if about.get("undoes"):
        lines.append(f"undoes {', '.join(about['undoes'])}")
    if target := target_of(about):
        lines.append(f"makes of a photo: {target}")
    if measures := card.get("measures"):
        gain = measures["psnr_gain"]
        parts = [f"{gain['mean']:+.2f} dB ({gain['low']:+.2f}…{gain['high']:+.2f})"]
        parts += [
            f"{title} {measures[key]['mean']:.2f}"
            for key, title in TITLES.items()
            if key in measures
        ]
        if clean := measures.get("clean_psnr"):
            parts.append(f"undamaged photos after it {clean['mean']:.1f} dB")
        lines.append(", ".join(parts))
    weights, readme = folder / "model.safetensors", folder / "README.md"
    size = [f"{weights.stat().st_size / 1e6:.1f} MB"] if weights.is_file() else []
    size += [card["licence"]] if "licence" in card else []
    lines.append(", ".join(size + ([str(readme)] if readme.is_file() else [])))
    return "\n  ".join(line for line in lines if line)
