"""Models as C functions: `MLP.to_c` compiled by every compiler found, with the bits of `predict`.

All models are in one translation unit, which also shows that exports with different names don't get in each other's way.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import platform
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from _embedded import NETWORKS, categories_of, data_for, model_with
from _helpers import run_script

from fastnn import MLP, SharedEnsemble
from fastnn._engine import core as _core
from fastnn._exports.c.functions import ACTIVATIONS
from fastnn._exports.c.literals import literal
from fastnn._exports.c.source import source
from fastnn.embeddings import PBLD, Categorical, OneHot, PiecewiseLinear

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] or [name for name in ("cc",) if shutil.which(name)]
pytestmark = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wshadow",
    "-Wundef",
    "-Wmissing-prototypes",
]
WARNINGS += ["-Werror"]
X86 = platform.machine() in ("x86_64", "AMD64")
FUSED_HERE = _core.current_instruction_set()[0] != "baseline"
# Options with and without fused multiply-add. GNU C contracts products and sums unless it is told not to.
FMA = ["-mfma"] if X86 else []
FUSED = [["-O0", "-std=c99", *FMA], ["-O3", "-std=gnu11", "-march=native"]]
DTYPES = ("float32", "float64")


def edges(dtype):
    """Return numbers of all magnitudes: NaN, infinities, zeros, subnormal numbers, and those next to bounds."""
    kind = np.dtype(dtype)
    info = np.finfo(kind)
    powers = kind.type(2) ** np.arange(info.minexp - info.nmant, info.maxexp).astype(kind)
    bounds = np.array(
        [0, 0.25, 0.45, 0.625, 1.3, 9.5, 14.75, 20, 38, 88.8, 104, 110, 709.8, 746, 3200, 1e9, np.inf, np.nan], kind
    )
    x = np.concatenate([powers, 1.5 * powers, bounds])
    x = np.concatenate([x, np.nextafter(x, kind.type(0)), np.nextafter(x, kind.type(np.inf))])
    rng = np.random.default_rng(0)
    x = np.concatenate([x, *(rng.uniform(0, high, 8000).astype(kind) for high in (1, 20, 120, 800)), np.exp(-9 * x[:100])])
    return np.concatenate([x, -x]).astype(kind)


def networks():
    """Return pairs of a model and its inputs, by name."""
    result = {}
    for dtype, name in itertools.product(DTYPES, sorted(ACTIVATIONS)):
        single = MLP((1, 1), output_activation=name, dtype=dtype, init="zeros")
        single.weights[0][...] = 1
        result[f"{name}_{dtype}"] = single, edges(dtype)[:, None]
    shapes = [(3, 7, 5, 2), (64, 64, 10), (100, 100, 1), (5, 255, 17, 4), (2, 3, 70)]
    hidden = ["identity", "relu", "tanh", "prelu", "gelu"]
    prefixed = [("net", shape) for shape in shapes] + list(
        itertools.product(("norm", "after_norm", "scaled", "parametric"), shapes[:3])
    )
    for dtype, (prefix, sizes) in itertools.product(DTYPES, prefixed):
        activations = [hidden[i % len(hidden)] for i in range(len(sizes), 2 * len(sizes) - 2)]
        output = "softmax" if sizes[-1] > 1 else "prelu"
        options = {}
        if "norm" in prefix:
            n_hidden = len(sizes) - 2
            options["normalization"] = ["layer_norm", "rms_norm"][:n_hidden]
            options["normalization_place"] = ["before" if prefix == "norm" else "after"] * n_hidden
        options["input_scale"] = prefix in ("scaled", "parametric")
        if prefix == "parametric":
            activations = ["sin", "relu", "mish"][: len(sizes) - 2]
            options |= {"parametric_activation": True, "normalization": "rms_norm"}
        model = MLP(sizes, activations, output, dtype=dtype, random_state=len(result), **options)
        rng = np.random.default_rng(len(result))
        for parameter in model.parameters:
            if parameter.ndim == 1:
                parameter[...] = rng.normal(size=parameter.shape)
        X = rng.normal(size=(60, sizes[0])) * 10.0 ** rng.integers(-2, 3, size=(60, 1))
        X[:20][rng.random((20, sizes[0])) < 0.1] = 0
        X[50:][rng.random((10, sizes[0])) < 0.1] = np.inf
        X[55:][rng.random((5, sizes[0])) < 0.1] = np.nan
        result[f"{prefix}{'_'.join(map(str, sizes))}_{dtype}"] = model, X.astype(dtype)
    return result | embedded_networks() | shared_networks()


def shared_networks():
    """Return shared ensembles and their inputs."""
    result = {}
    options = [
        ((3, 7, 5, 2), {"output_activation": "softmax"}),
        ((4, 1), {}),
        ((4, 33, 6), {"output_activation": "sigmoid", "normalization": "layer_norm", "normalization_place": "after"}),
        ((3, 20, 9, 130), {"embeddings": PBLD(columns=(0, 2)), "parametric_activation": True}),
    ]
    for dtype, kind, (i, (sizes, own)) in itertools.product(DTYPES, ("mini", "full"), enumerate(options)):
        shared = SharedEnsemble(n_members=i + 2, kind=kind)
        model = MLP(sizes, "tanh", shared=shared, dtype=dtype, random_state=i, **own)
        rng = np.random.default_rng(i)
        for parameter in model.parameters:
            parameter += 0.3 * rng.normal(size=parameter.shape)
        X = rng.normal(size=(40, sizes[0])) * 10.0 ** rng.integers(-2, 3, size=(40, 1))
        X[:10][rng.random((10, sizes[0])) < 0.1] = 0
        result[f"{kind}{i}_{dtype}"] = model, X.astype(dtype)
    return result


def embedded_networks():
    """Return models with embeddings, and inputs that are large, special or no categories."""
    result = {}
    each = [("float32", i) for i in (0, 1, 2, 3, 7, 8, 10, 12)] + [("float64", i) for i in (3, 12)]
    for dtype, i in each:
        sizes, embeddings = NETWORKS[i]
        scaled = {"input_scale": True} if i % 2 else {}
        model = model_with(sizes, embeddings, np.dtype(dtype), residual=[(0, 1)] if i == 3 else False, **scaled)
        X = data_for(model, 90)[0]
        X[40:] *= np.where(np.isin(np.arange(sizes[0]), list(categories_of(model))), 1, 10.0 ** (np.arange(50)[:, None] / 2))
        result[f"embedded{i}_{dtype}"] = model, X.astype(dtype)
    return result


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the folder of the exported files and of all.c, which includes them, and the networks."""
    folder = tmp_path_factory.mktemp("exported")
    made, lines = networks(), []
    for name, (model, X) in made.items():
        model.to_c(folder / f"{name}.c", name, model.dtype)
        model.save(folder / f"{name}.safetensors")
        np.save(folder / f"{name}.npy", X)
        c_type = "float" if model.dtype == np.float32 else "double"
        lines.append(
            f'#include "{name}.c"\n'
            f"void rows_{name}(const {c_type} *x, {c_type} *y, int n);\n"
            f"void rows_{name}(const {c_type} *x, {c_type} *y, int n)\n"
            f"{{\n    for (; n > 0; n--, x += {name}_n_inputs, y += {name}_n_outputs) {name}(x, y);\n}}\n"
        )
    (folder / "all.c").write_text("\n".join(lines))
    return folder, made


