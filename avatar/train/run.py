"""Train the avatar of a subject: results/<subject>/{dataset.h5,refine/} -> its avatar/.

Writes avatar.safetensors, rig_params.npz (the rig's parameters, tuned on the training timesteps),
local_frame.ply, flame_param.npz (rig `flame` only) and train_log.csv. The folder is swapped in when
it is complete; an avatar that is finished with the same dataset, parameters, settings, seed and
code stays.
SIGTERM, SIGUSR1, Ctrl-C and the end of a Slurm job's time leave a checkpoint in
results/<subject>/checkpoints/ and exit with 75; the next call goes on from it. Checkpoints stay
until the avatar has been evaluated.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from avatar.base import cli, slurm
from avatar.base.errors import Busy, UserError
from avatar.base.memory import keep_freed_memory
from avatar.data.dataset import Dataset
from avatar.data.head_only import HeadDataset
from avatar.data.layout import TRAIN
from avatar.render import default_device
from avatar.rig import HeadRig, RigParams
from avatar.train.checkpoint import Checkpoints, Snapshot, run_key
from avatar.train.clock import JOB_END, Clock
from avatar.train.live import EVENTS, Live, progress_note
from avatar.train.presets import Preset, TrainSettings, resolve
from avatar.train.refined import refined_params
from avatar.train.result import Run, is_finished, write
from avatar.train.trainer import Trainer

log = logging.getLogger(__name__)

Watcher = Callable[[Callable[[], bool]], None]
_NO_DEVICE = ("-1", "NoDevFiles")  # CUDA_VISIBLE_DEVICES of jobs without a GPU
_NO_MEMORY = ("allocate memory", "out of memory", "ALLOC_FAILED")
_LESS_MEMORY = (
    "lower train.overrides.cache_mib and run it again, it goes on from its last checkpoint; or "
    "lower .batch, .density.most or .basis.size and it starts afresh"
)


def train(subject: str, results: Path, rig_path: Path, settings: TrainSettings) -> None:
    """Train one subject and write `results/<subject>/avatar/`.

    Raises:
        UserError: no training frames, no parameters of the stage refine, another rig than
            theirs, a bad setting, a loss that is not finite, nothing visible, or too little memory.
        Busy: a signal asked it to stop; a checkpoint was written.
    """
    # Numba's kernels use the cores; torch's thread pool would only wait.
    torch.set_num_threads(1)
    keep_freed_memory()
    home = results / subject
    rig = HeadRig.load(rig_path)
    frames = Dataset if settings.torso else HeadDataset
    with memory_errors(_LESS_MEMORY), frames(home / "dataset.h5") as dataset:
        params = refined_params(home, dataset, rig)
        _warn_of_missing_gpu()
        this = _identify(subject, dataset, params, settings)
        checkpoints = Checkpoints(home / "checkpoints", this.key)
        if is_finished(home / "avatar", this, rig):
            log.info("%s is finished: same dataset, settings, seed and code", home / "avatar")
            return
        trainer = Trainer(dataset, params, rig, this.preset, settings.seed, default_device())
        _restore(trainer, checkpoints, this.preset)
        events = home / EVENTS / checkpoints.folder.name if settings.tensorboard else None
        live = Live(trainer, rig, dataset, checkpoints.folder, events)
        with closing(live), watching(trainer, rig, settings, subject, live.step) as watch:
            run(trainer, checkpoints, settings.checkpoint_minutes, watch)
        write(home / "avatar", trainer, rig, this)
    last = trainer.log.rows[-1]
    log.info("%d Gaussians, PSNR of the last training images %.2f dB", last.gaussians, last.psnr)


def _warn_of_missing_gpu() -> None:
    """Tell where a scheduler has given this process a GPU that torch does not see."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given and given not in _NO_DEVICE and not torch.cuda.is_available():
        log.warning(
            "a GPU was asked for (CUDA_VISIBLE_DEVICES=%s), but torch sees none: training on the "
            "CPU, preset auto is quick; run 'headsplat doctor --gpu' on %s",
            given,
            os.uname().nodename,
        )


