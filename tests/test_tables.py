"""Tables of text, .npy and Parquet files: their rows, their columns by name, and errors with line and column."""

from __future__ import annotations

import csv
import io
import os
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn._tables import text_lines
from fastnn._tables.columns import Wanted, places
from fastnn._tables.csv_table import CSVOptions, CSVTable
from fastnn._tables.npy_table import NPYTable
from fastnn._tables.write import CSVWriter, NPYWriter, spool


class Pipe(io.BytesIO):
    """Bytes that arrive in small pieces, and can't be read twice."""

    def __init__(self, data, piece=7):
        super().__init__(data)
        self._piece = piece

    def read1(self, size=-1):
        return super().read1(min(size, self._piece))

    def seek(self, *_):
        raise OSError("a pipe")

    tell = seek


def rows_of(text, count, names=None, chosen=None, piece=7, **options):
    data = text if isinstance(text, bytes) else text.encode()
    table = CSVTable(Pipe(data, piece), "a.csv", CSVOptions(**options), Wanted(count, names, chosen))
    return table, [row for block in table for row in block.tolist()]


# ---- Tables of text ----

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.sampled_from('ab",;\n é'), max_size=5)


@st.composite
def tables(draw):
    """Return text, its chosen columns, their numbers, and how to read it."""
    width, count = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    delimiter = draw(st.sampled_from(",;\t"))
    places = draw(st.lists(st.integers(0, width - 1), min_size=count, max_size=count))
    n_rows = draw(st.integers(0, 6))
    numbers = draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=n_rows, max_size=n_rows))
    others = draw(st.booleans())
    cells = [
        [repr(value) if place in places or not others else draw(TEXTS) + "x" for place, value in enumerate(row)]
        for row in numbers
    ]
    file = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=ends)
    writer.writerows([[f"column {i}" for i in range(width)], *cells])
    text = file.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(ends)
    if draw(st.booleans()):
        text = "\ufeff" + text
    names = tuple(f"column {i}" for i in places)
    return text, delimiter, names, [[row[place] for place in places] for row in numbers]


@given(tables(), st.integers(1, 40))
def test_columns_are_read_by_name_however_the_text_is_written_and_arrives(case, piece):
    text, delimiter, names, expected = case
    table, rows = rows_of(text, len(names), names, piece=piece, delimiter=delimiter)
    assert rows == expected
    assert set(table.unused) == set(csv_names(text, delimiter)) - set(names)


def csv_names(text, delimiter):
    return next(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter))


