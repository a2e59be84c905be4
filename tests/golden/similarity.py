"""Independent references for the similarity metrics (numpy, scipy, scikit-learn).

Run as  python3 similarity.py  in this folder: writes iris.txt and similarity.txt, which the tests read.
Format of similarity.txt, blocks of
    case <name> <N> <D> <C>
    labels <N integers>
    features <N*D numbers, row-major>
    expect <key> <number>        (zero or more; "undefined" where the metric must refuse)
    end
"""
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA


def zscore(X):
    X = X - X[0]  # a constant column becomes exactly zero
    X = X - X.mean(0)
    sd = X.std(0)
    return X / np.where(sd == 0, 1, sd)


def row_correlation(X):
    Z = X - X.mean(1, keepdims=True)
    norm = np.linalg.norm(Z, axis=1, keepdims=True)
    flat = norm < 1e-12  # zero-variance rows correlate with nothing
    return (Z / np.where(flat, 1, norm)) @ (Z / np.where(flat, 1, norm)).T


def parc(X, y, classes, pca=0, decimals=11):
    """A is rounded so that distances equal on paper are equal here (repeated rows); None: as computed."""
    if pca:
        X = PCA(pca, svd_solver="full").fit_transform(X)
    A = 1 - row_correlation(zscore(X))
    if decimals is not None:
        A = np.round(A, decimals)
    B = np.where(y[:, None] == y[None, :], 0.0, 1 + 1 / (classes - 1))
    upper = np.triu_indices(len(y), 1)
    return spearmanr(A[upper], B[upper])[0]


def hsic(K, L):
    n = len(K)
    H = np.eye(n) - 1 / n
    return np.trace(K @ H @ L @ H)


def hsic_debiased(K, L):
    """Song et al. 2012, equation 5: an independent form of the correction used by akin."""
    n = len(K)
    K, L = K.copy(), L.copy()
    np.fill_diagonal(K, 0)
    np.fill_diagonal(L, 0)
    one = np.ones(n)
    return (np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def cka(X, Y, debiased=False):
    f = hsic_debiased if debiased else hsic
    X, Y = X - X.mean(0), Y - Y.mean(0)  # both forms are free of shifts; rounding is not
    K, L = X @ X.T, Y @ Y.T
    return f(K, L) / np.sqrt(f(K, K) * f(L, L))


def leep(P, y, classes):
    Y = np.eye(classes)[y]
    J = Y.T @ P / len(y)
    cond = J / J.sum(0)
    return np.mean(np.log((cond[y] * P).sum(1)))


def nce(P, y, classes):
    z = P.argmax(1)
    J = np.zeros((classes, P.shape[1]))
    np.add.at(J, (y, z), 1 / len(y))
    pz = J.sum(0)
    return sum(J[c, k] * np.log(J[c, k] / pz[k]) for c in range(classes) for k in range(len(pz)) if J[c, k] > 0)


def softmax(X):
    E = np.exp(X - X.max(1, keepdims=True))
    return E / E.sum(1, keepdims=True)


def block(out, name, X, y, classes, keys, pca=0):
    out.write(f"case {name} {X.shape[0]} {X.shape[1]} {classes}\n")
    out.write("labels " + " ".join(map(str, y)) + "\n")
    out.write("features " + " ".join(f"{v:.17g}" for v in X.ravel()) + "\n")
    Y = np.eye(classes)[y]
    P = softmax(zscore(X))
    functions = {
        "parc": lambda: parc(X, y, classes),
        "parc_pca": lambda: parc(X, y, classes, pca),
        "cka": lambda: cka(X, Y),
        "cka_debiased": lambda: cka(X, Y, True),
        "cka_half": lambda: cka(X[:, : X.shape[1] // 2], X[:, X.shape[1] // 2:]),
        "cka_half_debiased": lambda: cka(X[:, : X.shape[1] // 2], X[:, X.shape[1] // 2:], True),
        "leep": lambda: leep(P, y, classes),
        "nce": lambda: nce(P, y, classes),
    }
    if pca:
        out.write(f"expect pca {pca}\n")
    for key in keys:
        refuse = key.startswith("!")
        out.write(f"expect {key.lstrip('!')} " + ("undefined" if refuse else f"{functions[key]():.17g}") + "\n")
    out.write("end\n")


def main():
    X, y = load_iris(return_X_y=True)
    assert tuple(X[34]) == (4.9, 3.1, 1.5, 0.2) and tuple(X[37]) == (4.9, 3.6, 1.4, 0.1), "a wrong copy of Iris"
    with open("iris.txt", "w") as f:
        for row, label in zip(X, y):
            f.write(" ".join(f"{v:g}" for v in row) + f" {label}\n")
    g = np.random.default_rng(20240501)
    every = ["parc", "cka", "cka_debiased", "cka_half", "cka_half_debiased", "leep", "nce"]
    with open("similarity.txt", "w") as out:
        block(out, "iris", X, y, 3, every + ["parc_pca"], pca=2)
        y37 = np.arange(74) % 37
        X37 = g.standard_normal((74, 9)) + 1.5 * g.standard_normal((37, 9))[y37]
        block(out, "c37", X37, y37, 37, every)
        for name, n, d, c in [("wide", 17, 31, 4), ("square", 12, 12, 3), ("tall", 33, 5, 5)]:
            labels = np.concatenate([np.arange(c), np.arange(c), g.integers(0, c, n - 2 * c)])
            M = g.standard_normal((n, d)) * 3 + g.standard_normal((c, d))[labels] * 2 + 10
            block(out, name, M, labels, c, every + ["parc_pca"], pca=4)
        labels = np.arange(20) % 4
        ties = g.integers(0, 3, (20, 6)).astype(float)
        ties[13] = ties[1]  # the same image twice, within a class and across two
        ties[14] = ties[1]
        block(out, "ties", ties, labels, 4, every)
        const = g.standard_normal((15, 7))
        const[:, 2] = 0.1
        const[:, 5] = 1e6
        block(out, "constant_columns", const, np.arange(15) % 3, 3, every)
        single = g.standard_normal((10, 6))
        block(out, "class_of_one", single, np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 2]), 3, every)
        block(out, "empty_class", single, np.array([0, 0, 0, 1, 1, 1, 1, 1, 3, 3]), 5, every)
        block(out, "one_label_a_class", single[:5], np.arange(5), 5, ["!parc", "cka", "!cka_debiased", "leep", "nce"])
        block(out, "one_class", single, np.zeros(10, int), 2, ["!parc", "!cka", "!cka_debiased"])
        block(out, "three_images", single[:3], np.array([0, 0, 1]), 2, ["parc", "cka", "!cka_debiased"])


if __name__ == "__main__":
    main()
