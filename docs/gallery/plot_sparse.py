"""
Sparse inputs, like words in a text
===================================

A bag of words has thousands of columns, nearly all of them zero. fastnn trains on the sparse matrix without making it dense,
and ``lazy_updates=True`` updates only the weights of the words in a batch. This program makes up texts on four subjects.
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse

import fastnn

rng = np.random.default_rng(0)
n_texts, n_words, length = 4000, 5000, 40
subject = rng.integers(0, 4, n_texts)
common = 1 / np.arange(1, n_words + 1)
common /= common.sum()
typical = np.roll(np.arange(n_words), 7)[100 + 200 * np.arange(4)[:, None] + np.arange(200)]

rows = np.repeat(np.arange(n_texts), length)
words = rng.choice(n_words, n_texts * length, p=common)
on_subject = rng.random(len(rows)) < 0.2
words[on_subject] = typical[subject[rows[on_subject]], rng.integers(0, 200, on_subject.sum())]
X = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, words)), shape=(n_texts, n_words))
print(f"{X.nnz / (n_texts * n_words):.2%} of the elements are not zero")

# %%
# The three runs learn from the same data with the same optimizer.

seconds = {}
for name, inputs, lazy in (("dense", X.toarray(), False), ("sparse", X, False), ("sparse, lazy updates", X, True)):
    model = fastnn.MLP((n_words, 32, 4), "relu", "softmax", random_state=0)
    trainer = fastnn.Trainer(model, "cross_entropy", fastnn.Adam(0.002), random_state=0, lazy_updates=lazy)
    start = time.perf_counter()
    trainer.run(inputs[:3000], subject[:3000], epochs=2)
    seconds[name] = time.perf_counter() - start
    accuracy = np.mean(model.predict(inputs[3000:]).argmax(axis=1) == subject[3000:])
    print(f"{name:20} {accuracy:.1%} of new texts right")

# %%
# The times depend on the machine that built this page:

figure, ax = plt.subplots(figsize=(8, 2.5), layout="constrained")
bars = ax.barh(list(seconds), list(seconds.values()))
ax.bar_label(bars, [f"{1e3 * s:.0f} ms" for s in seconds.values()], padding=4)
ax.invert_yaxis()
ax.margins(x=0.15)
ax.set(xlabel="seconds for two epochs")