@given(st.data())
def test_the_first_wrong_cell_is_named_by_line_and_column(data):
    n_rows, width = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    row, column = data.draw(st.integers(0, n_rows - 1)), data.draw(st.integers(0, width - 1))
    wrong = data.draw(st.sampled_from(["x", "1_0", "0x1", "١", "1;2", "", "NA", "nan", "inf", "1e999", '"1,5"', '"a\nb"']))
    cells = [["1"] * width for _ in range(n_rows)]
    cells[row][column] = wrong
    if width == 1 and wrong == "":
        cells[row][column] = '""'  # an empty line would be something else
    lines = [",".join(each) for each in cells] + [",".join("y" * width)]
    text = ",".join("abc"[:width]) + "\n" + "\n".join(lines) + "\n"
    with pytest.raises(ValueError, match="expected a") as caught:
        rows_of(text, width, piece=data.draw(st.integers(1, 50)))
    assert f"a.csv, line {row + 2}, column {column + 1} ({'abc'[column]!r}): expected a" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1\n", "a.csv, line 3: expected 2 cells, as in line 1, got 1"),
        ("a,b\n1,2,3\n", "a.csv, line 2: expected 2 cells, as in line 1, got 3"),
        ("1,2\n3,4,5\n", "a.csv, line 2: expected 2 cells, as in line 1, got 3"),
        ("a,b\n\n1,2\n", "a.csv, line 2: expected cells, got an empty line between others"),
        ("a,b\n1,2\n\n\n3,4\n", "a.csv, line 3: expected cells, got an empty line between others"),
        ('a,b\n1,2\n1,"2\n3,4\n', "a.csv, line 3: expected separated values, got unexpected end of data"),
        ('a,b\n1,2\n"1"x,2\n', "a.csv, line 3: expected separated values, got ',' expected after '\"'"),
        ("a,b\n1,\r2\n", "a.csv, line 2: expected lines that end in LF or CRLF, got CR alone"),
        ("a,b\r1,2\r", "a.csv, line 1: expected lines that end in LF or CRLF, got CR alone"),
        (b"a,b\n1,2\n1,\xff\n", "a.csv, line 3: expected UTF-8, got the byte 0xff; iconv converts other encodings"),
        ("", "a.csv: expected a line of column names, or rows, got an empty file"),
        ("a,b,c\n1,2,3\n", "a.csv: expected 2 columns, got 3: 'a', 'b', 'c'; --columns chooses some of them"),
        ("1,2,3\n", "a.csv: expected 2 columns, got 3; --columns chooses some of them"),
        ("a;b\n1;2\n", "--columns chooses some of them (the first line has ';': see --delimiter)"),
        ("1\t2\n", "(the first line has tab: see --delimiter)"),
        ("a,2000\n1,2\n", "a.csv, line 1: expected column names or numbers, got both; --header or --no-header says which"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_errors_of_tables_name_the_line(text, message, piece):
    with pytest.raises(ValueError, match="expected") as caught:
        rows_of(text, 2, piece=piece)
    assert message in str(caught.value)


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("row", ["1", "1,2,3", "1,2,", ",1"])
@pytest.mark.parametrize("piece", [1, 1000])
def test_rows_of_another_length_are_refused_wherever_the_wanted_columns_are(row, quoted, piece):
    rows = ["7,8", row, "7,8"]
    text = "a,b\n" + "".join(f"{each}\n" for each in rows)
    if quoted:
        text = text.replace("7", '"7"')
    for names in (("a",), ("b", "a")):
        problem = "expected 2 cells" if row != ",1" else "column 1 ('a'): expected a finite number, got an empty cell"
        with pytest.raises(ValueError, match="a.csv, line 3") as caught:
            rows_of(text, len(names), names, piece=piece)
        assert problem in str(caught.value)


def test_lines_that_never_end_are_refused(monkeypatch):
    monkeypatch.setattr(text_lines, "_LONGEST", 1 << 20)
    endless = Pipe(b"a\n" + b"1" * (1 << 22), piece=1 << 16)
    with pytest.raises(ValueError, match="a.csv, line 2: expected at most 1 MiB in a line, got more"):
        list(CSVTable(endless, "a.csv", CSVOptions(), Wanted(1)))


@pytest.mark.parametrize(
    ("text", "names", "options", "expected"),
    [
        ("1,2\n3,4\n", None, {}, [[1.0, 2.0], [3.0, 4.0]]),
        ("a,b\n3,4\n", None, {}, [[3.0, 4.0]]),
        ("a,b\n", None, {}, []),
        ("2000,2001\n3,4\n", None, {"header": True}, [[3.0, 4.0]]),
        ("2000,2001\n3,4\n", ("2001", "2000"), {}, [[4.0, 3.0]]),
        ("2000,2001\n3,4\n", ("a", "b"), {}, [[2000.0, 2001.0], [3.0, 4.0]]),
        ("2000,2001\n3,4\n", ("2001", "2000"), {"header": False}, [[2000.0, 2001.0], [3.0, 4.0]]),
        ("", None, {"header": False}, []),
        (" 1 , 2\n", None, {}, [[1.0, 2.0]]),
        ("1,2\n3,4\n\n\n", None, {}, [[1.0, 2.0], [3.0, 4.0]]),
        ("1,2\r\n3,4\r\n\r\n", None, {}, [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_first_lines_are_names_or_numbers(text, names, options, expected, piece):
    assert rows_of(text, 2, names, piece=piece, **options)[1] == expected


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", "nan", " null "])
def test_missing_values_become_nan_only_where_that_is_allowed(cell, piece):
    text = f"a,b\n1,2\n{cell},4\n"
    _, rows = rows_of(text, 2, allow_missing=True, piece=piece)
    assert rows[0] == [1.0, 2.0]
    assert np.isnan(rows[1][0])
    assert rows[1][1] == 4.0
    with pytest.raises(ValueError, match="; --allow-missing predicts NaN for such rows"):
        rows_of(text, 2, piece=piece)


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e999"])
def test_infinities_are_refused_even_where_missing_values_are_allowed(cell):
    with pytest.raises(ValueError, match="line 2, column 1 .*: expected a finite number") as caught:
        rows_of(f"a,b\n{cell},2\n", 2, allow_missing=True)
    assert "--allow-missing" not in str(caught.value)


def test_memory_does_not_grow_with_the_table():
    class Endless(io.RawIOBase):
        """Rows that are made when they are read."""

        left = 20

        def read1(self, size):
            self.left -= 1
            return b"0.25,1,2,3,4,5,6,7,text\n" * 40_000 if self.left >= 0 else b""

    table = CSVTable(Endless(), "a.csv", CSVOptions(header=False), Wanted(2, None, ("8", "1")))
    tracemalloc.start()
    counts, peaks = [], []
    for block in table:
        counts.append(len(block))
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert sum(counts) == 800_000
    assert len(counts) == 21  # the first row, and the blocks
    assert peaks[-1] < 1.5 * peaks[2]


def test_rows_of_a_pipe_are_yielded_as_they_arrive():
    reader, writer = os.pipe()
    with open(reader, "rb") as file, open(writer, "wb", buffering=0) as other:
        other.write(b"a\n1\n2")
        blocks = iter(CSVTable(file, "a.csv", CSVOptions(), Wanted(1)))
        assert next(blocks).tolist() == [[1.0]]
        other.write(b"5\n3\n")
        assert next(blocks).tolist() == [[25.0], [3.0]]


# ---- Columns ----


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (["a", "b"], Wanted(2, ("a", "c")), "a.csv: expected columns 'a', 'c', got no 'c' among 'a', 'b'"),
        (["a", "b"], Wanted(2, None, ("c", "d")), "a.csv: expected columns 'c', 'd', got no 'c', 'd' among 'a', 'b'"),
        (["a", "a"], Wanted(1, ("a",)), "a.csv: expected one column 'a', got 2"),
        (["a", "b"], Wanted(1), "a.csv: expected 1 column, got 2: 'a', 'b'; --columns chooses some of them"),
        (None, Wanted(1, ("a",), ("a",)), "--columns: expected numbers from 1 to 2, because the columns of a.csv have no"),
        (None, Wanted(1, None, ("3",)), "from 1 to 2, because the columns of a.csv have no names, got '3'"),
        (None, Wanted(1, None, ("0",)), "got '0'"),
        (None, Wanted(1, None, ("²",)), "got '²'"),
    ],
)
def test_columns_that_are_not_there_are_named(names, wanted, message):
    with pytest.raises(ValueError, match="expected") as caught:
        places("a.csv", names, 2, wanted)
    assert message in str(caught.value)


def test_chosen_columns_come_before_the_names_of_the_model():
    assert places("a.csv", ["a", "b", "c"], 3, Wanted(2, ("a", "b"), ("c", "a"))) == [2, 0]
    assert places("a.csv", None, 3, Wanted(2, ("a", "b"), ("3", "1"))) == [2, 0]


# ---- .npy ----


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read_npy(path, count, chosen=None, allow_missing=False):
    with open(path, "rb") as file:
        return np.concatenate([np.zeros((0, count)), *NPYTable(file, "a.npy", Wanted(count, None, chosen), allow_missing)])


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", ">i4", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_rows", [0, 1, 5, 1000])
def test_arrays_of_all_types_and_orders_are_read(dtype, order, n_rows, tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn._tables.npy_table._BLOCK", 100)
    array = np.asarray(np.random.default_rng(0).integers(0, 2, (n_rows, 3)).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", 3), array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", 2, ("3", "1")), array[:, [2, 0]])


def test_arrays_are_read_from_a_pipe():
    array = np.arange(12.0).reshape(4, 3)
    (block,) = NPYTable(Pipe(saved(array)), "a.npy", Wanted(3), False)
    np.testing.assert_array_equal(block, array)
    with pytest.raises(ValueError, match="a.npy: expected an array stored row by row"):
        list(NPYTable(Pipe(saved(np.asfortranarray(array))), "a.npy", Wanted(3), False))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a .npy file"),
        (b"1,2,3\n", "expected a .npy file"),
        (saved(np.zeros((2, 3))).replace(b"}", b"("), "expected a .npy file"),
        (saved(np.zeros((2, 3))).replace(b"(2, 3)", b"(2, x)"), "expected a .npy file"),
        (saved(np.zeros((2, 3))).replace(b"<f8", b"<f7"), "expected a .npy file"),
        (saved(np.zeros(3)), "of shape (n, 3), got float64 (3,)"),
        (saved(np.zeros((2, 3), complex)), "of shape (n, 3), got complex128 (2, 3)"),
        (saved(np.zeros((2, 3), object)), "of shape (n, 3), got object (2, 3)"),
        (saved(np.zeros((2, 3), "U2")), "of shape (n, 3), got <U2 (2, 3)"),
        (saved(np.zeros((2, 2))), "expected 3 columns, got 2"),
        (saved(np.zeros((2, 3)))[:-1], "expected 2 rows, got 1; the file is truncated"),
        (saved(np.zeros((2, 3))) + b"x", "expected 2 rows of 3 numbers, got more data"),
        (saved(np.zeros((2, 3), order="F"))[:-1], "expected 48 bytes of numbers, got 47"),
        (
            saved(np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]])),
            "a.npy, row 2, column 2: expected a finite number, got nan",
        ),
        (saved(np.array([[1.0, 2.0, np.inf]])), "a.npy, row 1, column 3: expected a finite number, got inf"),
    ],
)
def test_errors_of_arrays_name_the_row(data, message, tmp_path):
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match="expected") as caught:
        read_npy(tmp_path / "a.npy", 3)
    assert message in str(caught.value)


