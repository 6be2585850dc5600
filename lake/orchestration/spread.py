"""Partitions of a hop as tasks of their own, on Prefect's Dask or Ray task runner: the cluster that settings name, or one started for the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner
from prefect.tasks import Task

from lake.elsewhere import do_partition
from lake.errors import LakeError, SettingsError
from lake.partitions import Partition
from lake.run import Spread
from lake.settings import Settings

_TRIES = 3


@contextmanager
def spreading(settings: Settings) -> Iterator[Spread | None]:
    """What does partitions for a run of a flow; None where the run does all of it itself. Raises SettingsError where the engine is not installed."""
    if settings.engine == "local":
        yield None
        return
    with _runner(settings) as runner:
        yield lambda texts: _spread(runner, texts)


def _do(name: str, text: str) -> str:  # noqa: ARG001  # the name is shown
    return do_partition(text)


_task: Task[..., str] = Task(_do, name="partition", task_run_name="{name}", persist_result=False, cache_policy=NO_CACHE)


def _spread(runner: TaskRunner[Any], texts: list[str]) -> list[str]:
    """Have the partitions done, those again whose worker was lost. Raises LakeError where one is lost every time."""
    waiting = dict(enumerate(texts))
    found: dict[int, str] = {}
    why: BaseException | None = None
    for _ in range(_TRIES):
        going: dict[int, PrefectFuture[Any]] = {}
        for number, text in waiting.items():
            going[number] = runner.submit(_task, parameters={"name": Partition.model_validate_json(text).name, "text": text})
        for number, future in going.items():
            try:
                found[number] = future.result()
                del waiting[number]
            except Exception as error:  # noqa: BLE001  # whatever the engine says of a worker that is gone
                why = error
        if not waiting:
            return list(found.values())
    names = ", ".join(Partition.model_validate_json(text).name for text in waiting.values())
    raise LakeError(f"{names}: the engine lost it {_TRIES} times: {' '.join(str(why).split())[:200]}", "See the engine's own log; nothing was published")


def _runner(settings: Settings) -> TaskRunner[Any]:
    workers = os.cpu_count() or 1
    try:
        if settings.engine == "dask":
            from prefect_dask import DaskTaskRunner  # an extra, and slow to import

            if settings.engine_address:
                return DaskTaskRunner(address=settings.engine_address)
            return DaskTaskRunner(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None})
        from prefect_ray import RayTaskRunner

        return RayTaskRunner(
            address=settings.engine_address, init_kwargs=None if settings.engine_address else {"num_cpus": workers, "include_dashboard": False}
        )
    except ImportError:
        raise SettingsError(f"engine {settings.engine} is not installed", f"pip install 'lake[{settings.engine}]', here and on every worker") from None
