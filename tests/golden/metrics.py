"""Independent references for the other similarity metrics (numpy, scipy, scikit-learn), on the cases of similarity.txt.

Run as  python3 metrics.py  in this folder, after similarity.py: writes metrics.txt, blocks of
    values <case of similarity.txt>           or a whole case, as in similarity.txt
    expect <metric> <number or undefined>     (zero or more)
    end
The reference of RSA and DDS is the first D // 2 + 1 columns of the features.
"""
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm, spearmanr
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from similarity import hsic_debiased, leep, row_correlation, zscore

UNDEFINED = None


def read_cases():
    cases, name = {}, None
    for line in open("similarity.txt"):
        word, *rest = line.split()
        if word == "case":
            name, (n, d, c) = rest[0], map(int, rest[1:])
            cases[name] = {"n": n, "d": d, "C": c}
        elif word == "labels":
            cases[name]["y"] = np.array(rest, int)
        elif word == "features":
            cases[name]["X"] = np.array(rest, float).reshape(cases[name]["n"], cases[name]["d"])
    return cases


def classes_in(y):
    return [np.flatnonzero(y == c) for c in np.unique(y)]


def logme(X, y):
    """The largest evidence over t = alpha / beta, each t with its best beta: a fine grid over 40 decades, refined.
    Ridge regression is an augmented least-squares problem, which keeps the digits of X."""
    n, d = X.shape
    s2 = np.linalg.svd(X, compute_uv=False) ** 2
    s2 = s2[s2 > s2[0] * max(n, d) * np.finfo(float).eps]
    unit = np.sqrt(s2[0])
    total = []
    for members in classes_in(y):
        label = np.zeros(n)
        label[members] = 1

        def parts(log_t):
            t = np.exp(log_t)
            m = np.linalg.lstsq(np.vstack([X / unit, np.sqrt(t) * np.eye(d)]), np.append(label, np.zeros(d)), rcond=None)[0]
            return np.sum((label - X / unit @ m) ** 2) + t * m @ m, np.sum(np.log1p(s2 / s2[0] / t))

        def lost(log_t):
            q, log_det = parts(log_t)
            return n * np.log(q + 1e-5) + log_det

        grid = np.linspace(-50, 42, 185)
        at = min(range(1, 184), key=lambda i: lost(grid[i]))
        best = minimize_scalar(lost, bounds=(grid[at - 1], grid[at + 1]), method="bounded", options={"xatol": 1e-9})
        q, log_det = parts(best.x) if best.fun < n * np.log(len(members) + 1e-5) else (len(members), 0)
        beta = n / (q + 1e-5)
        total.append(0.5 * (n * np.log(beta / (2 * np.pi)) - beta * q - log_det) / n)
    return np.mean(total)


def class_means(X, y):
    g = np.zeros_like(X)
    for members in classes_in(y):
        g[members] = X[members].mean(0)
    return g


def hscore(X, y):
    X = X - X[0]  # a constant column becomes exactly zero
    f = X - X.mean(0)
    return np.trace(np.linalg.pinv(np.cov(f.T), rcond=1e-11) @ np.cov(class_means(f, y).T))


def hscore_reg(X, y):
    X = X - X[0]
    f = X - X.mean(0)
    fit = LedoitWolf().fit(f)
    return np.trace(np.linalg.inv(fit.covariance_) @ ((1 - fit.shrinkage_) * np.cov(class_means(f, y).T)))


def rate(Z, eps):
    return 0.5 * np.linalg.slogdet(np.eye(Z.shape[1]) + Z.T @ Z / (len(Z) * eps))[1]


def transrate(X, y, eps=1e-4):
    X = X - X[0]
    Z = X - X.mean(0)
    return rate(Z, eps) - sum(len(m) / len(y) * rate(Z[m], eps) for m in classes_in(y))


def reduced(X, most):
    X = X - X[0]
    rank = np.linalg.matrix_rank(X - X.mean(0))
    return PCA(min(rank, most), svd_solver="full").fit_transform(X)


def gbc(X, y, form="shrunk"):
    groups = classes_in(y)
    if form != "full":
        X = reduced(X, 64)
    d = X.shape[1]
    residuals = X - class_means(X, y)
    if form == "shrunk":
        if not np.abs(residuals).max() > 1e-12:
            return UNDEFINED
        T = LedoitWolf(assume_centered=True).fit(residuals).covariance_
    means, covs = [], []
    for m in groups:
        r, free = residuals[m], len(m) - 1
        if form == "shrunk":
            S = (r.T @ r + d * T) / (free + d)
        else:
            if free == 0:
                return UNDEFINED
            S = r.T @ r / free
        if form == "diagonal":
            S = np.diag(np.diag(S))
        if form == "spherical":
            S = np.eye(d) * np.trace(S) / d
        if np.linalg.matrix_rank(S, hermitian=True) < d:
            return UNDEFINED
        means.append(X[m].mean(0))
        covs.append(S)
    total = 0
    for i in range(len(groups)):
        for j in range(len(groups)):
            if i != j:
                S, delta = (covs[i] + covs[j]) / 2, means[i] - means[j]
                dets = [np.linalg.slogdet(M)[1] for M in (S, covs[i], covs[j])]
                total -= np.exp(-(delta @ np.linalg.solve(S, delta) / 8 + 0.5 * (dets[0] - (dets[1] + dets[2]) / 2)))
    return total