def test_rows_of_later_blocks_are_counted_from_the_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn._tables.npy_table._BLOCK", 100)
    array = np.zeros((50, 3))
    array[44, 0] = np.nan
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"row 45, column 1: .* got nan; --allow-missing"):
        read_npy(tmp_path / "a.npy", 2, ("3", "1"))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", 3, allow_missing=True), array)


# ---- Writing ----


@given(st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), max_size=5), st.sampled_from(["f4", "f8"]))
def test_written_digits_give_the_same_numbers(rows, dtype):
    block = np.array(rows, dtype).reshape(-1, 2)
    file = io.BytesIO()
    CSVWriter(file, ["a", "b,c"]).write(block)
    first, *lines = csv.reader(io.StringIO(file.getvalue().decode()))
    assert first == ["a", "b,c"]
    np.testing.assert_array_equal(np.array(lines, dtype=object).astype(dtype).reshape(-1, 2), block)


def test_numbers_are_written_with_as_few_digits_as_possible():
    for dtype in (np.float32, np.float64):
        file = io.BytesIO()
        CSVWriter(file, None, "\t").write(np.array([[0.1, -2.0, 1e-20, np.nan]], dtype))
        assert file.getvalue() == b"0.1\t-2.0\t1e-20\tnan\n"


@settings(max_examples=20)
@given(st.lists(st.integers(0, 300), max_size=4), st.sampled_from(["f4", "f8"]))
def test_arrays_are_written_in_blocks(counts, dtype):
    blocks = [np.full((count, 2), i, dtype) for i, count in enumerate(counts)]
    file = io.BytesIO()
    writer = NPYWriter(file, 2, np.dtype(dtype))
    for block in blocks:
        writer.write(block)
    writer.finish()
    array = np.load(io.BytesIO(file.getvalue()))
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.concatenate([np.zeros((0, 2), dtype), *blocks]))


