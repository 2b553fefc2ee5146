"""The contestants: fastnn, and every peer that is installed, each in the fastest form that users would write."""

from __future__ import annotations

from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.peers.fastnn_ import FastnnPredictor, FastnnTrainer
from fastnn._bench.peers.jax_ import JaxPredictor, JaxScanTrainer, JaxTrainer
from fastnn._bench.peers.numba_ import NumbaPredictor, NumbaTrainer
from fastnn._bench.peers.numpy_ import NumpyPredictor, NumpyTrainer
from fastnn._bench.peers.onnx_ import OnnxPredictor
from fastnn._bench.peers.portable_ import PortablePredictor, PortableTrainer
from fastnn._bench.peers.sklearn_ import SklearnPredictor, SklearnTrainer
from fastnn._bench.peers.torch_ import TorchCompilePredictor, TorchCompileTrainer, TorchPredictor, TorchTrainer

__all__ = ["CONTESTANTS", "PREDICTORS", "TRAINERS", "Predictor", "Trainer", "available"]

TRAINERS: dict[str, type[Trainer]] = {
    trainer.name: trainer
    for trainer in (
        FastnnTrainer,
        NumpyTrainer,
        SklearnTrainer,
        TorchTrainer,
        TorchCompileTrainer,
        JaxTrainer,
        JaxScanTrainer,
        NumbaTrainer,
        PortableTrainer,
    )
}
PREDICTORS: dict[str, type[Predictor]] = {
    predictor.name: predictor
    for predictor in (
        FastnnPredictor,
        NumpyPredictor,
        SklearnPredictor,
        TorchPredictor,
        TorchCompilePredictor,
        JaxPredictor,
        OnnxPredictor,
        NumbaPredictor,
        PortablePredictor,
    )
}

# All names, in the order of the columns.
CONTESTANTS = tuple(dict.fromkeys((*PREDICTORS, *TRAINERS)))


def available(name: str) -> str | None:
    """Return None if a contestant is installed, else the reason."""
    return (TRAINERS.get(name) or PREDICTORS[name]).missing()
