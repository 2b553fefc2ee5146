"""Schedules: their formulas, their arguments, and the learning rates that trainers use."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from fastnn import schedules
from fastnn.optimizers import SGD
from fastnn.schedules import (
    Cosine,
    CosineRestarts,
    CosLog4,
    Exponential,
    FlatCosine,
    InverseScaling,
    InverseTime,
    OneCycle,
    Step,
    Warmup,
    rates,
)


def restarted(t, length, growth):
    """Return the share of its cycle that step t has done, by going through the cycles."""
    while t >= length:
        t, length = t - length, length * growth
    return t / length


def cosine(start, end, share):
    return start * math.cos(math.pi * share / 2) ** 2 + end * math.sin(math.pi * share / 2) ** 2


CASES = [
    (InverseTime(0.5, 0.1), lambda t: 0.5 / (1 + 0.1 * t)),
    (InverseScaling(0.5), lambda t: 0.5 / math.sqrt(t + 1)),
    (InverseScaling(0.5, 2.0), lambda t: 0.5 / (t + 1) ** 2),
    (Step(0.5, every=3, factor=0.1), lambda t: 0.5 * 0.1 ** (t // 3)),
    (Exponential(0.5, 0.9), lambda t: 0.5 * 0.9**t),
    (Cosine(0.5, steps=8), lambda t: 0.5 * (1 + math.cos(math.pi * min(t, 8) / 8)) / 2),
    (Cosine(0.5, steps=8, minimum=0.1), lambda t: 0.1 + 0.4 * (1 + math.cos(math.pi * min(t, 8) / 8)) / 2),
    (FlatCosine(0.5, steps=16), lambda t: cosine(0.5, 0.0, min(max(t - 8, 0) / 8, 1))),
    (FlatCosine(0.5, 16, flat=0.0, minimum=0.1), Cosine(0.5, 16, 0.1)),
    (FlatCosine(0.5, 16, flat=1.0, minimum=0.1), lambda t: 0.5 if t <= 16 else 0.1),
    (CosineRestarts(0.5, steps=6), lambda t: cosine(0.5, 0.0, t % 6 / 6)),
    (CosineRestarts(0.5, 2, growth=3, minimum=0.1), lambda t: cosine(0.5, 0.1, restarted(t, 2, 3))),
    (CosineRestarts(0.5, 1, growth=2), lambda t: cosine(0.5, 0.0, restarted(t, 1, 2))),
    (CosLog4(0.5, steps=15), lambda t: 0.5 * math.sin(math.pi * math.log2(1 + min(t, 15))) ** 2),
    (OneCycle(0.5, steps=10), lambda t: cosine(0.02, 0.5, t / 2) if t <= 2 else cosine(0.5, 2e-6, min((t - 2) / 7, 1))),
    (OneCycle(0.5, 10, rise=0.0, final_factor=0.2), lambda t: cosine(0.5, 0.1, min((t + 1) / 10, 1))),
    (OneCycle(0.5, 10, rise=1.0, start_factor=0.5, final_factor=1.0), lambda t: cosine(0.25, 0.5, min(t / 9, 1))),
    (OneCycle(0.5, 10, rise=0.1, final_factor=0.0), lambda t: cosine(0.5, 0.0, min(t / 9, 1)) if t else 0.02),
    (Warmup(0.5, steps=4), lambda t: 0.5 * min(1, (t + 1) / 4)),
    (Warmup(Exponential(0.5, 0.9), steps=4), lambda t: 0.5 * 0.9**t * min(1, (t + 1) / 4)),
]
IDS = [repr(schedule) for schedule, _ in CASES]


def test_every_schedule_is_tested():
    assert {type(schedule).__name__ for schedule, _ in CASES} == set(schedules.__all__)


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=IDS)
def test_rates_are_those_of_the_formula(schedule, formula):
    steps = np.arange(20)
    got = schedule(steps)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [formula(t) for t in range(20)], rtol=1e-14, atol=1e-16)
    np.testing.assert_array_equal(steps, np.arange(20))


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in CASES], ids=IDS)
def test_any_shape_gives_the_same_bits(schedule):
    all_at_once = schedule(np.arange(12))
    np.testing.assert_array_equal(schedule(np.arange(12).reshape(3, 4)), all_at_once.reshape(3, 4))
    np.testing.assert_array_equal([float(schedule(t)) for t in range(12)], all_at_once)
    np.testing.assert_array_equal([rates(schedule, t, 1)[0] for t in range(12)], all_at_once)
    assert schedule(np.arange(0)).shape == (0,)
    # The steps start in the middle, as after a checkpoint.
    np.testing.assert_array_equal(rates(schedule, 5, 7), all_at_once[5:])


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in CASES], ids=IDS)
def test_schedules_compare_and_hash_by_value(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(pickle.loads(pickle.dumps(schedule))) == hash(schedule)
    with pytest.raises(AttributeError):
        schedule.learning_rate = 1.0
    assert SGD(schedule).learning_rate is schedule


def test_inverse_time_satisfies_the_robbins_monro_conditions():
    rate = InverseTime(1.0, 1.0)(np.arange(100_000))
    assert rate.sum() > 12.0
    assert (rate**2).sum() < math.pi**2 / 6


def test_restarts_are_exact_at_late_steps():
    """The start of each cycle has the full rate; a logarithm would miss some of them by rounding."""
    for growth in (2, 3, 7, 10):
        starts = [5 * (growth**n - 1) // (growth - 1) for n in range(12)]
        np.testing.assert_array_equal(CosineRestarts(0.1, 5, growth)(np.array(starts)), 0.1)
        assert (CosineRestarts(0.1, 5, growth)(np.array(starts[1:]) - 1) < 0.1).all()
    assert CosineRestarts(0.1, 5, 2**40)(2**62) == pytest.approx(0.1 / 2 * (1 + math.cos(math.pi * 2**62 / (5 * 2**80))))


def test_rates_are_those_of_pytorch(torch):
    def curve(make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        scheduler, rates = make(optimizer), []
        for _ in range(40):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < 40:
                scheduler.step()
        return rates

    lr = torch.optim.lr_scheduler
    pairs = [
        (OneCycle(0.5, 40), lambda o: lr.OneCycleLR(o, 0.5, total_steps=40)),
        (
            OneCycle(0.5, 40, rise=0.61, start_factor=0.1, final_factor=0.001),
            lambda o: lr.OneCycleLR(o, 0.5, total_steps=40, pct_start=0.61, div_factor=10, final_div_factor=100),
        ),
        (CosineRestarts(0.5, 7), lambda o: lr.CosineAnnealingWarmRestarts(o, 7)),
        (CosineRestarts(0.5, 3, 2, 0.1), lambda o: lr.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.1)),
    ]
    for schedule, make in pairs:
        np.testing.assert_allclose(schedule(np.arange(40)), curve(make), rtol=1e-12)


def test_very_late_steps_underflow_without_warnings():
    late = np.array([0, 10**15])
    for schedule in (Exponential(0.1, 0.5), Step(0.1, 1, 0.5), InverseScaling(0.1, 1e3), Cosine(0.1, 10), CosLog4(0.1, 10)):
        assert schedule(late)[1] == 0.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: InverseTime(-0.1, 1.0), ValueError, r"learning_rate: expected a finite number >= 0.*got -0\.1"),
        (lambda: InverseTime(0.1, math.nan), ValueError, "decay: .*got nan"),
        (lambda: InverseTime("0.1", 1.0), TypeError, "learning_rate: .*got '0.1' of type str"),
        (lambda: InverseScaling(0.1, -1.0), ValueError, "power: .*got -1.0"),
        (lambda: Step(0.1, 0, 0.5), ValueError, "every: expected an integer >= 1.*got 0"),
        (lambda: Step(0.1, 2.0, 0.5), TypeError, "every: expected an integer >= 1.*got 2.0 of type float"),
        (lambda: Step(0.1, 2, -0.5), ValueError, "factor: .*got -0.5"),
        (lambda: Exponential(0.1, -0.5), ValueError, "decay: .*got -0.5"),
        (lambda: Exponential(True, 0.5), TypeError, "learning_rate: .*got True of type bool"),
        (lambda: Cosine(0.1, True), TypeError, "steps: .*got True of type bool"),
        (lambda: Cosine(0.1, 10, minimum=0.2), ValueError, r"minimum: expected .* and <= 0\.1.*got 0\.2"),
        (lambda: CosineRestarts(0.1, 5, growth=1.5), TypeError, "growth: expected an integer >= 1.*got 1.5 of type float"),
        (lambda: CosineRestarts(0.1, 5, minimum=0.2), ValueError, r"minimum: expected .* and <= 0\.1.*got 0\.2"),
        (lambda: FlatCosine(0.1, 5, flat=1.5), ValueError, r"flat: expected .* and <= 1.*got 1\.5"),
        (lambda: CosLog4(0.1, 0), ValueError, "steps: .*got 0"),
        (lambda: OneCycle(0.1, 5, rise=-0.5), ValueError, "rise: .*got -0.5"),
        (lambda: OneCycle(0.1, 5, start_factor=25), ValueError, "start_factor: .* <= 1.*got 25"),
        (lambda: OneCycle(0.1, 5, final_factor=math.nan), ValueError, "final_factor: .*got nan"),
        (lambda: Warmup(-1.0, 10), ValueError, "schedule: .*got -1.0"),
        (lambda: Warmup("fast", 10), TypeError, r"schedule: expected .* or a schedule .*, got 'fast' of type str"),
        (
            lambda: Warmup(Exponential, 10),
            TypeError,
            r"schedule: expected an object, Exponential\(...\), got the class Exponential",
        ),
        (lambda: Warmup(0.1, 0), ValueError, "steps: .*got 0"),
    ],
)
def test_wrong_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_number_gives_constant_rates():
    got = rates(0.25, 7, 3)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [0.25] * 3)
    assert rates(0.25, 7, 0).shape == (0,)


def test_a_callable_gives_the_rates_it_returns():
    seen = []

    def schedule(steps):
        seen.append(steps.copy())
        steps += 1  # in place, which a careless user may do
        return steps

    got = rates(schedule, 3, 4)
    np.testing.assert_array_equal(got, [4.0, 5.0, 6.0, 7.0])
    assert got.dtype == np.float64
    assert seen[0].dtype == np.int64
    np.testing.assert_array_equal(seen[0], [3, 4, 5, 6])


def test_a_schedule_that_writes_to_its_argument_is_reported_with_the_right_step():
    def negative(steps):
        steps *= -1
        return steps

    with pytest.raises(ValueError, match="got -7.0 at step 7"):
        rates(negative, 7, 3)


def test_rates_are_copied():
    kept = np.full(3, 0.1)
    got = rates(lambda steps: kept, 0, 3)
    kept[:] = 7.0
    np.testing.assert_array_equal(got, [0.1] * 3)


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (lambda steps: 0.1, ValueError, r"learning_rate: expected shape \(4,\) from the schedule.*got \(\)"),
        (lambda steps: np.ones((4, 1)), ValueError, r"expected shape \(4,\) from the schedule.*got \(4, 1\)"),
        (lambda steps: np.where(steps == 12, np.nan, 0.1), ValueError, "expected finite rates .*got nan at step 12"),
        (lambda steps: np.where(steps == 13, -1.0, 0.1), ValueError, "from the schedule, got -1.0 at step 13"),
        (lambda steps: np.where(steps == 11, np.inf, 0.1), ValueError, "from the schedule, got inf at step 11"),
        (lambda steps: ["a"] * 4, TypeError, "expected real numbers .*got dtype <U1"),
        (lambda steps: steps * 1j, TypeError, "from the schedule, got dtype complex128"),
        (lambda steps: steps > 0, TypeError, "from the schedule, got dtype bool"),
        (lambda steps: None, TypeError, "from the schedule, got dtype object"),
        (Exponential(1e300, 1e300), ValueError, "from the schedule, got inf at step 10"),
    ],
)
def test_wrong_rates_of_a_schedule_raise(schedule, error, message):
    with pytest.raises(error, match=message):
        rates(schedule, 10, 4)
    with pytest.raises(error, match=message):
        Warmup(schedule, 3)(np.arange(10, 14))


def test_errors_in_a_schedule_are_raised():
    def broken(steps):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        rates(broken, 0, 3)
