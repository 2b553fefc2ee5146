"""
A pipeline and a search in scikit-learn
=======================================

The estimators of ``fastnn.sklearn`` work in pipelines and searches like any other. This search compares penalties and sizes
of the hidden layer, with five folds each: 60 trainings.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.sklearn import MLPClassifier

X, y = load_wine(return_X_y=True)
classifier = MLPClassifier(learning_rate_init=0.01, max_iter=2000, tol=1e-3, random_state=0)
pipeline = make_pipeline(StandardScaler(), classifier)
penalties, sizes = [1e-4, 1e-2, 1, 10], [(1,), (4,), (32,)]
grid = {"mlpclassifier__alpha": penalties, "mlpclassifier__hidden_layer_sizes": sizes}
search = GridSearchCV(pipeline, grid, scoring="neg_log_loss").fit(X, y)
print(search.best_params_)

# %%
# The logarithmic loss of each pair, averaged over the folds (smaller is better):

loss = -search.cv_results_["mean_test_score"].reshape(len(penalties), len(sizes))
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
image = ax.imshow(np.log10(loss), cmap="viridis_r")
for i, j in np.ndindex(loss.shape):
    ax.text(j, i, f"{loss[i, j]:.3f}", ha="center", va="center", color="white", fontweight="bold")
ax.set(xticks=range(len(sizes)), xticklabels=[size[0] for size in sizes], xlabel="hidden units")
ax.set(yticks=range(len(penalties)), yticklabels=penalties, ylabel="penalty alpha")
