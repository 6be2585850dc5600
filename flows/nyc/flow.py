"""The nyc flow: land what is new, carry it to gold, release. Run it here with `python -m flows.nyc.flow`, or deploy it."""

from lake.orchestration import refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

nyc = refresh_flow(load_pipeline(load_settings(), "nyc"))

if __name__ == "__main__":
    nyc()
