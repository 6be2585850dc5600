"""What a process runs that does partitions for a run: it gets one as JSON, and answers with what came of it, or with the error that it met."""

from __future__ import annotations

import polars as pl

from lake.errors import LakeError, UnknownName, translated
from lake.partitions import Failed, Partition, carry
from lake.pipeline import load_pipeline
from lake.run import begin_run
from lake.settings import load_settings


def do_partition(text: str) -> str:
    """Do the partition that `text` tells, with the settings and the project of this process. Publishes nothing; errors of lake's are answers too."""
    partition = Partition.model_validate_json(text)
    try:
        settings = load_settings()
        if settings.env != partition.env:
            raise LakeError(
                f"{partition.table} is to be filled in {partition.env}, and this process works in {settings.env}", "Set LAKE_ENV where partitions are done"
            )
        hops = load_pipeline(settings, partition.flow).hops
        if partition.table not in hops:
            raise UnknownName.among(f"hop of {partition.flow}", partition.table, hops)
        with begin_run(settings, partition.flow, "partition") as run:
            try:
                return carry(run, hops[partition.table], partition).model_dump_json()
            finally:
                run.store.close()
    except (LakeError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        told = error if isinstance(error, LakeError) else translated(error, partition.table)
        return Failed(failed=type(told).__name__, message=told.message, hint=told.hint).model_dump_json()
