"""Partitions of a hop as tasks of their own, on Prefect's Dask or Ray task runner: the cluster that settings name, or one started for the run."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner
from prefect.tasks import Task

from lake.elsewhere import do_partition
from lake.errors import LakeError, SettingsError
from lake.partitions import Partition
from lake.run import Spread
from lake.settings import Settings
from lake.version import installing
from lake.wording import in_words

_TRIES = 3


@contextmanager
def spreading(settings: Settings) -> Iterator[Spread | None]:
    """What does partitions for a run of a flow; None where the run does all of it itself. Raises SettingsError where the engine is not installed."""
    if settings.engine == "local":
        yield None
        return
    runner = _runner(settings)
    with ExitStack() as stack:
        yield _Spread(runner, stack)


def _do(name: str, text: str) -> str:  # noqa: ARG001  # the name is shown
    return do_partition(text)


def _nothing() -> None:
    """Stands for the flow where its tasks are done: what that holds is of no use elsewhere, and could not be sent."""


_task: Task[..., str] = Task(_do, name="partition", task_run_name="{name}", persist_result=False, cache_policy=NO_CACHE)
_flow: Flow[..., None] = Flow(_nothing, name="partitions")


class _Spread:
    """Has partitions done on the cluster of a task runner, as tasks of the flow run in which it was made. The cluster is reached with the first of them."""

    def __init__(self, runner: TaskRunner[Any], stack: ExitStack) -> None:
        self._runner = runner
        self._stack = stack
        self._entered = False
        self._starting = threading.Lock()
        self._context = contextvars.copy_context()
        if (here := FlowRunContext.get()) is not None:
            self._context.run(here.model_copy(update={"flow": _flow, "parameters": {}}).__enter__)

    def __call__(self, texts: list[str]) -> list[str]:
        """Have them done, those again whose worker was lost. Raises LakeError where one is lost every time."""
        waiting = dict(enumerate(texts))
        found: list[str] = []
        why: BaseException | None = None
        for _ in range(_TRIES):
            going = {number: self._submit(text) for number, text in waiting.items()}
            for number, future in going.items():
                try:
                    found.append(future.result())
                    del waiting[number]
                except Exception as error:  # noqa: BLE001, PERF203  # whatever the engine says of a worker that is gone
                    why = error
            if not waiting:
                return found
        names = ", ".join(_name(text) for text in waiting.values())
        raise LakeError(
            f"{names}: the engine lost it {_TRIES} times: {in_words(why) if why else 'it did not say why'}", "See the engine's own log; nothing was published"
        )

    def _submit(self, text: str) -> PrefectFuture[Any]:
        with self._starting:
            if not self._entered:
                self._context.copy().run(self._stack.enter_context, self._runner)
                self._entered = True
            return self._context.copy().run(self._runner.submit, _task, parameters={"name": _name(text), "text": text})


def _name(text: str) -> str:
    return Partition.model_validate_json(text).name


def _runner(settings: Settings) -> TaskRunner[Any]:
    workers = os.cpu_count() or 1
    runner: TaskRunner[Any]
    try:
        if settings.engine == "dask":
            from prefect_dask.task_runners import DaskTaskRunner  # an extra, and slow to import

            started = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
            runner = DaskTaskRunner(address=settings.engine_address) if settings.engine_address else DaskTaskRunner(cluster_kwargs=started)
            return runner
        from prefect_ray.task_runners import RayTaskRunner

        started = {"num_cpus": workers, "include_dashboard": False}
        runner = RayTaskRunner(address=settings.engine_address, init_kwargs={} if settings.engine_address else started)
        return runner
    except ImportError:
        raise SettingsError(f"engine {settings.engine} is not installed", f"{installing(settings.engine)}, here and on every worker") from None
