"""Models in the formats of other libraries and languages."""

from __future__ import annotations

from numpy.typing import DTypeLike

from fastnn._checks.layers import float_dtype
from fastnn._checks.options import explained
from fastnn._exports.layers import Layer
from fastnn._storage.write_file import FilePath
from fastnn._stored import Stored


class Exported(Stored):
    """Exporting and importing; a base of `MLP`."""

    def _layers(self) -> list[Layer]:
        """Return the layers with live views of the parameters."""
        parts = zip(self.weights, self.biases, self.activations, self.slopes, strict=True)
        return [Layer(*part) for part in parts]

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

        _c_source.write(path, self._layers(), name, float_dtype(dtype), self.feature_names)
