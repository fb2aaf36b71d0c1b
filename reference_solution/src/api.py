"""Serve the churn classifier.

uvicorn src.api:app
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field

MODEL_NAME = os.environ.get("MODEL_NAME", "ExamClassifier")
MODEL_STAGE = os.environ.get("MODEL_STAGE", "Production")
MODEL_FILE = Path(os.environ.get("MODEL_FILE", "models/model.pkl"))
RETRY_SECONDS = 15

# MLflow's own defaults keep trying an absent server for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

log = logging.getLogger("uvicorn.error")

# alerts.yml names these. The errors have no labels, so that their series starts at 0 and the first
# error already counts for rate(); the histogram needs its bucket bound at 1 second.
REQUESTS = Counter("api_requests_total", "Requests answered")
ERRORS = Counter("api_errors_total", "Requests answered with a server error")
LATENCY = Histogram("api_request_duration_seconds", "Time taken to answer a request")
MODEL_LOADED = Gauge("model_loaded", "1 if a model is being served, else 0")


class Served(NamedTuple):
    model: Any
    version: str


class PredictRequest(BaseModel):
    features: list[Annotated[list[float], Field(min_length=1)]] = Field(min_length=1)


class PredictResponse(BaseModel):
    predictions: list[int | float | str]
    model_version: str


def load_from_registry() -> Served:
    import mlflow.sklearn  # seconds that neither a test nor /health should wait for

    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://localhost:5000"))
    versions = mlflow.MlflowClient().get_latest_versions(MODEL_NAME, stages=[MODEL_STAGE])
    if not versions:
        raise LookupError(f"no version of {MODEL_NAME} is in stage {MODEL_STAGE}")
    version = versions[0].version
    # By version, not by stage: it must be the one that model_version names.
    return Served(mlflow.sklearn.load_model(f"models:/{MODEL_NAME}/{version}"), str(version))


def load_from_file() -> Served:
    return Served(joblib.load(MODEL_FILE), f"file:{MODEL_FILE.name}")


def load_model() -> Served | None:
    for load in (load_from_registry, load_from_file):
        try:
            return load()
        except Exception as error:  # whatever it is, the app must come up and say "not ready"
            log.warning("%s: %s", load.__name__, error)
    return None


async def keep_loading(app: FastAPI) -> None:
    while app.state.served is None:
        await asyncio.sleep(RETRY_SECONDS)
        set_model(app, await asyncio.to_thread(load_model))


def set_model(app: FastAPI, served: Served | None) -> None:
    app.state.served = served
    MODEL_LOADED.set(served is not None)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    set_model(app, await asyncio.to_thread(load_model))
    # A pod that starts before the tracking server becomes ready once that is up.
    retry = asyncio.create_task(keep_loading(app))
    yield
    retry.cancel()


app = FastAPI(title="exam-api", lifespan=lifespan)


@app.middleware("http")
async def measure(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    # Probes and scrapes would water down the latency and count a missing model as errors.
    if request.url.path in {"/health", "/ready", "/metrics"}:
        return await call_next(request)
    start = time.perf_counter()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        REQUESTS.inc()
        LATENCY.observe(time.perf_counter() - start)
        if status >= 500:
            ERRORS.inc()


def served_model() -> Served:
    if app.state.served is None:
        raise HTTPException(503, "no model is loaded")
    return app.state.served


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ready", "model_version": served_model().version}


@app.post("/predict")
def predict(request: PredictRequest) -> PredictResponse:
    model, version = served_model()
    try:
        # An array first: a data frame would fill up short rows with blanks.
        rows = np.asarray(request.features, dtype=float)
        frame = pd.DataFrame(rows, columns=getattr(model, "feature_names_in_", None))
        predictions = model.predict(frame)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return PredictResponse(predictions=predictions.tolist(), model_version=version)


@app.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
