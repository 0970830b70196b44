"""The card of a trained model: what it is, what made it, how good it is on the validation files."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import PurePath

import torch
from accelerate import Accelerator
from torch import nn

import anybyte
from anybyte.config import Recipe
from anybyte.reading import as_json, describe


def model_card(
    recipe: Recipe, purpose: str, best: dict[str, float], *, seconds: float, model: nn.Module, hardware: str
) -> str:
    """Markdown for `README.md` of a model folder. It names no absolute path, user or machine.

    `purpose` says what the model does: the rest of a sentence that begins with its architecture.
    """
    data = PurePath(recipe.data.path.rstrip("/\\")).name or "files given from Python"
    metrics = [f"| validation {name} | {value:.4f} |" for name, value in best.items() if name not in ("step", "epoch")]
    settings = asdict(recipe)
    settings["data"]["path"] = data
    settings["run"].pop("out")
    if recipe.run.init_from is not None:
        settings["run"]["init_from"] = _without_folders(recipe.run.init_from)
    settings["reading"] = as_json(recipe.reading)
    return "\n".join(
        [
            f"# {recipe.name}",
            "",
            f"A {type(model).__name__} that {purpose}.",
            "",
            "| | |",
            "|---|---|",
            f"| recipe | `{recipe.name}` |",
            f"| data | `{data}` |",
            f"| format read | {describe(recipe.reading)} |",
            f"| parameters | {sum(p.numel() for p in model.parameters()):,} |",
            f"| seed | {recipe.run.seed} |",
            f"| training time | {seconds / 60:.1f} minutes |",
            f"| hardware | {hardware} |",
            f"| best weights | step {best['step']:.0f}, epoch {best['epoch']:.4g} |",
            *metrics,
            f"| made with | anybyte {anybyte.__version__}, torch {torch.__version__.partition('+')[0]} |",
            "",
            _chosen(bool(metrics)),
            "",
            "## Settings",
            "",
            "```json",
            json.dumps(settings, indent=2),
            "```",
            "",
        ]
    )


def _chosen(is_validated: bool) -> str:
    """What the weights were chosen by, and what that means for the numbers."""
    if not is_validated:
        return "There were no validation files: the weights are those at the end. `anybyte evaluate` measures them."
    return (
        "The weights were chosen by the validation metrics above, which are therefore slightly too good. "
        "`anybyte evaluate` measures the test split."
    )


def _without_folders(path: str) -> str:
    """The name of a model, without where it lies."""
    parts = [part for part in PurePath(path).parts if part != "model"]
    return parts[-1] if parts else path


def describe_hardware(accelerator: Accelerator) -> str:
    """The GPU, or the processor and the threads used, of one process, and how many processes there were."""
    device, num_processes = accelerator.device, accelerator.num_processes
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        name = f"{threads} thread{'s' * (threads > 1)} of {_processor()} ({os.cpu_count()} cores)"
    return name if num_processes == 1 else f"{num_processes} processes, each on {name}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()
