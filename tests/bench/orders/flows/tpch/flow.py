"""The flow."""

from lake.orchestration import refresh_flow
from lake.pipeline import load_pipeline
from lake.settings import load_settings

refresh = refresh_flow(load_pipeline(load_settings(), "tpch"))
