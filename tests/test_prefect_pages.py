"""What a run is called in Prefect, and where its page leads: a name that somebody typed stays, and a link shows the thing itself."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import prefect
import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings
from prefect.utilities.names import generate_slug

from lake.orchestration import artifacts, run_names
from lake.orchestration.artifacts import link_to, show_rows
from lake.orchestration.run_names import is_given, is_made_up

_ID = UUID("0190a1b2-0000-7000-8000-00000000002a")
_PAGES = Path(prefect.__file__).parent / "server" / "ui-v2" / "assets"


@pytest.mark.parametrize("page", ["http://127.0.0.1:4200", "http://127.0.0.1:4200/"])
def test_a_link_opens_the_artifact_itself(page: str) -> None:
    """Not the page of its key, which lists ids; Prefect's own page has the route; without a page there is no link."""
    with temporary_settings({PREFECT_UI_URL: page}):
        assert link_to(_ID) == f"http://127.0.0.1:4200/v2/artifacts/artifact/{_ID}"
    assert any("path:`/artifacts/artifact/$id`" in file.read_text("utf-8") for file in _PAGES.glob("index-*.js"))
    with temporary_settings({PREFECT_UI_URL: None}):
        assert link_to(_ID) == ""


@pytest.mark.parametrize(("taken", "link"), [(True, f"http://p/v2/artifacts/artifact/{_ID}"), (False, "")])
def test_what_a_run_shows_is_linked_once_prefect_has_it(monkeypatch: pytest.MonkeyPatch, taken: bool, link: str) -> None:
    """By the id that Prefect gave it; nothing is linked that Prefect did not take."""

    def create(rows: object, **about: object) -> UUID:
        if not taken:
            raise RuntimeError("no Prefect")
        return _ID

    monkeypatch.setattr(artifacts, "create_table_artifact", create)
    with temporary_settings({PREFECT_UI_URL: "http://p"}):
        assert show_rows("shop hops", [{"step": "a"}], "shop: release 1") == link


@pytest.mark.parametrize(
    "name",
    [
        "after the fix of tuesday",
        "fix",
        "fix-tuesday",
        "nightly-rerun",
        "Fix-Tuesday",
        "rerun-2",
        "shop refresh again",
        "a-b-c",
        "ünder-way",
        "42",
        "shop land · x",
        "shop",
    ],
)
def test_a_name_that_somebody_typed_is_theirs(name: str) -> None:
    """Whatever it is, unless Prefect or lake might have called the run so."""
    assert is_given(name, "shop refresh", "shop refresh")


@pytest.mark.parametrize("name", ["", "  ", "shop refresh", "shop refresh · release 7", "shop refresh · nothing new"])
def test_what_lake_calls_a_run_is_nobodys_name(name: str) -> None:
    """Before its end and after it: a retried run is called by what came of it, as a first one is. Blanks are no name."""
    assert not is_given(name, "shop refresh", "shop refresh")


def test_every_name_that_prefect_makes_up_is_known() -> None:
    """Two words of its lists: none is taken for one that somebody typed."""
    made = {generate_slug(2) for _ in range(20_000)}
    assert [name for name in made if is_given(name, "shop refresh", "shop refresh")] == []


def test_of_a_prefect_whose_words_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any two words are taken for made up, so that its runs are called by what they do."""
    monkeypatch.setattr(run_names, "_vocabulary", frozenset)
    assert (is_made_up("fix-tuesday"), is_made_up("fix")) == (True, False)


def test_a_usual_name_with_parameters_is_nobodys() -> None:
    """A backfill is called by its months before it begins."""
    assert not is_given("shop backfill 2024-01 to 2024-03", "shop backfill", "shop backfill 2024-01 to 2024-03")
    assert is_given("shop backfill 2024-01", "shop backfill", "shop backfill 2024-01 to 2024-03")


def test_a_name_that_the_form_proposes_is_nobodys() -> None:
    """Prefect's page proposes two of the same words, each with a capital."""
    assert not is_given("Fantastic-Cockle", "shop refresh", "shop refresh")
