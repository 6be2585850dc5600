"""What a person sees of the lake in Prefect: a card a table, a table of hops and a picture of rejects a run, and how far a run has come.

Each artifact has a key of its own that stays, so that Prefect keeps its history.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from threading import Lock
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.settings import PREFECT_UI_URL

from lake.cards import hop_rows, plan_rows, table_card
from lake.catalog import Catalog
from lake.confidential import shown
from lake.orchestration.background import all_said, later
from lake.pipeline import Pipeline, Report
from lake.plain_text import in_cell
from lake.rejects_picture import rejects_svg
from lake.run import Run
from lake.settings import load_settings
from lake.source import Source

_FEW = 5  # files whose landing is over before anybody looks


def key_of(env: str, *names: str) -> str:
    """The key of an artifact: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join([env, *names]))


def link_to(artifact: UUID) -> str:
    """Where an artifact itself is shown, which its key's page is not: that lists versions by their ids. Empty where Prefect has no page."""
    page = PREFECT_UI_URL.value()
    return f"{shown(str(page)).rstrip('/')}/v2/artifacts/artifact/{artifact}" if page else ""


def show_table(run: Run, table: str, version: int) -> None:
    """The card of a table at the version that was just committed."""

    def card() -> None:
        told = table_card(Catalog(run.store), table, version, pages=run.settings.docs_url)
        create_markdown_artifact(told, key=key_of(run.settings.env, table), description=f"{table} version {version}")

    later(card)


def show_run(run: Run, pipeline: Pipeline, report: Report) -> str:
    """The hops of a run with their ledgers, and the share of rows rejected over the last versions. Returns where they are shown."""

    def picture() -> None:
        logs = [run.log(step.name.replace(".", "/")) for step in pipeline.steps if step.kind != "land"]
        drawn = base64.b64encode(rejects_svg(logs).encode()).decode()
        create_image_artifact(
            f"data:image/svg+xml;base64,{drawn}",
            key=key_of(run.settings.env, pipeline.name, "rejects"),
            description=f"{pipeline.name}: share of rows rejected",
        )

    rows = hop_rows(report, (step.name for step in pipeline.steps))
    later(picture)
    return show_rows(f"{pipeline.name} hops", rows, f"{pipeline.name}: {report.verdict} · run {run.info.id}")


def show_plan(pipeline: Pipeline, rows: list[dict[str, Any]]) -> str:
    """What a run would do. Returns where it is shown."""
    return show_rows(f"{pipeline.name} plan", plan_rows(rows), f"{pipeline.name}: what a run would do now")


def show_rows(name: str, rows: list[dict[str, Any]], description: str) -> str:
    """Any other table of a run. Waits until Prefect has it, or was given its time. Returns where it is shown; empty where it was not taken."""
    made: list[UUID] = []

    def show() -> None:
        plain = [{heading: in_cell(value) if isinstance(value, str) else value for heading, value in row.items()} for row in rows]
        made.append(cast(UUID, create_table_artifact(plain, key=key_of(load_settings().env, name), description=in_cell(description))))

    later(show)
    all_said()
    return link_to(made[0]) if made else ""


class Progress:
    """How far a run has come, as an artifact of its own. It is made at the first word, so that nothing to do leaves none."""

    def __init__(self, key: str, total: int) -> None:
        self._key, self._total, self._done, self._mutex = key, max(1, total), 0, Lock()
        self._artifact: Any = None

    def step(self, what: str) -> None:
        """One more is done."""
        with self._mutex:
            self._done += 1
            later(self._reach, self._done, what)

    def reach(self, done: int, what: str) -> None:
        """So many are done. A hundredth of all is told, so that a million files are not a million requests."""
        if done % max(1, self._total // 100) == 0 or done == self._total:
            later(self._reach, done, what)

    def _reach(self, done: int, what: str) -> None:
        share, told = 100 * done / self._total, f"{done:,} of {self._total:,}: {in_cell(what)}"
        if self._artifact is None:
            self._artifact = create_progress_artifact(share, key=self._key, description=told)
        else:
            update_progress_artifact(self._artifact, share, description=told)


def landing_progress(run: Run, source: Source) -> Callable[[str, int, int], None]:
    """Shows how far the landing of a source has come, where more than a few files land."""
    shown: list[Progress] = []

    def told(name: str, done: int, total: int) -> None:
        if total > _FEW:
            if not shown:
                shown.append(Progress(key_of(run.settings.env, source.name, "landing"), total))
            shown[0].reach(done, name)

    return told
