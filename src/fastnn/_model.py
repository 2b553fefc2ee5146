"""The multi-layer perceptron: its constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks import layers as _layers
from fastnn._checks import seeds as _seeds
from fastnn._checks.layers import Activation
from fastnn._checks.options import explained, name_methods, names_of_options, way_to
from fastnn._checks.residual import residual_connections
from fastnn._checks.scalars import flag
from fastnn._derivatives import Differentiated
from fastnn._embedded_columns import embedded_columns
from fastnn._engine import core as _core
from fastnn._engine.losses import builtin_losses
from fastnn._exported import Exported
from fastnn._initializers import check_init, initialize, initialize_projections
from fastnn._layer_settings import EMBEDDED
from fastnn._overridden import check_for_compiled_code
from fastnn._shared_ensemble import SharedEnsemble, check_shared, refuse_residual
from fastnn._trained import Trained

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.embeddings import Embedding


class MLP(Trained, Differentiated, Exported):
    """A network of dense layers, each a matrix product, a bias and an activation.

    Parameters
    ----------
    layer_sizes : sequence of int
        ``(n_in, hidden…, n_out)``: two to 65 numbers of units.
    activation : str, custom activation or sequence of them, default "relu"
        The activation of all hidden layers, or a sequence with one per hidden layer: identity, tanh, sigmoid, relu,
        leaky_relu, prelu, elu, gelu, silu, selu, mish, softplus, sin, or a custom activation made by
        `fastnn.jit.activation`, or its name.
    output_activation : str or custom activation, default "identity"
        The activation of the output layer: one of those above, softmax or exp.
    dropout : float or sequence of float, default 0.0
        The probability, below 1, of leaving a hidden unit out of a training step: one for all hidden layers, or one per
        hidden layer. The outputs of the remaining units are scaled up to compensate.
    normalization : str or sequence of str or None, optional
        The normalization of the units of each hidden layer over a row: layer_norm (mean 0 and variance 1), rms_norm (mean
        square 1) or None. One for all hidden layers, or one per hidden layer.
    normalization_place : str or sequence of str, default "before"
        Whether the inputs of the activation are normalized, "before", or its outputs, "after": one for all hidden layers, or
        one per hidden layer. Dropout follows both. Without normalization, only the default is accepted.
    parametric_activation : bool or sequence of bool, default False
        Whether the activation f of a hidden layer becomes ``z + a * (f(z) - z)``, with a trained alpha a per unit, which
        starts at 1: one for all hidden layers, or one per hidden layer. Not for identity and prelu.
    input_scale : bool, default False
        Whether each input of the first layer is multiplied by a trained factor, which starts at 1. With embeddings, these
        inputs are their outputs and the columns that pass.
    input_dropout : float, default 0.0
        The probability, below 1, of leaving an input of the first layer out of a training step. The remaining inputs are
        scaled up to compensate.
    embeddings : Embedding or sequence of them, default ()
        What takes the place of columns of X before the first layer: objects of `fastnn.embeddings`, each for some columns.
        Other columns pass as they are, and follow the outputs of all embeddings.
    residual : bool, int or sequence of pairs of int, default False
        Residual connections: pairs (from, to) of layers, counted from 1, whose outputs are added: those of `from` to those
        of `to`. Layer 0 is the inputs of the first layer. Where the widths differ, a trained projection comes in between.
        A number k stands for blocks of k hidden layers behind the first hidden layer: 2 is ``[(1, 3), (3, 5), …]``. True
        is 1.
    residual_place : str, default "after"
        Whether a sum is that of the activation's outputs, "after", or of its inputs, "before"; in the output layer, it is
        always that of the inputs. Outputs are added after dropout, and before a normalization of outputs: from there,
        connections begin. Without connections, only the default is accepted.
    shared : SharedEnsemble, optional
        The members of an ensemble that share most parameters: see `SharedEnsemble`. By default, the model is one network.
    init : str or sequence of str, default "auto"
        The method that draws the initial weights: glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform,
        lecun_normal, zeros. One for all layers, or one per layer, the output layer's last. "auto" selects he_normal for
        layers of the ReLU family, lecun_normal for SELU, and glorot_uniform for all others. Biases start at zero.
        Projections of residual connections are drawn like the weights of the layer to which they lead.
        `init_from_data` adapts both to data.
    dtype : float32 or float64, default float32
        The type of the parameters, the results and all arithmetic.
    random_state : int, numpy.random.Generator or other seed, optional
        The source of the initial weights. Training also draws from it, unless the trainer has a random state of its own.

    Attributes
    ----------
    weights, biases : list of ndarray, shapes (n_in, n_out) and (n_out,)
        Live views of the parameters, whose rows have gaps between them. With `shared`, the last layer has n_out columns for
        each member, side by side. Writing into a view changes the model at once.
        Assigning to an element of a list, or to the whole attribute, copies the values into the model. For example,
        ``model.weights[0] = W`` copies W, which must have the same shape.
    slopes : list of ndarray, shape (n_out,), or None
        Live views of the trained slopes: one array for each layer with the activation "prelu", and None for every other
        layer. Slopes start at 0.25. Penalties and weight decay do not apply to them.
    gains, shifts : list of ndarray, shape (n_out,), or None
        Live views of the factors and the summands of normalized units: one array for each layer with a normalization that
        has them, and None for every other layer; "rms_norm" has no shifts. Gains start at 1, and shifts at 0. Penalties and
        weight decay do not apply to them.
    alphas : list of ndarray, shape (n_out,), or None
        Live views of the alphas of parametric activations: one array for each layer that has one, and None for every other
        layer. Alphas start at 1. Penalties and weight decay do not apply to them.
    scales : list of ndarray, shape (n_in,), or None
        Live views of the trained factors of the inputs: one array for the first layer if `input_scale` is set, and None for
        every other layer. Scales start at 1. Penalties and weight decay do not apply to them. With `shared`, they are
        (n_members, n_in); with one of the kind "full", all layers but the last have them, and biases are (n_members, n_out)
        there.
    output_scales : list of ndarray, shape (n_members, n_out), or None
        Live views of the trained factors of the products with the weights: one array for each layer but the last with a
        shared ensemble of the kind "full", and None for every other layer. They start at 1. Penalties and weight decay do
        not apply to them.
    projections : list of ndarray, shape (n_from, n_out), or None
        Live views of the matrices of residual connections: one for each layer to which a connection from another width
        leads, and None for every other layer. Penalties and weight decay apply to them as to weights.
    embedding_parameters : list of ndarray, or None
        Live views of the parameters of embeddings: one matrix per embedding. Penalties and weight decay do not apply to
        them.
    parameters : list of ndarray
        Live views of all parameters, layer by layer: ``[W1, b1, W2, b2, …]``. The slopes, gains, shifts and alphas
        of a layer follow its biases, then the scales of its inputs and of its outputs. The projection of a residual
        connection is the last of its layer. The parameters of embeddings precede all layers.
    feature_names : tuple of str or None
        The column names of the first data frame on which the model was trained.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.
    MemoryError
        If the parameters do not fit into memory.

    Notes
    -----
    Copies and pickles have parameters of their own, and keep the attributes of a subclass. A shallow ``copy.copy`` shares
    these attributes and the random generator with the original. Files contain only the network.

    Training runs in native code, which does not call methods that a subclass overrides. It therefore raises TypeError if
    a subclass overrides ``loss`` or ``gradient``, or if the model has a method ``forward`` or ``backward``. Metrics raise it
    if ``predict`` is overridden.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> model = MLP((2, 8, 1), activation="tanh", random_state=0)
    >>> history = model.fit(X, y, epochs=2000)
    >>> model.predict(X).round(1).ravel() + 0
    array([0., 1., 1., 0.], dtype=float32)
    """

    @explained
    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Activation | Sequence[Activation] = "relu",
        output_activation: Activation = "identity",
        *,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | Sequence[str | None] | None = None,
        normalization_place: str | Sequence[str | None] = "before",
        parametric_activation: bool | Sequence[bool] = False,
        input_scale: bool = False,
        input_dropout: float = 0.0,
        embeddings: Embedding | Sequence[Embedding] = (),
        residual: bool | int | Sequence[Any] = False,
        residual_place: str = "after",
        shared: SharedEnsemble | None = None,
        init: str | Sequence[str] = "auto",
        dtype: DTypeLike = np.float32,
        random_state: Any = None,
    ) -> None:
        sizes = _layers.sizes_of_layers(layer_sizes)
        n_hidden = len(sizes) - 2
        activations = _layers.layer_activations(activation, output_activation, n_hidden, _core.LAYER_ACTIVATIONS)
        rates = _layers.dropout_rates(dropout, n_hidden)
        normalizations = _layers.layer_normalizations(normalization, normalization_place, n_hidden, _core.NORMALIZATIONS)
        with_own_parameters = _core.LAYER_ACTIVATIONS[len(_core.ACTIVATIONS) :]
        parametric = _layers.parametric_layers(parametric_activation, activations, ("identity", *with_own_parameters))
        scaled, input_rate = flag("input_scale", input_scale), _layers.dropout_rate("input_dropout", input_dropout)
        check_init(init, len(activations))
        float_type = _layers.float_dtype(dtype)
        ensemble = check_shared(shared, scaled)
        n_members = 1 if ensemble is None else ensemble.n_members
        embedded, widths = embedded_columns(embeddings, sizes, n_members)
        connections, place = residual_connections(residual, residual_place, widths)
        refuse_residual(ensemble, connections)
        self._rng = _seeds.generator(random_state)
        try:
            self._network = _core.Network(
                *(sizes, activations, (*rates, 0.0), float_type, normalizations),
                input_scale=scaled,
                input_dropout=input_rate,
                parametric=parametric,
                embeddings=embedded,
                residual=connections,
                residual_place=place,
                n_members=n_members,
                scales_members=ensemble is not None and ensemble.kind == "full",
            )
            self._shared = ensemble
            of_embeddings = [None if each.shape is None else each.initial(self._rng) for each in embedded]
            weights = initialize(widths, activations, init, self._rng, n_members)
            projections = initialize_projections(connections, widths, activations, init, self._rng)
            drawn: dict[str, list[Any]] = {"weights": weights, "projections": projections, EMBEDDED: of_embeddings}
            if ensemble is not None:
                first = ensemble.initial_scales(sizes[0], embedded, self._rng)
                drawn["scales"] = [first, *[np.ones(())] * (len(widths) - 2)]
            self._initialize(drawn)
        except MemoryError:
            columns = [*widths[1:-1], widths[-1] * n_members]
            count = sum((n_in + 1) * n_out for n_in, n_out in zip(widths[:-1], columns, strict=True))
            raise MemoryError(f"layer_sizes: there is no memory for {count} parameters in {float_type}") from None

    def _begin(self, sizes: tuple[int, ...], hidden: Sequence[Activation], output: Activation, **options: Any) -> None:
        MLP.__init__(self, sizes, hidden, output, init="zeros", random_state=0, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Raise AttributeError for a setting that would change nothing, unless a subclass has an attribute of that name."""
        own = getattr(MLP, name, None)
        parameter = _FIXED.get(name)
        if parameter and (type(self) is MLP or (own is not None and getattr(type(self), name, None) is own)):
            raise AttributeError(f"{name}: a model keeps what it was made with; MLP(…, {parameter}=…) makes another")
        if type(self) is MLP and name in _OF_TRAINING and not callable(value):
            raise AttributeError(f"{name}: a model has no such setting; {way_to(name)}")
        super().__setattr__(name, value)

    @property
    def _native_model(self) -> tuple[int, int, int]:
        """Return the model in the form for compiled code: its address, and its numbers of inputs and outputs."""
        return self._native_handle[0]

    @property
    def _native_handle(self) -> tuple[tuple[int, int, int], _core.Network]:
        """Return `_native_model`, and the object that keeps its address valid."""
        check_for_compiled_code(self, "model")
        network = self._network
        network.bind(builtin_losses)
        return (network.address, network.layer_sizes[0], network.layer_sizes[-1]), network

    def __repr__(self) -> str:
        """Return the sizes, activations and dtype as text."""
        *hidden, output = self.activations
        shown: Any = hidden[0] if len(set(hidden)) == 1 else list(hidden)
        parts = [repr(self.layer_sizes)] + ([f"activation={shown!r}"] if hidden else [])
        parts.append(f"output_activation={output!r}")
        if any(self.dropout):
            parts.append(f"dropout={_shown(self.dropout)}")
        parts += [f"{name}={_shown(value)}" for name, value in self._later_options().items()]
        if self.embeddings:
            parts.append(f"embeddings={list(self.embeddings)!r}")
        if self.shared is not None:
            parts.append(f"shared={self.shared!r}")
        return f"MLP({', '.join(parts)}, dtype={self.dtype.name})"


def _shown(value: Any) -> str:
    """Return the argument of `MLP` for an option, which may have one value per hidden layer."""
    if not isinstance(value, tuple):
        return repr(value)
    return repr(value[0] if len(set(value)) == 1 else list(value))


name_methods(MLP)
# For each attribute that can't be assigned: the parameter of `MLP` that determines it.
_FIXED = {name: name for name in names_of_options(MLP.__init__)} | {"activations": "activation"}
# Names that would have no effect as attributes of a model, because they are options of training.
_OF_TRAINING = names_of_options(MLP.fit) - {"X", "y"} | {"learning_rate"}
