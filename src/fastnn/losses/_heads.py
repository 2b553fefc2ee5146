"""Several losses of one network, each for some of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import integer, real
from fastnn.losses._base import Loss
from fastnn.losses._registry import resolve_one


class Head(NamedTuple):
    """A head of a model with a known number of outputs."""

    columns: slice  # the columns of the outputs
    targets: slice  # the columns of the targets
    labels: bool  # whether the targets are one column of labels
    weight: float
    loss: Loss


@option_class
class Heads(Loss):
    """A weighted sum of losses of different columns of the outputs, such as regression and classification.

    The loss of each head is the same mean as in a network of its own. Losses with links are computed from logits, so the
    output activation of the model is "identity". `fastnn.ops` turns the outputs of a head into predictions: ``ops.softmax``
    for "cross_entropy", ``ops.sigmoid`` for "binary_cross_entropy", ``ops.exp`` for "poisson".

    The targets are one array, with the columns of the heads side by side in the order of the heads. A head with
    "cross_entropy" has one column of integer labels. The other heads have the columns that their losses take, in most cases
    one per output.

    Parameters
    ----------
    heads : sequence of tuples (columns, loss) or (columns, loss, weight)
        The heads. The columns are the number of a column, a slice, or a pair (first, end). Each column of the outputs
        belongs to exactly one head. The loss is a name or an object, as for `Trainer`. Its options apply to the targets of
        its head: with ``missing="ignore"``, a missing target of this head does not keep the row from the other heads. The
        weight is a number >= 0, by default 1.0.
    missing : {"raise", "ignore"}, default "raise"
        The treatment of missing targets. With "ignore", a row with a NaN among the targets of any head counts as not
        observed, for all heads. No head's loss can then have ``missing="ignore"`` of its own.

    Raises
    ------
    TypeError, ValueError
        If `heads` does not have this form.

    Examples
    --------
    >>> loss = Heads([(slice(0, 2), "mse", 1.0), (slice(2, 5), "cross_entropy", 0.5)])
    >>> loss.n_targets(5)
    3
    """

    name: ClassVar[str] = "heads"
    links: ClassVar[tuple[str, ...]] = ("identity",)
    per_row: ClassVar[bool] = True
    one_output_per_target: ClassVar[bool] = False
    heads: Sequence[tuple[Any, ...]]

    def __post_init__(self) -> None:
        """Check the parameter and the options."""
        super().__post_init__()
        if isinstance(self.heads, str) or not isinstance(self.heads, Sequence) or len(self.heads) == 0:
            raise TypeError(f"heads: expected a list of tuples (columns, loss, weight), got {self.heads!r}")
        object.__setattr__(self, "heads", tuple(_checked(i, head) for i, head in enumerate(self.heads)))
        if not any(weight for _, _, weight in self.heads):
            raise ValueError(f"heads: expected at least one weight above 0, got {self.heads!r}")
        for i, (_, loss, _) in enumerate(self.heads):
            if self.missing == loss.missing == "ignore":
                raise ValueError(
                    f"missing: expected 'raise', since the loss of heads[{i}] ignores its own missing targets, got 'ignore'"
                )

    @property
    def observes_heads(self) -> bool:
        """Return whether the target of one head can be missing in a row that counts for another head."""
        return any(loss.missing == "ignore" for _, loss, _ in self.heads)

    def n_targets(self, n_out: int) -> int:
        """Return the number of columns of the targets of all heads."""
        return int(self.parts(n_out)[-1].targets.stop)

    def parts(self, n_out: int) -> tuple[Head, ...]:
        """Return the heads of a model with `n_out` outputs, or raise ValueError unless each output belongs to one head."""
        owners, parts, first_target = [-1] * n_out, [], 0
        for i, ((first, end), loss, weight) in enumerate(self.heads):
            stop = n_out if end is None else end
            if not first < stop <= n_out:
                raise ValueError(f"loss: heads[{i}] has the columns {first} to {stop - 1} of a model with {n_out} outputs")
            for column in range(first, stop):
                if owners[column] >= 0:
                    raise ValueError(
                        f"loss: heads[{owners[column]}] and heads[{i}] both have column {column} of the outputs"
                    )
                owners[column] = i
            if loss.takes_labels and stop - first == 1:
                way = "'binary_cross_entropy' takes one column for two classes"
                raise ValueError(f"loss: heads[{i}] has one column, expected one for each class with {loss.name!r}; {way}")
            count = 1 if loss.takes_labels else loss.n_targets(stop - first)
            targets = slice(first_target, first_target + count)
            parts.append(Head(slice(first, stop), targets, loss.takes_labels, weight, loss))
            first_target += count
        if -1 in owners:
            raise ValueError(
                f"loss: expected heads that have all {n_out} outputs of the model, got none with column {owners.index(-1)}"
            )
        return tuple(parts)


def _checked(i: int, head: Any) -> tuple[tuple[int, int | None], Loss, float]:
    if not isinstance(head, tuple | list) or len(head) not in (2, 3):
        raise TypeError(f"heads[{i}]: expected (columns, loss) or (columns, loss, weight), got {head!r}")
    columns, loss, weight = (*head, 1.0)[:3]
    return _first_and_end(f"heads[{i}]", columns), resolve_one(loss), real(f"heads[{i}] weight", weight, low=0.0)


def _first_and_end(argument: str, columns: Any) -> tuple[int, int | None]:
    if isinstance(columns, slice):
        if columns.step not in (None, 1):
            raise ValueError(f"{argument}: expected consecutive columns, got {columns!r}")
        columns = (0 if columns.start is None else columns.start, columns.stop)
    elif isinstance(columns, int | np.integer) and not isinstance(columns, bool):
        columns = (columns, columns + 1)
    if not isinstance(columns, tuple | list) or len(columns) != 2:
        raise TypeError(f"{argument}: expected a column, a slice or a pair (first, end), got {columns!r}")
    first, end = columns
    first = integer(f"{argument} first column", first, low=0)
    return first, None if end is None else integer(f"{argument} end of the columns", end, low=first + 1)
