#!/usr/bin/python3
"""Multinomial logistic regression by scikit-learn, in float64.

Run as  python3 logistic.py  in this folder: writes logistic.txt, for each case
    case NAME N D C l2
    N lines: label x_1 .. x_D
    D lines of C weights, 1 line of C biases (their sum is 0)
The objective mean CE + l2/2 ||W||^2 is scikit-learn's, divided by N C, for C = 1 / (N l2).
"""
import numpy as np
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(5)


def case(out, name, n, d, c, l2, x, y):
    fit = LogisticRegression(C=1 / (n * l2), solver="newton-cg", multi_class="multinomial", tol=1e-10, max_iter=100000)
    fit.fit(x, y)
    assert list(fit.classes_) == list(range(c))
    weight, bias = fit.coef_, fit.intercept_ - fit.intercept_.mean()
    if c == 2:  # scikit-learn folds two classes into one vector: z_1 - z_0 = 2 w x + 2 b for multinomial
        weight, bias = np.vstack([-weight, weight]), np.array([-fit.intercept_[0], fit.intercept_[0]])
    z = x @ weight.T + bias
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(n), y] -= 1
    gradient = np.abs(np.hstack([p.T @ x / n + l2 * weight, (p.sum(0) / n)[:, None]])).max()
    assert gradient < 1e-9, (name, gradient)
    out.write(f"case {name} {n} {d} {c} {l2}\n")
    for i in range(n):
        out.write(" ".join([str(y[i])] + [repr(float(v)) for v in x[i]]) + "\n")
    for row in np.vstack([weight.T, bias]):
        out.write(" ".join(repr(float(v)) for v in row) + "\n")


def data(n, d, c):
    y = np.arange(n) % c
    return np.round(rng.normal(size=(n, d)) + 1.5 * rng.normal(size=(c, d))[y], 3), y


with open("logistic.txt", "w") as out:
    x, y = data(31, 3, 4)
    case(out, "normal", 31, 3, 4, 0.05, x, y)
    x, y = data(10, 17, 3)
    case(out, "more_features_than_images", 10, 17, 3, 0.1, x, y)
    x, y = data(14, 5, 2)
    x[:, 2] = 0.5
    case(out, "two_classes_constant_column", 14, 5, 2, 0.01, x, y)
    x, y = data(20, 4, 3)
    y[:] = 0
    y[3], y[7], y[8] = 1, 2, 2
    case(out, "a_class_of_one_image", 20, 4, 3, 1.0, x, y)
    x, y = data(12, 2, 3)
    case(out, "separable_weak_penalty", 12, 2, 3, 1e-3, x + 4 * np.eye(3)[y][:, :2], y)
