"""Models in the formats of other libraries and languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fastnn._checks import seeds as _seeds
from fastnn._checks.layers import float_dtype
from fastnn._checks.options import explained
from fastnn._storage.write_file import FilePath
from fastnn._stored import Stored

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._exports.layers import Layer, Stage


class Exported(Stored):
    """Exporting and importing; a base of `MLP`."""

    def _layers(self) -> list[Layer]:
        """Return the layers with live views of the parameters."""
        from fastnn._exports.layers import Layer, Normalization, Residual

        given = zip(self._network.normalizations, self.gains, self.shifts, strict=True)
        normalizations = [
            None if each is None or gains is None else Normalization(*each, gains, shifts) for each, gains, shifts in given
        ]
        residual: list[Residual | None] = [None] * len(self.weights)
        for begin, end in self.residual:
            place = "before" if end == len(residual) else self.residual_place
            residual[end - 1] = Residual(begin, place, self.projections[end - 1])
        kinds = self.weights, self.biases, self.activations, self.slopes, normalizations, self.scales, self.alphas
        parts = zip(*kinds, residual, self.output_scales, strict=True)
        return [Layer(*part) for part in parts]

    def _stage(self) -> Stage | None:
        """Return the embeddings with live views of their parameters, or None without embeddings."""
        if not self.embeddings:
            return None
        from fastnn._exports.layers import Stage
        from fastnn.embeddings import passed_columns

        parts = tuple(zip(self.embeddings, self.embedding_parameters, strict=True))
        return Stage(parts, passed_columns(self.embeddings, self.layer_sizes[0]))

    def _refuse_embeddings(self, method: str) -> None:
        """Raise ValueError if the model has embeddings, for a format without them."""
        if self.embeddings:
            names = ", ".join(type(each).__name__ for each in self.embeddings)
            raise ValueError(
                f"{method}: expected a model without embeddings, got one with {names}; MLP.to_onnx, to_c and to_torch "
                "write these too"
            )

    @explained
    def to_onnx(
        self,
        path: FilePath,
        *,
        input_name: str = "X",
        output_name: str = "y",
        batch_size: int | None = None,
        opset: int | None = None,
    ) -> None:
        """Write the model to an ONNX file, which other programs run: ONNX Runtime, web browsers, .NET, Java and others.

        The file computes the same as `predict`, in the model's dtype and up to rounding. Dropout has no effect in
        predictions, and is left out. The metadata have one entry, "fastnn", with the architecture and the feature names. The
        same model gives the same bytes. An existing file is replaced in the same way as by `save`.

        Parameters
        ----------
        path : str, bytes or path-like
            The file.
        input_name, output_name : str, default "X" and "y"
            The names of the inputs (rows, n_in) and outputs (rows, n_out).
        batch_size : int, optional
            The only number of rows that the file is to accept. By default, it accepts any number.
        opset : int, optional
            The version of ONNX's operators, from 13 on. The default, 20, needs ONNX Runtime 1.17 or newer.

        Raises
        ------
        ImportError
            If the package onnx is not installed; the extra "onnx" installs it.
        TypeError, ValueError
            If an option is wrong, if the model has an activation made by `fastnn.jit.activation`, or if the parameters do
            not fit into 2 GB.
        OSError
            If the file can't be written. An existing file is then unchanged.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((3, 8, 2), "gelu", random_state=0)
        >>> model.to_onnx("model.onnx")
        >>> MLP.from_onnx("model.onnx").activations
        ('gelu', 'identity')
        """
        from fastnn._exports import onnx_writer

        layers = self._layers()
        onnx_writer.write(
            path,
            layers,
            input_name=input_name,
            output_names=[output_name],
            batch_size=batch_size,
            opset=opset,
            description=onnx_writer.describe(layers, self.feature_names, self.layer_sizes[0]),
            stage=self._stage(),
        )

    @classmethod
    @explained
    def from_onnx(cls, path: FilePath, *, output: str | None = None, random_state: Any = None) -> Self:
        """Read a dense network from an ONNX file, written by `to_onnx` or exported by PyTorch, Keras or skl2onnx.

        The graph must be a chain of layers: Gemm, or MatMul and Add, each followed by operators that compute one of the
        activations of `MLP`. The function that they compute is compared with fastnn's activations, so that its form does
        not matter. Layer and root mean square normalization before or after an activation, as one operator or composed of
        others, becomes that of the layer. A product of the inputs with a number per input becomes `input_scale`, and
        ``z + a * (f(z) - z)`` a parametric activation. A leaky ReLU with another slope than 0.01 becomes "prelu", and so
        does a parametric ReLU; training then changes the slopes. The sum of a layer's values and the outputs of an earlier
        layer, or the inputs, becomes a residual connection, with a projection if it comes from a MatMul. Operators without
        effect on predictions, such as Dropout, are left out. Batch normalization directly after a matrix product becomes
        part of its weights and bias, which rounds them.

        Parameters
        ----------
        path : str, bytes or path-like
            A file or a pipe, with the weights in it.
        output : str, optional
            The name of the value that is to be the output of the model. By default, the graph must have a single output.
        random_state : int, numpy.random.Generator or other seed, optional
            The source of the random numbers in training.

        Returns
        -------
        MLP
            A model in float64 if some weights are, otherwise in float32. Weights in these types keep their bits.

        Raises
        ------
        ImportError
            If the package onnx is not installed; the extra "onnx" installs it.
        ValueError
            If the file is damaged, or contains something else than such a network. The message names the node.
        OSError, MemoryError
            If the file can't be read, or does not fit into memory.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((3, 8, 2), "tanh", random_state=0).to_onnx("model.onnx")
        >>> MLP.from_onnx("model.onnx").layer_sizes
        (3, 8, 2)
        """
        from fastnn._exports import onnx_layers, onnx_reader

        rng = _seeds.generator(random_state)
        with onnx_reader.reading(path) as content:
            graph = onnx_reader.parse(content, output)
            model = cls._of_layers(onnx_layers.layers_of(graph), rng)
            model.feature_names = onnx_layers.feature_names_of(graph)
        return model

    @explained
    def to_c(self, path: FilePath, name: str = "predict", dtype: DTypeLike = "float32") -> None:
        """Write the model as a C function that predicts one row: ``void predict(const float *x, float *y)``.

        The file is C99, which C++ compilers accept too. It has no dependency but math.h, allocates nothing, keeps no state,
        and contains the parameters as constants. A comment at its top describes the model, its memory and how to compile it.
        Compiled for a target with fused multiply-add, the function has the bits of `predict`. Without it, it has those of
        `predict` on the instruction set "baseline", which differ by rounding.

        Parameters
        ----------
        path : str, bytes or path-like
            The file to write. An existing file is replaced, as by `save`.
        name : str, default "predict"
            The name of the function, and the prefix of all other names in the file.
        dtype : float32 or float64, default float32
            The type of the inputs, the outputs and all arithmetic: float or double in C. If the model has another type, its
            parameters are rounded to this one, and the bits are those of a model of this type.

        Raises
        ------
        TypeError, ValueError
            If the name is not free in C, an activation is custom, or a parameter is not finite in this type.
        OSError
            If the file can't be written. An existing file is then unchanged.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.MLP((3, 8, 2), "tanh", random_state=0).to_c("policy.c", name="policy")
        >>> with open("policy.c") as file:
        ...     print(file.readlines()[4], end="")
         * Declaration     void policy(const float *x, float *y); in C++ after extern "C"
        """
        from fastnn._exports.c import source as _c_source

        _c_source.write(path, self._layers(), name, float_dtype(dtype), self.feature_names, self._stage())

    def to_torch(self) -> Any:
        """Return a module of PyTorch with the same layers, parameters and dropout rates.

        Embeddings, scales of inputs, parametric activations and residual connections become modules of fastnn, since PyTorch
        has none for them. With residual connections, the whole is a `Residual`, a Sequential in which a module `Keep` stands
        where connections begin, and `Add` where one ends. The last module of a shared ensemble, `MeanOfMembers`, returns the
        mean of the members' outputs. In training mode it returns the outputs of all members, (n, n_members, n_out). Average
        the losses of the members, not their outputs.

        Returns
        -------
        torch.nn.Sequential
            A module in evaluation mode, in which it computes what `predict` computes. Its method ``train()`` turns dropout
            on. It shares no memory with the model.

        Raises
        ------
        ValueError
            If PyTorch has no module for an activation, "sin", "exp" and custom activations, if it is too old for "rms_norm",
            which needs PyTorch 2.4.
        ImportError
            If PyTorch is not installed.

        See Also
        --------
        fastnn.from_torch : The reverse.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 8, 1), "tanh", dropout=0.5).to_torch()
        Sequential(
          (0): Linear(in_features=2, out_features=8, bias=True)
          (1): Tanh()
          (2): Dropout(p=0.5, inplace=False)
          (3): Linear(in_features=8, out_features=1, bias=True)
        )
        """
        from fastnn._exports import pytorch_modules

        return pytorch_modules.module_of(self._layers(), self.dropout, self.input_dropout, self._stage())

    @classmethod
    def _of_layers(
        cls, layers: list[Layer], rng: Any, dropout: float | list[float] = 0.0, input_dropout: float = 0.0
    ) -> Self:
        """Return a network with copies of these parameters, and `rng` for training."""
        model = cls.__new__(cls)
        model._become_layers(layers, rng, dropout, input_dropout)
        return model

    def _become_layers(self, layers: list[Layer], rng: Any, dropout: float | list[float], input_dropout: float) -> None:
        *hidden, output = (layer.activation for layer in layers)
        sizes = (len(layers[0].weights), *(len(layer.bias) for layer in layers))
        normalizations = [layer.normalization for layer in layers]
        of_hidden = normalizations[:-1]
        options = {
            "normalization": [None if each is None else each.name for each in of_hidden],
            "normalization_place": [None if each is None else each.place for each in of_hidden],
            "parametric_activation": [layer.alphas is not None for layer in layers[:-1]],
            "input_scale": layers[0].scales is not None,
            "input_dropout": input_dropout,
        }
        ends = [(end, layer.residual) for end, layer in enumerate(layers, 1) if layer.residual is not None]
        if ends:
            options["residual"] = [(residual.begin, end) for end, residual in ends]
            of_hidden_ends = [residual.place for end, residual in ends if end < len(layers)]
            options["residual_place"] = of_hidden_ends[0] if of_hidden_ends else "after"
        self._begin(sizes, hidden, output, dropout=dropout, dtype=layers[0].weights.dtype, **options)
        self._rng = rng
        self.weights, self.biases = [layer.weights for layer in layers], [layer.bias for layer in layers]
        self.slopes, self.scales = [layer.slopes for layer in layers], [layer.scales for layer in layers]
        self.alphas = [layer.alphas for layer in layers]
        self.projections = [None if layer.residual is None else layer.residual.projection for layer in layers]
        self.gains = [None if each is None else each.gains for each in normalizations]
        self.shifts = [None if each is None else each.shifts for each in normalizations]