def knn(X, y, k):
    if max(np.bincount(y)) < 2:
        return UNDEFINED
    X = X - X[0]
    distance = ((X[:, None] - X[None]) ** 2).sum(2)
    distance = np.round(distance / distance.max(), 11)
    right = 0
    for i in range(len(y)):
        others = [j for j in np.argsort(distance[i], kind="stable") if j != i][:k]
        right += np.argmax(np.bincount(y[others])) == y[i]
    return right / len(y)


def rsa(X, R):
    upper = np.triu_indices(len(X), 1)
    a, b = (np.round(1 - row_correlation(zscore(M)), 11)[upper] for M in (X, R))
    return spearmanr(a, b)[0]


def dds(X, R):
    """On dissimilarities taken for Gram matrices, as published."""
    if len(X) < 4:
        return UNDEFINED
    def dissimilarity(M):
        Z = zscore(M)
        length = np.linalg.norm(Z, axis=1, keepdims=True)
        Z = Z / np.where(length < 1e-12, 1, length)
        return 1 - Z @ Z.T
    K, L = dissimilarity(X), dissimilarity(R)
    return hsic_debiased(K, L) / np.sqrt(hsic_debiased(K, K) * hsic_debiased(L, L))


def mixture_leep(X, y, C, starts, steps=7, floor=1e-6):
    """EM for diagonal Gaussians from given means, `steps` times; LEEP of the posteriors."""
    w, mean = np.full(len(starts), 1 / len(starts)), X[starts]
    floor *= X.var(0).mean()
    sd = np.tile(np.sqrt(X.var(0) + floor), (len(starts), 1))
    def posterior():
        log_p = np.log(w) + norm.logpdf(X[:, None], mean[None], sd[None]).sum(2)
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)
    for _ in range(steps):
        p = posterior()
        mass = p.sum(0)
        w, mean = mass / len(X), p.T @ X / mass[:, None]
        var = np.einsum("iv,ivk->vk", p, (X[:, None] - mean[None]) ** 2) / mass[:, None]
        sd = np.sqrt(var + floor)
    return leep(posterior(), y, C)


def blobs():
    """Six tight clusters, two a class but for some images: any sound start finds them."""
    g = np.random.default_rng(11)
    where = np.arange(33) % 6
    X = 20 * g.standard_normal((6, 8))[where] + g.standard_normal((33, 8))
    y = where // 2
    y[[3, 10, 20, 21]] = [0, 1, 2, 0]
    values = set()
    Z = PCA(0.8, svd_solver="full").fit_transform(X)
    for seed in range(5):  # 33 images, 3 classes: 33 // 5 = 6 components
        fit = GaussianMixture(6, covariance_type="diag", reg_covar=1e-6 * Z.var(0).mean(), random_state=seed).fit(Z)
        values.add(round(leep(fit.predict_proba(Z), y, 3), 9))
    assert len(values) == 1, values
    return X, y, leep(fit.predict_proba(Z), y, 3)


def write(out, key, value):
    out.write(f"expect {key} " + ("undefined" if value is UNDEFINED else f"{value:.17g}") + "\n")


def main():
    cases = read_cases()
    with open("metrics.txt", "w") as out:
        for name, case in cases.items():
            X, y, C = case["X"], case["y"], case["C"]
            out.write(f"values {name}\n")
            one_class = len(np.unique(y)) < 2
            R = X[:, : X.shape[1] // 2 + 1]
            functions = {
                "logme": lambda: logme(X, y),
                "hscore": lambda: hscore(X, y),
                "hscore-reg": lambda: hscore_reg(X, y),
                "transrate": lambda: transrate(X, y),
                "transrate:0.5": lambda: transrate(X, y, 0.5),
                "gbc": lambda: gbc(X, y),
                "gbc:full": lambda: gbc(X, y, "full"),
                "gbc:diagonal": lambda: gbc(X, y, "diagonal"),
                "gbc:spherical": lambda: gbc(X, y, "spherical"),
                "knn": lambda: knn(X, y, 1),
                "knn:3": lambda: knn(X, y, 3),
                "knn:5": lambda: knn(X, y, 5),
                "knn:13": lambda: knn(X, y, min(13, len(y) - 1)),
            }
            for key, function in functions.items():
                write(out, key, UNDEFINED if one_class else function())
            if one_class or max(np.bincount(y)) < 2:
                write(out, "nleep", UNDEFINED)
            write(out, "rsa", rsa(X, R))
            write(out, "dds", dds(X, R))
            if name in ("tall", "iris"):
                write(out, "mixture", mixture_leep(X, y, C, [0, 11, 22]))
            out.write("end\n")
        X, y, value = blobs()
        out.write(f"case blobs {X.shape[0]} {X.shape[1]} 3\n")
        out.write("labels " + " ".join(map(str, y)) + "\n")
        out.write("features " + " ".join(f"{v:.17g}" for v in X.ravel()) + "\n")
        write(out, "nleep", value)
        out.write("end\n")


if __name__ == "__main__":
    main()
