"""Writing the folder: page, model, onnxruntime-web."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lessonpipe.app.export import Exported, Weights, export_onnx
from lessonpipe.errors import UserError
from lessonpipe.inference.restorer import adds_colours
from lessonpipe.io.atomic import atomic_folder, write_json
from lessonpipe.nets.io import load_generator, read_model_json
from lessonpipe.zoo import find_model

STATIC = Path(__file__).parent / "static"
RUNTIME = "onnxruntime-web@1.30.0"
SHA512 = (  # in base64, as npm has it
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
MAX_BYTES = 60_000_000  # of a file of the runtime


def export_web(
    model: str | Path, out: Path, weights: Weights = "float16", runtime: Path | None = None
) -> Exported:
    """Write a model folder, or a model of the package, as the folder `out` of static files.

    `runtime` is the archive of onnxruntime-web (`npm pack onnxruntime-web@VERSION`), which is
    fetched with npm where none is given. Whoever makes it, it is checked against its hash. Raises
    `MissingError` without a model, `UserError` when the runtime cannot be had, or ONNX is not
    installed.
    """
    folder = find_model(model)
    about = read_model_json(folder)
    with atomic_folder(out) as draft, tempfile.TemporaryDirectory() as place:
        shutil.copytree(STATIC, draft, dirs_exist_ok=True)
        made = export_onnx(folder, draft / "model.onnx", weights)
        settings = {
            "grid": load_generator(folder).grid,
            "undoes": about.get("undoes", []),
            "colours": adds_colours(about),
        }
        write_json(draft / "settings.json", settings)
        _unpack(runtime or _fetch(Path(place)), draft)
        _list_files(draft)
    return made


def _fetch(place: Path) -> Path:
    """The runtime's archive, by npm and whichever registry it is set to."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is not there to fetch {RUNTIME}; install Node.js, or run `npm pack {RUNTIME}` "
            "elsewhere and give the file as --runtime"
        )
    words = [npm, "pack", RUNTIME, "--pack-destination", str(place)]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True)
    archives = list(place.glob("*.tgz"))
    if done.returncode or not archives:
        raise UserError(f"npm could not fetch {RUNTIME}: {done.stderr.strip()[-300:]}")
    return archives[0]


def _unpack(archive: Path, out: Path) -> None:
    try:
        content = archive.read_bytes()
    except OSError as error:
        raise UserError(f"{archive}: {error.strerror}") from error
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise UserError(f"{archive} is not {RUNTIME} as it was published: its hash differs")
    with tarfile.open(archive) as files:
        for name in RUNTIME_FILES:
            member = files.extractfile(f"package/dist/{name}")
            assert member is not None
            (out / name).write_bytes(member.read(MAX_BYTES))


def _list_files(out: Path) -> None:
    """Put into the service worker which files it keeps, and a version that changes with them."""
    names = sorted(path.name for path in out.iterdir() if path.name != "sw.js")
    digest = hashlib.sha256()
    for name in names:
        digest.update((out / name).read_bytes())
    text = (out / "sw.js").read_text("utf-8")
    text = text.replace("@FILES@", json.dumps(["./", *names]))
    (out / "sw.js").write_text(text.replace("@VERSION@", digest.hexdigest()[:16]), "utf-8")
