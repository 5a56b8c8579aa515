"""Shards by Apache Beam: the same function a clip, spread over whatever its runner has.

Needs the extra `beam` in an environment of its own (it holds protobuf back). `--beam=DirectRunner`
runs here; Dataflow, Flink and Spark by their names, with their settings behind `--beam_options`.
"""

import shlex
from collections.abc import Iterable

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from apache_beam.options.pipeline_options import (  # pyright: ignore[reportMissingImports]
    PipelineOptions,
)

from cryjax.data.manifest import Clip
from cryjax.data.preparation import Prepared, Worker
from data_prep.build import Plan, begin, complete, write_shard

Placed = tuple[int, tuple[int, Prepared]]  # shard, (position in it, mel)


class _Prepare(beam.DoFn):
    """Prepares clips; made once in every worker."""

    def __init__(self, plan: Plan):
        self._about = plan.source, plan.spec

    def setup(self):
        self._worker = Worker(*self._about)

    def process(self, element: tuple[int, int, Clip]) -> Iterable[Placed]:
        shard, position, clip = element
        yield shard, (position, self._worker(clip))


class _Write(beam.DoFn):
    """Writes a shard in the clips' order, whatever order they came in."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def process(self, element: tuple[int, Iterable[tuple[int, Prepared]]]) -> Iterable[int]:
        shard, found = element
        write_shard(self._plan, shard, [one for _, one in sorted(found, key=lambda x: x[0])])
        yield shard


def build(plan: Plan, runner: str, options: str = "", part: tuple[int, int] = (0, 1)) -> bool:
    """Builds the shards of this part that are not there yet, as `data_prep.build.build` does.

    Args:
      plan: What to build; its folders are seen by every worker.
      runner: Name of a runner of Beam.
      options: Its own, as on a command line.
      part: See `data_prep.build.begin`.

    Returns:
      Whether every shard of every part is there.
    """
    clips = [
        (shard, position, clip)
        for shard in begin(plan, part)
        for position, clip in enumerate(plan.clips_of(shard))
    ]
    chosen = PipelineOptions([f"--runner={runner}", *shlex.split(options)])
    with beam.Pipeline(options=chosen) as pipeline:
        (
            pipeline
            | "clips" >> beam.Create(clips)
            | "spread" >> beam.Reshuffle()
            | "log-mel" >> beam.ParDo(_Prepare(plan))
            | "by shard" >> beam.GroupByKey()
            | "write" >> beam.ParDo(_Write(plan))
        )
    return complete(plan)
