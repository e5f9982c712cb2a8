"""Draw the pictures of the README anew: `uv run python docs/pictures.py` copies them from a demonstration that it runs."""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent / "images"
#: Picture of the README -> figure of the demonstration.
PICTURES = {"surface.png": "cbp_interaction_surface.png"}
WIDTH_PIXELS = 1600

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        command = ["muscle-bayes", "demo", "--out", folder]
        subprocess.run(command, check=True)
        for name, source in PICTURES.items():
            picture = Image.open(Path(folder) / "figures" / source).convert("RGB")
            picture.thumbnail((WIDTH_PIXELS, WIDTH_PIXELS))
            picture.quantize(256).save(IMAGES / name, optimize=True)