def _identify(subject: str, dataset: Dataset, params: RigParams, settings: TrainSettings) -> Run:
    """The run that the settings ask for on this machine."""
    cameras = len({int(c) for c in dataset.camera[dataset.split == TRAIN]})
    preset, plain = (
        resolve(asked, torch.cuda.is_available(), cameras)
        for asked in (settings, replace(settings, overrides={}))
    )
    key = run_key(dataset, params, preset, settings.seed) | {"torso": str(settings.torso)}
    return Run(subject, preset, plain, settings.seed, settings.torso, key)


def _restore(trainer: Trainer, checkpoints: Checkpoints, preset: Preset) -> None:
    """Continue from the newest checkpoint of the run, if there is one."""
    snapshot = checkpoints.load()
    if snapshot is not None:
        trainer.restore(snapshot)
    done = f"{trainer.images} of {preset.images} images done"
    scene = f"extent {trainer.extent:.3f} m, {len(trainer.gaussians)} Gaussians"
    log.info("preset %s: %s, %s", preset.name, done, scene)


@contextmanager
def watching(
    trainer: Trainer,
    rig: HeadRig,
    settings: TrainSettings,
    subject: str,
    step: Callable[[], None] = lambda: None,
) -> Iterator[Watcher]:
    """What `run` calls after each step: `step`, and a viewer if the settings ask for one.

    Raises:
        UserError: its port is taken.
    """
    if not settings.viewer:
        yield lambda stopped: step()
        return
    from avatar.train.watch import Watch  # and with it viser

    watch = Watch(trainer, rig, settings.port, f"{subject}, in training")
    with closing(watch):

        def both(stopped: Callable[[], bool]) -> None:
            step()
            watch.step(stopped)

        yield both


def unwatched(stopped: Callable[[], bool]) -> None:
    """Nobody looks."""


def run(
    trainer: Trainer, checkpoints: Checkpoints, minutes: float, watch: Watcher = unwatched
) -> None:
    """Train to the end; checkpoints as `Clock` has them, at the end and when asked to stop.

    One that cannot be written by the clock or at the end is a warning: training goes on.

    Args:
        minutes: between two checkpoints, at most.
        watch: called after each step, with what tells whether a signal came.
    Raises:
        UserError: as `Trainer.steps`, or a value is not finite in the end; checkpoints stay.
        Busy: stopped by a signal or the end of the job's time, after a checkpoint.
    """
    clock = Clock(60 * minutes, slurm.job_end())
    note = partial(progress_note, trainer)
    progress = cli.progress(trainer.steps(), "train", trainer.total_steps, trainer.step, note)
    # Closed before the error is printed, so that the error starts on a new line.
    with stop_signals() as stopped, closing(progress):
        for _ in progress:
            watch(stopped)
            if stopped() or clock.is_over():
                checkpoints.save(trainer.snapshot())
                by = "a signal" if stopped() else JOB_END
                raise Busy(
                    f"training was stopped by {by} after {trainer.images} images, a checkpoint is "
                    f"in {checkpoints.folder}: run it again to go on"
                )
            if clock.is_due():
                with clock.saving():
                    _save_if_possible(checkpoints, trainer.snapshot())
        _save_if_possible(checkpoints, trainer.snapshot())


def _save_if_possible(checkpoints: Checkpoints, snapshot: Snapshot) -> None:
    try:
        checkpoints.save(snapshot)
    except UserError as problem:
        log.warning("%s", problem)


@contextmanager
def memory_errors(remedy: str) -> Iterator[None]:
    """Report too little memory in one line that ends with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:  # torch's CPU allocator raises no special type
        known = isinstance(problem, MemoryError | torch.OutOfMemoryError)
        if not known and not any(words in str(problem) for words in _NO_MEMORY):
            raise
        raise UserError(f"out of memory: {remedy}") from problem


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Catch signals that stop a run; yields whether one came. A second Ctrl-C is immediate."""
    received: list[int] = []

    def note(signum: int, frame: object) -> None:
        if signum == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(signum)

    before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}
    try:
        yield lambda: bool(received)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
