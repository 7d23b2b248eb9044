"""Put the page, ONNX Runtime and a model together, in site/.

python build.py                 the model that ships (pip install ".[train]")
python build.py sound.onnx      one that ostinato export --with-front-end wrote
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
PARTS = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PAGE = ("index.html", "page.css", "page.js")


def model(path: Path | None) -> bytes:
    """Give the bytes of a model of sound: a file, or the default one with the front end."""
    if path:
        return path.read_bytes()
    from ostinato.inference.model_file import open_graph
    from ostinato.inference.registry import model_path
    from ostinato.models.export.model_file import with_front_end

    default = model_path("default")
    return with_front_end(default.read_bytes(), open_graph(default).info)


def main(path: Path | None = None, *, runtime: Path = RUNTIME, site: Path = HERE / "site") -> None:
    """Fill the folder of the site."""
    if not runtime.is_dir():
        sys.exit(f"Expected ONNX Runtime in {runtime}: npm ci")
    site.mkdir(parents=True, exist_ok=True)
    for source in (*(HERE / name for name in PAGE), *(runtime / name for name in PARTS)):
        shutil.copyfile(source, site / source.name)
    (site / "sound.onnx").write_bytes(model(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
