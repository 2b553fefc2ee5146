"""
Handwritten digits
==================

A network with one hidden layer reads 8 x 8 images of handwritten digits. The data come with scikit-learn; the program trains
on three quarters of them, and shows the images of the rest that it reads wrongly.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import fastnn
from fastnn import schedules

X, labels = load_digits(return_X_y=True)
X = X / 16
order = np.random.default_rng(0).permutation(len(X))
train, test = order[: len(X) * 3 // 4], order[len(X) * 3 // 4 :]

# %%
# Dropout leaves out a fifth of the hidden units in each step. The learning rate falls along a cosine to zero.

epochs, batch_size = 60, 32
steps = epochs * -(-len(train) // batch_size)
model = fastnn.MLP((64, 128, 10), "relu", "softmax", dropout=0.2, random_state=0)
history = model.fit(
    X[train],
    labels[train],
    loss="cross_entropy",
    optimizer=fastnn.Adam(schedules.Cosine(0.003, steps)),
    epochs=epochs,
    batch_size=batch_size,
    validation_data=(X[test], labels[test]),
    metrics=["accuracy"],
)
print(f"{history['seconds'].sum():.2f} s, accuracy on new images {history['val_accuracy'][-1]:.1%}")

# %%
# The images that were read wrongly, or, if there are fewer than ten, those that were read with the least confidence:

probabilities = model.predict(X[test])
confidence = probabilities[np.arange(len(test)), labels[test]]
hardest = np.argsort(confidence)[:10]

figure, axes = plt.subplots(2, 5, figsize=(8, 3.8), layout="constrained")
for ax, i in zip(axes.flat, hardest, strict=True):
    ax.imshow(X[test[i]].reshape(8, 8), cmap="gray_r")
    read = probabilities[i].argmax()
    ax.set(xticks=[], yticks=[], title=f"{labels[test[i]]}, read as {read}\n({probabilities[i].max():.0%})")
