"""A server that answers nothing any more says so, and one that does again says that."""

import pytest
import torch

from mgimm_plugin.predictor import Predictor
from tests.serve.bad_requests import GOOD
from tests.serve.conftest import client_of


class BreakablePredictor(Predictor):
    """The model, which fails as long as it has an error to make; a new one each time, for they hold on to frames."""

    error = None

    def answer(self, *args, **options):
        if self.error is not None:
            raise self.error()
        return super().answer(*args, **options)


@pytest.fixture
def breakable(tiny_loaded):
    return BreakablePredictor(tiny_loaded)


def asked(client):
    return client.post("/v1/chat/completions", json=GOOD).status_code


@pytest.mark.parametrize("error", [ValueError, torch.OutOfMemoryError])
def test_three_failures_in_a_row_are_told_until_there_is_an_answer_again(breakable, error):
    with client_of(breakable) as client:
        for _ in range(2):
            breakable.error = error
            assert [asked(client), asked(client)] == [500, 500]
            assert client.get("/health").status_code == 200
            breakable.error = None
            assert asked(client) == 200  # the count begins anew
        breakable.error = error
        assert [asked(client) for _ in range(3)] == [500, 500, 500]
        failed = client.get("/health")
        assert (failed.status_code, failed.json()) == (503, {"status": "failed"})
        breakable.error = None
        assert asked(client) == 200
        assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("kind", [RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)])
def test_a_gpu_that_has_failed_is_told_at_once(breakable, kind):
    breakable.error = lambda: kind("CUDA error: device-side assert triggered")
    with client_of(breakable) as client:
        assert asked(client) == 500
        assert client.get("/health").status_code == 503