def write_half(path, error):
    before = os.listdir(path.parent)
    with spool(path) as file:
        file.write(b"new")
        file.flush()
        assert os.listdir(path.parent) == before
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_files_appear_only_when_they_are_complete(error, tmp_path):
    path = tmp_path / "a.csv"
    for before in (None, "old"):
        if before:
            path.write_text(before)
        with pytest.raises(error):
            write_half(path, error)
        assert (path.read_text() if path.exists() else None) == before
    for content in (b"", b"new"):
        with spool(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.csv"]


def test_devices_and_pipes_keep_their_kind(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    received = []
    thread = threading.Thread(target=lambda: received.append((tmp_path / "a.csv").read_bytes()))
    thread.start()
    with spool(tmp_path / "a.csv") as file:
        file.write(b"1\n2\n")
    thread.join()
    assert received == [b"1\n2\n"]
    assert (tmp_path / "a.csv").is_fifo()


# ---- Parquet ----


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    from fastnn._tables.parquet_table import ParquetTable

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'reading Parquet needs PyArrow: pip install "fastnn-cpu\[parquet\]"'):
        ParquetTable(tmp_path / "a.parquet", Wanted(1), False)


def parquet(path, columns, **options):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path, **options)


def read_parquet(path, wanted, allow_missing=False):
    from fastnn._tables.parquet_table import ParquetTable

    table = ParquetTable(path, wanted, allow_missing)
    return table, np.concatenate([np.zeros((0, wanted.count)), *table])


