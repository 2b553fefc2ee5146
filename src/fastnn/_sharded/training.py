"""Runs in shards, from their arguments to their histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.columns import names_of
from fastnn._checks.scalars import integer
from fastnn._engine import core as _core
from fastnn._engine.targets import check_observed
from fastnn._history import History
from fastnn._native import state_arrays
from fastnn._overridden import check_step
from fastnn._running import Running
from fastnn._sharded.measures import ShardedMeasures, check_metrics
from fastnn._sharded.ranks import Phase, Ranks
from fastnn._sharded.run import ShardedRun
from fastnn._sharded.shards import Shards
from fastnn._sharded.watchers import of_rank, settings_of
from fastnn._version import __version__
from fastnn._watchers import check_watchers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.training_data import TrainingData
    from fastnn._prepared import Prepared

# Instruction sets without fused multiply-add, whose results differ by rounding from those of all others.
_OTHER_ROUNDING = ("baseline", "portable")


class ShardedData:
    """The training data of this rank, in the place of `TrainingData` in a run.

    Parameters
    ----------
    ranks : Ranks
        The ranks.
    shards : Shards
        The rows of this rank.
    """

    def __init__(self, ranks: Ranks, shards: Shards) -> None:
        self._ranks, self._shards = ranks, shards
        self.y: NDArray[Any] = shards.data.y
        weight = shards.data.sample_weight
        self._scale = max(ranks.gather(1.0 if weight is None else float(np.abs(weight).max())))

    def new_run(self, trainer: Any, epochs: int) -> Any:
        """Return a run over these data, which has the methods of the engine's."""
        if trainer.drop_last:
            self._shards.check_complete_batch(trainer.batch_size)
        return ShardedRun(trainer, self._ranks, self._shards, self._scale, epochs)


class ShardedTraining:
    """A run in shards.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    step : function
        The method `step` of `Trainer`, which a subclass must not override.
    """

    def __init__(self, trainer: Prepared, step: Any) -> None:
        assert trainer.n_shards is not None
        self.trainer, self._step, self._n_shards = trainer, step, trainer.n_shards
        size = 1 if trainer.comm is None else trainer.comm.Get_size()
        self._ranks = Ranks(trainer.comm, 2 * self._n_shards // size)

    def run(self, X: Any, y: Any, epochs: Any, **options: Any) -> History:
        """Train, and return the history. The arguments are those of `Trainer.run`.

        An error on any rank is raised on all of them.
        """
        with self._ranks.deferring_interrupts():
            try:
                history = self._run(X, y, epochs, **options)
                self._ranks.meet(Phase.END)
            except BaseException as error:
                self._ranks.fail(error)
                raise
        return history

    def _run(
        self,
        X: Any,
        y: Any,
        epochs: Any,
        *,
        sample_weight: Any,
        validation_data: Any,
        metrics: Any,
        callbacks: Any,
        progress: Any,
    ) -> History:
        trainer, ranks = self.trainer, self._ranks
        with ranks.agreed(Phase.ARGUMENTS):
            epochs = integer("epochs", epochs, low=0)
            check_step(trainer, self._step)
            data = trainer._data(X, y, sample_weight, is_part=ranks.size > 1)
            validation = trainer._validation(validation_data, X, is_part=ranks.size > 1)
            names = check_metrics(metrics)
            watchers = check_watchers(callbacks, progress)
            of_run = {
                "epochs": epochs,
                "metrics": list(names),
                "validation_data": "none" if validation is None else "given",
                **self._of_trainer(X),
                **_of_rows(data, ""),
            }
            of_validation = {} if validation is None else _of_rows(validation, "validation_data ")
        ranks.check_same(of_run)
        ranks.check_same(of_validation)
        shards = self._shards(data, "")
        if trainer.drop_last:
            shards.check_complete_batch(trainer.batch_size)
        held_out = None if validation is None else self._shards(validation, "validation_data ")
        measures = ShardedMeasures(trainer, ranks, names, shards, held_out)
        running = Running(trainer, ShardedData(ranks, shards), epochs, measures, of_rank(ranks, watchers))
        with ranks.agreed(Phase.STATE):
            hold = running.hold()
        return running.run(X, hold, self._share_state)

    def _of_trainer(self, X: Any) -> dict[str, Any]:
        """Return everything but the rows that must be the same on all ranks, by the names in errors."""
        model, isa = self.trainer.model, _core.current_instruction_set()[0]
        return {
            "version of fastnn": __version__,
            "instruction set": isa if isa in _OTHER_ROUNDING else "one with fused multiply-add",
            "n_shards": self._n_shards,
            "layer_sizes of the model": model.layer_sizes,
            "activations of the model": [str(activation) for activation in model.activations],
            "normalization of the model": model.normalization,
            "normalization_place of the model": model.normalization_place,
            "embeddings of the model": [repr(embedding) for embedding in model.embeddings],
            "shared of the model": repr(model.shared),
            "dropout of the model": model.dropout,
            "parametric_activation of the model": model.parametric_activation,
            "input_scale of the model": model.input_scale,
            "input_dropout of the model": model.input_dropout,
            "residual of the model": model.residual,
            "residual_place of the model": model.residual_place,
            "dtype of the model": model.dtype.name,
            "bit generator of random_state": type(self.trainer.random_state.bit_generator).__name__,
            **settings_of(self.trainer),
            "column names of X": None if type(X) is np.ndarray else names_of("X", X),
        }

    def _shards(self, data: TrainingData, prefix: str) -> Shards:
        """Return the shards of data, after a check that something counts on any rank."""
        trainer, ranks = self.trainer, self._ranks
        if ranks.size > 1 and not any(ranks.gather(_any_counts(trainer, data))):
            raise ValueError(
                f"{prefix}sample_weight: expected a row with observed targets and a weight that is not 0 on any rank"
                ", got none"
            )
        return Shards(ranks, self._n_shards, data, f"{prefix}X")

    def _share_state(self) -> None:
        """Give all ranks the parameters, the moments, the average and the random state of rank 0."""
        trainer, ranks = self.trainer, self._ranks
        if ranks.size == 1:
            return
        ranks.meet(Phase.STATE)
        for array in state_arrays(trainer):
            ranks.share_array(array)
        bits = trainer.random_state.bit_generator
        trainer._stepper.updates, bits.state = ranks.share((trainer._stepper.updates, bits.state))


def _of_rows(data: TrainingData, prefix: str) -> dict[str, Any]:
    """Return what must be the same on all ranks of their rows, by the names in errors."""
    x, y, labels, weight = data
    return {
        f"{prefix}X dtype": "sparse" if isinstance(x, _core.SparseRows) else x.dtype.name,
        f"{prefix}y dtype": y.dtype.name,
        f"{prefix}y": "labels" if labels else f"{y.shape[1]} columns",
        f"{prefix}sample_weight": "none" if weight is None else "weights",
    }


def _any_counts(trainer: Prepared, data: TrainingData) -> bool:
    weight = data.sample_weight
    if weight is not None and not weight.any():
        return False
    try:
        check_observed("y", data.y, trainer.loss, weight, trainer.model.layer_sizes[-1])
    except ValueError:
        return False
    return True
