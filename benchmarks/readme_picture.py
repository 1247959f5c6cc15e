"""The picture of the README, from the demo's comparison video: python -m benchmarks.readme_picture

Needs `make demo`. Shows a frame of each protocol: truth, render, FLIP error.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from avatar.base import files
from pipeline.media import read_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, default=Path("results/demo/eval/comparison.mp4"))
    parser.add_argument("--out", type=Path, default=Path("docs/images/demo.png"))
    args = parser.parse_args()
    frames = [frame for _, frame in read_video(args.video)]
    shown = [frames[round(share * (len(frames) - 1))] for share in (0.28, 0.72)]
    picture = cv2.cvtColor(np.concatenate(shown), cv2.COLOR_RGB2BGR)
    with files.atomic(args.out) as temporary:
        cv2.imwrite(str(temporary), picture)


if __name__ == "__main__":
    main()
