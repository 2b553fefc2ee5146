"""Trainers from and to modules and optimizers of PyTorch."""

from __future__ import annotations

from typing import Any, Self

from fastnn._from_torch import model_of
from fastnn._layer_settings import LayerSettings
from fastnn._stored_trainer import StoredTrainer
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, AdamW


class ExportedTrainer(StoredTrainer):
    """Importing and exporting; a base of `Trainer`."""

    @classmethod
    def from_torch(cls, module: Any, optimizer: Any, loss: str | Loss = "mse", **options: Any) -> Self:
        """Return a trainer that continues the training of a module of PyTorch.

        The trainer has the moments and the number of updates of the optimizer, so that its next steps are those that
        PyTorch would make, apart from rounding and random numbers. It shares no memory with PyTorch's objects.

        Parameters
        ----------
        module : torch.nn.Sequential or torch.nn.Linear
            A module that `fastnn.from_torch` accepts, with biases.
        optimizer : torch.optim.Optimizer
            The optimizer of all parameters of the module, of a class that `fastnn.optimizers` has too. A `weight_decay`
            of the weights alone becomes the option `l2`. The learning rate is the present one; a scheduler of PyTorch is
            not part of the optimizer. SGD of PyTorch does not count updates, so that they begin at 0.
        loss : str or Loss, default "mse"
            The loss to minimize, as in `Trainer`. PyTorch's CrossEntropyLoss of a last Linear is "cross_entropy", and its
            BCEWithLogitsLoss "binary_cross_entropy".
        **options
            Options of `Trainer`, such as `batch_size` and `random_state`.

        Raises
        ------
        TypeError, ValueError
            If module, optimizer or options have no counterpart in fastnn. The message says which part.

        Examples
        --------
        >>> from fastnn import MLP, Adam, Trainer
        >>> module, optimizer = Trainer(MLP((2, 3, 1)), "mse", Adam(0.01)).to_torch()
        >>> Trainer.from_torch(module, optimizer, "huber").optimizer
        Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
        """
        from fastnn._exports.pytorch_optimizers import FromTorch
        from fastnn._exports.pytorch_reader import dense_layers

        dense = dense_layers(module)
        given = FromTorch(optimizer, dense)
        if given.l2:
            if options.get("l2"):
                raise ValueError(f"l2: expected none for an optimizer with weight_decay={given.l2}, got {options['l2']!r}")
            options["l2"] = given.l2
        model = model_of(dense, options.pop("random_state", None))
        make: Any = cls  # the constructor of Trainer, which `StoredTrainer` does not have
        trainer: Self = make(model, loss, given.optimizer, **options)
        trainer._stepper.updates = given.updates
        given.fill([model._views(moment) for moment in trainer._moments])
        return trainer

    def to_torch(self) -> tuple[Any, Any]:
        """Return the model as a module of PyTorch in training mode, and an optimizer that continues its training.

        The option `l2` becomes a `weight_decay` of the weights, and `layer_settings` become groups of parameters. Frozen
        parameters require no gradient. The loop of PyTorch computes the loss.

        Returns
        -------
        module : torch.nn.Sequential
            As from `MLP.to_torch`, but in training mode.
        optimizer : torch.optim.Optimizer
            The optimizer of its parameters, with the moments and the number of updates.

        Raises
        ------
        ValueError
            If a setting has no counterpart in PyTorch: a schedule, "lbfgs", Lion, Muon, `l1`, `clip_norm`, `clip_value`,
            `averaging`, `l2` together with AdamW, or gradients that wait for `apply`. The same holds for activations that
            PyTorch lacks, for embeddings and for shared ensembles.
        ImportError
            If PyTorch is not installed.

        Examples
        --------
        >>> from fastnn import MLP, Trainer
        >>> module, optimizer = Trainer(MLP((2, 8, 1)), optimizer="adam").to_torch()
        """
        from fastnn._exports.pytorch_optimizers import optimizer_of
        from fastnn._exports.pytorch_reader import dense_layers

        self.model._refuse_embeddings("to_torch")
        self.model._refuse_shared("to_torch")
        self._check_for_torch()
        module = self.model.to_torch().train()
        moments = [self.model._views(moment) for moment in self._moments]
        optimizer: Any = self.optimizer  # not lbfgs
        l2: Any = self.l2  # a number
        blocks = self._wanted.settings.optimizer.get("blocks")
        return module, optimizer_of(optimizer, l2, self._updates, moments, dense_layers(module), blocks)

    def _own_settings(self) -> list[LayerSettings]:
        """Return the settings of single layers."""
        given = self.layer_settings if isinstance(self.layer_settings, tuple) else (self.layer_settings,)
        return [own for own in given if own is not None]

    def _check_for_torch(self) -> None:
        """Raise ValueError if a setting has no counterpart in an optimizer of PyTorch."""
        from fastnn._exports.pytorch_optimizers import counterpart_of

        if isinstance(self.optimizer, LBFGS):
            raise ValueError(
                "to_torch: expected an optimizer with a state, got 'lbfgs'; model.to_torch() returns the module"
            )
        counterpart_of(self.optimizer)
        if callable(self.optimizer.learning_rate):
            rate = self.optimizer.learning_rate
            raise ValueError(f"to_torch: expected a number as learning_rate, got {rate!r}; assign the present rate first")
        for setting in self._scheduled():
            if not callable(setting.schedule):
                raise ValueError(f"to_torch: expected {setting.name}=1.0, which PyTorch lacks, got {setting.schedule!r}")
            value = f"{setting.schedule!r}; assign the present value first"
            raise ValueError(f"to_torch: expected a number as {setting.name}, got {value}")
        if self._stepper.accumulated is not None:
            raise ValueError("to_torch: expected no accumulated gradients, got some; call apply() first")
        if isinstance(self.optimizer, AdamW):
            for l2 in (self.l2, *(own.l2 for own in self._own_settings())):
                if l2:
                    raise ValueError(f"to_torch: expected l2=0.0 for AdamW, which PyTorch can't combine with it, got {l2}")
        for own in self._own_settings():
            if own.l1:
                raise ValueError(f"to_torch: expected l1=None of each layer, got {own!r}; add the penalty to the loss")
        for name, off, way in (
            ("l1", 0.0, "add the penalty to the loss"),
            ("averaging", None, "call torch.optim.swa_utils.AveragedModel, and averaged_model().to_torch() has the average"),
            ("clip_norm", None, "call torch.nn.utils.clip_grad_norm_"),
            ("clip_value", None, "call torch.nn.utils.clip_grad_value_"),
        ):
            value = getattr(self, name)
            if value:
                raise ValueError(f"to_torch: expected {name}={off}, got {value}; a loop of PyTorch can {way}")