@pytest.mark.parametrize("n_rows", [0, 1, 1000])
def test_parquet_is_read_in_batches_by_name(n_rows, tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn._tables.parquet_table._BATCH", 300)
    rng = np.random.default_rng(0)
    columns = {
        "id": np.array([f"{i}" for i in range(n_rows)], dtype=object),
        "x.y": rng.normal(size=n_rows),
        "b": rng.integers(0, 2, n_rows).astype(bool),
        "i": rng.integers(0, 255, n_rows).astype(np.uint8),
        "f": rng.normal(size=n_rows).astype(np.float32),
    }
    parquet(tmp_path / "a.parquet", columns, row_group_size=70)
    table, X = read_parquet(tmp_path / "a.parquet", Wanted(5, ("f", "i", "b", "x.y", "f")))
    assert table.unused == ["id"]
    np.testing.assert_array_equal(X, np.column_stack([columns[name] for name in ("f", "i", "b", "x.y", "f")]))


def test_errors_of_parquet_name_row_and_column(tmp_path):
    path = tmp_path / "a.parquet"
    parquet(path, {"a": [1.0, 2.0, 3.0], "b": [1, None, 3], "c": ["x", "y", "z"], "d": [1.0, float("inf"), 2.0]})
    for names, message in [
        (("a", "b"), "row 2, column 2 ('b'): expected a finite number, got nan; --allow-missing"),
        (("d", "a"), "row 2, column 4 ('d'): expected a finite number, got inf"),
        (("a", "c"), "column 3 ('c'): expected numbers, got string"),
        (("a", "e"), "expected columns 'a', 'e', got no 'e' among 'a', 'b', 'c', 'd'"),
        (None, "expected 2 columns, got 4: 'a', 'b', 'c', 'd'; --columns chooses"),
    ]:
        with pytest.raises(ValueError, match="expected") as caught:
            read_parquet(path, Wanted(2, names))
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
    _, X = read_parquet(path, Wanted(2, ("a", "b")), allow_missing=True)
    np.testing.assert_array_equal(X, [[1, 1], [2, np.nan], [3, 3]])


def test_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet(path, {"a": np.arange(10_000.0)}, compression="none", use_dictionary=False)
    data = path.read_bytes()
    for damaged in (b"", b"a,b\n1,2\n", data[:-1], data[:4] + b"\xff" * 60 + data[64:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="a.parquet"):
            read_parquet(path, Wanted(1))
    with pytest.raises(FileNotFoundError):
        read_parquet(tmp_path / "b.parquet", Wanted(1))