def compiled(compiler, options, source, to):
    """Return a shared library of a file, compiled without a warning."""
    command = [compiler, *WARNINGS, *options, "-shared", "-fPIC", "-o", to, source, "-lm"]
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    return ctypes.CDLL(str(to))


def results(library, name, model, X):
    y = np.empty((len(X), model.layer_sizes[-1]), model.dtype)
    getattr(library, f"rows_{name}")(X.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), len(X))
    return y


def assert_same_bits(y, expected, name):
    kind = np.dtype(f"u{y.dtype.itemsize}")
    same = (y.view(kind) == expected.view(kind)) | (np.isnan(y) & np.isnan(expected))
    assert same.all(), f"{name}: {np.argwhere(~same)[:5]} {y[~same][:5]} {expected[~same][:5]}"


# Runs on the instruction set "baseline": stores the predictions.
BASELINE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from fastnn import MLP

for path in Path(sys.argv[1]).glob("*.safetensors"):
    np.save(path.with_suffix(".baseline.npy"), MLP.load(path).predict(np.load(path.with_suffix(".npy"))))
"""


@pytest.mark.skipif(not FUSED_HERE, reason="the machine has no fused multiply-add")
@pytest.mark.parametrize("options", FUSED, ids=" ".join)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_bits_are_those_of_predict(exported, compiler, options):
    folder, made = exported
    library = compiled(compiler, options, folder / "all.c", folder / f"fused{compiler}{options[0]}.so")
    for name, (model, X) in made.items():
        assert_same_bits(results(library, name, model, X), model.predict(X), name)


@pytest.mark.skipif("baseline" not in _core.usable_instruction_sets(), reason="every instruction set has fused multiply-add")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_bits_without_fused_multiply_add_are_those_of_the_baseline(exported, compiler):
    folder, made = exported
    run_script(BASELINE, str(folder), FASTNN_ISA="baseline")
    library = compiled(compiler, ["-O2", "-std=gnu17"], folder / "all.c", folder / f"plain{compiler}.so")
    for name, (model, X) in made.items():
        assert_same_bits(results(library, name, model, X), np.load(folder / f"{name}.baseline.npy"), name)


@pytest.mark.skipif(not FUSED_HERE, reason="the machine has no fused multiply-add")
def test_fused_multiply_add_of_the_c_library(exported, tmp_path):
    """Targets without the instruction can have the bits all the same."""
    folder, made = exported
    lines = []
    for name in ("gelu_float32", "net3_7_5_2_float64"):
        lines.append(f"#define {name}_FUSED 1")
        lines.append(re.search(rf'#include "{name}.c".*?\n}}\n', (folder / "all.c").read_text(), re.DOTALL)[0])
    (folder / "some.c").write_text("\n".join(lines))
    library = compiled(COMPILERS[0], ["-O2"], folder / "some.c", tmp_path / "some.so")
    for name in ("gelu_float32", "net3_7_5_2_float64"):
        model, X = made[name]
        assert_same_bits(results(library, name, model, X), model.predict(X), name)


# Reads rows from the standard input, and writes their predictions.
FILTER = """
#include <stdio.h>
#include "{name}.c"
int main(void)
{{
    {c_type} x[{name}_n_inputs], y[{name}_n_outputs];
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        {name}(x, y);
        fwrite(y, sizeof y, 1, stdout);
    }}
    return 0;
}}
"""


@pytest.mark.skipif(not FUSED_HERE, reason="the machine has no fused multiply-add")
@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")), reason="there is no emulator of AArch64"
)
@pytest.mark.parametrize(
    "name", ["gelu_float32", "sin_float32", "net5_255_17_4_float32", "net2_3_70_float64", "embedded12_float32"]
)
def test_another_architecture_has_the_same_bits(exported, tmp_path, name):
    folder, made = exported
    model, X = made[name]
    (tmp_path / "main.c").write_text(FILTER.format(name=name, c_type="float" if model.dtype == np.float32 else "double"))
    command = ["aarch64-linux-gnu-gcc", "-O2", "-static", f"-I{folder}", "main.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    process = subprocess.run(["qemu-aarch64", tmp_path / "main"], input=X.tobytes(), capture_output=True, check=True)
    y = np.frombuffer(process.stdout, model.dtype).reshape(len(X), -1)
    assert_same_bits(y, model.predict(X), name)


@pytest.mark.parametrize("options", ["-std=c99", "-std=c11", "-std=c17", "-xc++ -std=c++11", "-xc++ -std=c++20"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_standards(exported, compiler, options):
    warnings = [option for option in WARNINGS if "++" not in options or option != "-Wmissing-prototypes"]
    command = [compiler, *warnings, *options.split(), *FMA, "-fsyntax-only", str(exported[0] / "all.c")]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("options", [["-O2"], ["-Os", *FMA]], ids=" ".join)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_freestanding(tmp_path, compiler, options):
    """Networks without functions of angles or exponents include no header, and compilers may only copy and clear memory."""
    codes = [OneHot(0, n_categories=3), Categorical(4, n_categories=9), PiecewiseLinear([2], bins=[0.0, 1.0, 3.0])]
    model = MLP((5, 20, 9, 9, 3), ["relu", "prelu", "leaky_relu"], embeddings=codes, random_state=0)
    source = tmp_path / "predict.c"
    model.to_c(source)
    hosted = re.sub(r"#if predict_FUSED && !defined\(__GNUC__\)\n#include <math.h>\n#endif\n", "", source.read_text())
    assert "#include" not in hosted
    command = [compiler, *WARNINGS, "-std=c99", "-ffreestanding", *options, "-c", source, "-o", tmp_path / "predict.o"]
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    symbols = subprocess.run(["nm", str(tmp_path / "predict.o")], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r" U (\w+)", symbols)) <= {"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}
    assert re.findall(r" T (\w+)", symbols) == ["predict"]  # nothing else can clash
    assert not re.search(r" [bBdDC] ", symbols)  # no variables that are written to


MAIN = """
#include <stdio.h>
#include "predict.c"
int main(void)
{
    static const float x[3] = {0.25f, -1.5f, 3.0f};
    float y[6];
    predict(x, y);
    for (int i = 0; i < 6; i++) printf("%.9g\\n", (double)y[i]);
    return 0;
}
"""


def test_sanitizers_find_nothing(tmp_path):
    model = MLP((3, 40, 21, 6), ["sin", "mish"], "softmax", random_state=0)
    model.to_c(tmp_path / "predict.c")
    (tmp_path / "main.c").write_text(MAIN)
    options = ["-std=c99", "-g", "-O1", *FMA, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [COMPILERS[0], *options, "main.c", "-o", "main", "-lm"]
    build = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if "cannot find" in build.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert build.returncode == 0, build.stderr
    process = subprocess.run([tmp_path / "main"], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    y = np.array([float(line) for line in process.stdout.split()], np.float32)
    np.testing.assert_allclose(y, model.predict([0.25, -1.5, 3.0]), rtol=1e-5)


def test_the_program_of_the_documentation(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "exporting.md").read_text(encoding="utf-8")
    (tmp_path / "main.c").write_text(re.search(r"```c\n(.*?)```", page, re.DOTALL)[1])
    policy = MLP((3, 16, 2), "tanh", random_state=0)
    policy.to_c(tmp_path / "policy.c", name="policy")
    command = re.search(r"^cc (.* main\.c policy\.c -o main)$", page, re.MULTILINE)[1]
    subprocess.run([COMPILERS[0], *command.split(), "-Wall", "-Werror"], cwd=tmp_path, check=True)
    process = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    y = np.array([float(word) for word in process.stdout.split()], np.float32)
    if FUSED_HERE:
        np.testing.assert_array_equal(y, policy.predict([0.5, -1.0, 2.0]))
    else:
        np.testing.assert_allclose(y, policy.predict([0.5, -1.0, 2.0]), rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_fast_math_is_refused_where_it_breaks_results(tmp_path, activation):
    MLP((2, 3, 1), activation).to_c(tmp_path / "predict.c")
    command = [COMPILERS[0], "-ffast-math", "-fsyntax-only", str(tmp_path / "predict.c")]
    process = subprocess.run(command, capture_output=True, text=True)
    assert ("compile this file without -ffast-math" in process.stderr) == (process.returncode != 0) == (activation == "tanh")


# ---- The text ----


def test_the_comment_describes_the_model(tmp_path):
    model = MLP((2, 5, 3), "tanh", "softmax", random_state=0)
    model.feature_names = ["length */ int x;", "/* größe\n"]
    path = tmp_path / "policy.c"
    model.to_c(path, "policy", np.float64)
    text = path.read_text(encoding="utf-8")
    comment, rest = text.split(" */\n", 1)
    assert "/*" not in comment[2:]
    assert rest.lstrip().startswith("#")
    expected = ["void policy(const double *x, double *y)", "größe", "2 -> 5 -> 3", "tanh, softmax", "264 bytes", "25 a call"]
    assert [each for each in expected if each not in comment] == []
    assert "void policy(const double *x, double *y)\n{" in rest
    assert "policy_n_inputs = 2, policy_n_outputs = 3" in rest
    first = path.read_bytes()
    model.to_c(path, "policy", np.float64)
    assert path.read_bytes() == first
    (tmp_path / "m.c").write_text('#include "policy.c"\n')
    compiled(COMPILERS[0], [], tmp_path / "m.c", tmp_path / "m.so")


@pytest.mark.skipif("gcc" not in COMPILERS, reason="only GCC reports the stack")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_stack_is_as_large_as_stated(tmp_path, dtype):
    model = MLP((3, 50, 30, 70, 20), ["relu", "tanh", "gelu"], "softmax", random_state=0)
    model.to_c(tmp_path / "predict.c", dtype=dtype)
    text = (tmp_path / "predict.c").read_text()
    stated = [int(size) for size in re.search(r"Stack +(\d+) bytes, or up to (\d+)", text).groups()]
    assert (70 + 30) * np.dtype(dtype).itemsize < stated[0]
    for options, most in (
        (["-O2", *FMA, *(["-mavx2"] if X86 else [])], stated[1]),
        (["-O2", "-fno-tree-vectorize"], stated[1]),
    ):
        command = ["gcc", *options, "-fstack-usage", "-c", "predict.c", "-o", "predict.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        used = sum(int(line.split("\t")[1]) for line in (tmp_path / "predict.su").read_text().splitlines())
        assert used <= most + 512  # saved registers and alignment


@pytest.mark.parametrize("dtype", DTYPES)
def test_literals_keep_all_bits(dtype):
    x = edges(dtype)
    x = x[np.isfinite(x)]
    read = np.array([float(literal(value, x.dtype).rstrip("f")) for value in x.tolist()])
    assert_same_bits(read.astype(dtype), x, "literals")
    assert all(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f?", literal(value, x.dtype)) for value in x.tolist())


def test_a_model_of_another_type_is_rounded(exported, tmp_path):
    wide = MLP((3, 4, 2), "tanh", dtype=np.float64, random_state=0)
    narrow = MLP((3, 4, 2), "tanh", dtype=np.float32)
    narrow.set_vector(wide.to_vector())
    wide.to_c(tmp_path / "wide.c")
    narrow.to_c(tmp_path / "narrow.c")
    assert (tmp_path / "wide.c").read_text() == (tmp_path / "narrow.c").read_text()


# ---- Errors ----


@pytest.mark.parametrize(
    "name", ["", "2x", "a-b", "a b", "π", "int", "class", "_x", "a__b", "printf", "expf", "main", "sin", "x\n"]
)
def test_names_that_c_refuses(tmp_path, name):
    with pytest.raises(ValueError, match="name: expected an identifier of C"):
        MLP((2, 1)).to_c(tmp_path / "x.c", name)
    assert not list(tmp_path.iterdir())


def test_wrong_types(tmp_path):
    model = MLP((2, 1))
    with pytest.raises(TypeError, match="name: expected an identifier"):
        model.to_c(tmp_path / "x.c", 3)
    with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
        model.to_c(tmp_path / "x.c", dtype="int8")
    with pytest.raises(TypeError, match="path: expected"):
        model.to_c(3)
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_not_finite(tmp_path):
    model = MLP((2, 3, 1), "prelu", dtype=np.float64)
    model.weights[0][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"weights\[0\]\[1, 2\] = nan"):
        model.to_c(tmp_path / "x.c", dtype="float64")
    model.weights[0][1, 2] = 0
    model.slopes[0][1] = -np.inf
    with pytest.raises(ValueError, match=r"slopes\[0\]\[1\] = -inf"):
        model.to_c(tmp_path / "x.c", dtype="float64")
    model.slopes[0][1] = 0
    model.biases[1][0] = 1e300
    with pytest.raises(ValueError, match=r"biases\[1\]\[0\] = 1e\+300, not finite in float32; dtype='float64'"):
        model.to_c(tmp_path / "x.c")
    model.to_c(tmp_path / "x.c", dtype="float64")


def test_custom_activations_are_refused():
    layers = MLP((2, 3, 3, 1))._layers()
    layers[1] = dataclasses.replace(layers[1], activation=SimpleNamespace(name="square"))
    with pytest.raises(ValueError, match="to_c: the activation 'square' of layer 1 is a custom one"):
        source(layers, "predict", np.dtype(np.float32))


def test_every_activation_has_a_form_in_c():
    assert set(_core.LAYER_ACTIVATIONS) == ACTIVATIONS
