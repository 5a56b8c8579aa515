"""An embedding by Apache Beam: the pieces of a job, spread over whatever its runner has.

Needs the extra `beam` in an environment of its own (it holds protobuf back). `--beam=DirectRunner`
runs here; Dataflow, Flink and Spark by their names, with their settings behind `--beam_options`.
Every worker must see the recordings, the model and the folder of --out under the same names.
"""

import dataclasses
import pathlib
import shlex
from collections.abc import Iterable

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from apache_beam.options.pipeline_options import (  # pyright: ignore[reportMissingImports]
    PipelineOptions,
)

from cryjax.data.manifest import Clip
from cryjax.data.preparation import Worker
from cryjax.deploy.classifier import load
from cryjax.deploy.job import Job


@dataclasses.dataclass(frozen=True)
class Source:
    """What a worker makes the job from, by names alone.

    Attributes:
      model: Folder of the encoder.
      clips: Recordings, in order.
      workdir: Folder of the pieces.
      part: See `cryjax.deploy.job.Job`.
    """

    model: str
    clips: list[Clip]
    workdir: pathlib.Path
    part: tuple[int, int]


class _Embed(beam.DoFn):
    """Decodes and encodes pieces; made once in every worker."""

    def __init__(self, source: Source):
        self._source = source

    def setup(self):
        encoder = load(self._source.model)
        self._job = Job(encoder, self._source.clips, self._source.workdir, part=self._source.part)
        self._worker = Worker(pathlib.Path(), encoder.spec)

    def process(self, number: int) -> Iterable[int]:
        self._job.embed(number, [self._worker(clip) for clip in self._job.pieces[number]])
        yield number


def embed(job: Job, source: Source, runner: str, options: str = "") -> None:
    """Makes the pieces of a job that are not there yet; the job then reads them as its own.

    Args:
      job: What is embedded.
      source: The same by names.
      runner: Name of a runner of Beam.
      options: Its own, as on a command line.
    """
    job.workdir.mkdir(parents=True, exist_ok=True)
    chosen = PipelineOptions([f"--runner={runner}", *shlex.split(options)])
    with beam.Pipeline(options=chosen) as pipeline:
        (
            pipeline
            | "pieces" >> beam.Create(job.missing())
            | "spread" >> beam.Reshuffle()
            | "embed" >> beam.ParDo(_Embed(source))
        )
