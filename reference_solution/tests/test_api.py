from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
from fastapi.testclient import TestClient

from src import api

ROWS = [[42, 57, 103.61, 0], [75, 60, 78.32, 2]]


@pytest.fixture
def model() -> Mock:
    model = Mock(spec=["predict"])
    model.predict.return_value = np.array([0, 1])
    return model


@pytest.fixture
def client(model: Mock, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(api, "load_model", lambda: api.Served(model, "7"))
    # As a context manager, or the lifespan that loads the model does not run.
    with TestClient(api.app) as client:
        yield client


def test_predict(client: TestClient, model: Mock) -> None:
    response = client.post("/predict", json={"features": ROWS})

    assert response.status_code == 200
    assert response.json() == {"predictions": [0, 1], "model_version": "7"}
    [frame] = model.predict.call_args.args
    assert frame.to_numpy().tolist() == ROWS


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"features": "a"},
        {"features": []},
        {"features": [[]]},
        {"features": [["a", 57, 103.61, 0]]},
        {"features": [[42, 57], [75]]},
    ],
)
def test_predict_refuses_invalid_input(client: TestClient, model: Mock, body: object) -> None:
    response = client.post("/predict", json=body)

    assert response.status_code == 422
    model.predict.assert_not_called()


def test_predict_refuses_what_the_model_refuses(client: TestClient, model: Mock) -> None:
    model.predict.side_effect = ValueError("X has 2 features, but 4 are expected")

    assert client.post("/predict", json={"features": [[1, 2]]}).status_code == 422


def test_ready_and_health_with_a_model(client: TestClient) -> None:
    assert client.get("/ready").status_code == 200
    assert client.get("/health").json() == {"status": "healthy"}
    assert "model_loaded 1.0" in client.get("/metrics").text


def test_not_ready_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load_model", lambda: None)
    with TestClient(api.app) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 503
        assert client.post("/predict", json={"features": ROWS}).status_code == 503
        assert "model_loaded 0.0" in client.get("/metrics").text
