"""The averaged parameters of a trainer."""

from __future__ import annotations

from fastnn._model import MLP
from fastnn._native import restore_parameters
from fastnn._stored_trainer import StoredTrainer


class AveragedTrainer(StoredTrainer):
    """The model with averaged parameters; a base of `Trainer`."""

    def averaged_model(self) -> MLP:
        """Return a copy of the model with the averaged parameters.

        Before the first parameters enter the average, they are those of the model. The model itself continues to be trained
        without the average. Copies, pickles and files of the trainer contain both.

        Raises
        ------
        ValueError
            If the trainer has no average.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import EMA, MLP, Trainer
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> trainer = Trainer(MLP((1, 20, 1), "tanh", random_state=0), averaging=EMA(0.99))
        >>> history = trainer.run(X, X**2, epochs=20)
        >>> trainer.averaged_model().predict(X).shape
        (100, 1)
        """
        average = self._average
        if average is None:
            raise ValueError("averaging: expected EMA or SWA, got a trainer with averaging=None, which has no average")
        model = self.model.copy()
        if average.counts[0] > 0:
            restore_parameters(model, average.network.storage)
        return model
