"""The preflight: does this machine have what a run needs?

headsplat doctor            Python, packages, libraries, disk, memory, the rig
headsplat doctor --gpu      also which renderers work; compiles what is compiled on use
headsplat doctor --slurm    also whether this folder's profile `slurm` can submit; runs a small job

Exit code 0 where nothing failed, else 2 and one `error:` line.
"""

import sys
from pathlib import Path

from avatar.base import cli
from avatar.base.errors import UserError
from pipeline.doctor import machine, slurm
from pipeline.doctor.finding import Finding, table

ROOT = Path(__file__).resolve().parents[2]


def examine(results: Path, with_gpu: bool = False, with_slurm: bool = False) -> list[Finding]:
    """Check the machine, and the renderers and the scheduler where asked for.

    Args:
        results: the results folder; need not exist.
        with_gpu: render with every backend, and compile kernels (up to minutes).
        with_slurm: check the scheduler, for the profile of the working folder.
    """
    findings = machine.examine(ROOT, results)
    if with_gpu:
        findings += _gpu()
    if with_slurm:
        findings += slurm.examine(slurm.PROFILE, results)
    return findings


def _gpu() -> list[Finding]:
    try:
        from pipeline.doctor import gpu
    except (ImportError, OSError) as problem:  # torch or Numba is missing or broken
        return [machine.broken("renderers", problem)]
    return gpu.examine()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = cli.command_parser("doctor", __doc__)
    parser.add_argument("--gpu", action="store_true", help="try every renderer")
    parser.add_argument("--slurm", action="store_true", help="check the scheduler")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder")
    args = parser.parse_args(argv)

    def work() -> None:
        findings = examine(args.results, args.gpu, args.slurm)
        print(table(findings), flush=True)
        failed = [finding for finding in findings if finding.status == "fail"]
        if failed:
            names = ", ".join(finding.what for finding in failed)
            raise UserError(f"{len(failed)} of {len(findings)} checks failed: {names}: see above")

    return cli.run_command(args, work)


if __name__ == "__main__":
    sys.exit(main())
