#!/usr/bin/python3
"""Similarity of a bank by akin against NumPy and SciPy, measured side by side in one interleaved run.

    python3 bench/peers/similarity_vs_numpy.py --akin build/ci/bin/bench_similarity --threads 2

Both sides measure the same random features (f32 after a ReLU, classes of equal size) in two processes that take turns
(taking_turns.py). NumPy has two ways for each metric: `obvious`, as the papers' public code and most notebooks have it, and
`best`, what somebody who looks for speed would write: products of N x N where N < D, everything vectorised, ranks from one
sort. Its BLAS should be OpenBLAS (libopenblas0-pthread; NumPy alone brings Debian's reference BLAS, an order slower), which
is tried as it chooses its kernels by itself and with those for AVX-512, for it does not know recent processors.

Reported for each metric and way: median of the ratios akin/NumPy over the rounds, smallest and largest; milliseconds a source;
and how far the values are apart. `processor` is the same by seconds of processor time of all threads, which a busy machine
disturbs less. --replicates also times akin with bootstrap and shuffles, against itself without.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

from taking_turns import Worker, WorkerError, cpu_name, fastest, positive, row, spread, take_turns, write_results

METRICS = ("parc", "cka", "logme", "hscore", "hscore-reg")
CORES = {"own choice": [], "SkylakeX": ["env", "OPENBLAS_CORETYPE=SkylakeX"]}


def numpy_ways(np, labels):
    """{(metric, way): function of features [N, D] f32}"""
    from scipy import stats

    n, classes = len(labels), int(labels.max()) + 1
    one_hot = np.eye(classes)[labels]
    sizes = one_hot.sum(0)
    upper = np.triu_indices(n, 1)
    same = labels[upper[0]] == labels[upper[1]]

    def z_scores(x):
        x = x.astype(np.float64)
        scale = x.std(0)
        return (x - x.mean(0)) / np.where(scale == 0, 1, scale)

    def parc(x):
        # Correlations of one-hot rows hold rounding noise that splits their ties.
        distances = np.round(1 - np.corrcoef(one_hot), 6)[upper]
        return stats.spearmanr((1 - np.corrcoef(z_scores(x)))[upper], distances)[0]

    def parc_best(x):
        z = x.astype(np.float64)
        z -= z.mean(0)
        scale = np.sqrt(np.einsum("ij,ij->j", z, z) / n)
        scale[scale == 0] = 1
        z /= scale
        z -= z.mean(1, keepdims=True)
        z /= np.sqrt(np.einsum("ij,ij->i", z, z))[:, None]
        keys = -(z @ z.T)[upper]
        ordered = np.sort(keys)
        own = keys[same]
        ranks = 0.5 * (np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right") + 1)
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
        ties = np.diff(starts).astype(np.float64)
        pairs, q = len(keys), same.mean()
        variance = (float(pairs) ** 3 - pairs - np.sum(ties**3 - ties)) / (12 * pairs)
        return (0.5 * (pairs + 1) - ranks.mean()) / (1 - q) * np.sqrt(q * (1 - q) / variance)

    def cka(x):
        x = x.astype(np.float64)
        x = x - x.mean(0)
        y = one_hot - one_hot.mean(0)
        return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))

    def cka_best(x):
        x = x.astype(np.float64)
        x -= x.mean(0)
        y = one_hot - one_hot.mean(0)
        gram = x @ x.T if n < x.shape[1] else x.T @ x
        products = y.T @ x
        return np.vdot(products, products) / (np.linalg.norm(gram) * np.linalg.norm(y.T @ y))

    def fixed_point(sigma, along, d, alpha, beta):
        """The authors' iteration; along [K, ...]: squared projections of the labels."""
        outside = sizes[: along.shape[1]] - along.sum(0) if along.ndim == 2 else None
        for _ in range(11):
            share = alpha / beta
            shrunk = sigma[:, None] + share
            gamma = (sigma[:, None] / shrunk).sum(0)
            squares = (sigma[:, None] * along / shrunk**2).sum(0)
            residual = (along * (share / shrunk) ** 2).sum(0) + outside
            alpha, beta = gamma / (squares + 1e-5), (n - gamma) / (residual + 1e-5)
        squares = (sigma[:, None] * along / (sigma[:, None] + alpha / beta) ** 2).sum(0)
        residual = (along * (alpha / beta / (sigma[:, None] + alpha / beta)) ** 2).sum(0) + outside
        log_det = np.log(alpha + beta * sigma[:, None]).sum(0) + (d - len(sigma)) * np.log(alpha)
        evidence = 0.5 * (d * np.log(alpha) + n * np.log(beta / (2 * np.pi)) - log_det - beta * residual - alpha * squares)
        return np.mean(evidence / n)

    def logme(x):
        x = x.astype(np.float64)
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        along = (u.T @ one_hot) ** 2
        return fixed_point(s**2, along, x.shape[1], np.ones(classes), np.ones(classes))

    def logme_best(x):
        x = x.astype(np.float64)
        if n < x.shape[1]:
            sigma, u = np.linalg.eigh(x @ x.T)
            along = (u.T @ one_hot) ** 2
        else:
            sigma, v = np.linalg.eigh(x.T @ x)
            along = (v.T @ (x.T @ one_hot)) ** 2 / np.maximum(sigma, 1e-300)[:, None]
        keep = sigma > sigma[-1] * max(x.shape) * np.finfo(float).eps
        return fixed_point(sigma[keep], along[keep], x.shape[1], np.ones(classes), np.ones(classes))

    def class_means(x):
        return (one_hot.T @ x) / sizes[:, None]

    def hscore(x):
        x = x.astype(np.float64)
        x = x - x.mean(0)
        between = np.cov(class_means(x)[labels], rowvar=False)
        return np.trace(np.linalg.pinv(np.cov(x, rowvar=False), rcond=1e-12) @ between)

    def hscore_best(x):
        x = x.astype(np.float64)
        x -= x.mean(0)
        sigma, u = np.linalg.eigh(x @ x.T if n < x.shape[1] else x.T @ x)
        keep = sigma > sigma[-1] * max(x.shape) * np.finfo(float).eps
        if n < x.shape[1]:
            return np.sum((u[:, keep].T @ one_hot) ** 2 / sizes)
        return np.sum((u[:, keep].T @ (x.T @ one_hot)) ** 2 / sizes / sigma[keep, None])

    def shrinkage_of(x, squared_norm):
        d = x.shape[1]
        squares = np.einsum("ij,ij->i", x, x)
        mu = squares.sum() / n / d
        distance = squared_norm / d - mu**2
        return min((np.sum(squares**2) / n - squared_norm) / (n * d), distance) / distance, mu

    def hscore_reg(x):
        x = x.astype(np.float64)
        x = x - x.mean(0)
        covariance = x.T @ x / n
        s, mu = shrinkage_of(x, np.sum(covariance**2))
        between = np.cov(class_means(x)[labels], rowvar=False)
        shrunk = (1 - s) * covariance + s * mu * np.eye(x.shape[1])
        return (1 - s) * np.trace(np.linalg.pinv(shrunk, hermitian=True) @ between)

    def hscore_reg_best(x):
        x = x.astype(np.float64)
        x -= x.mean(0)
        gram = x @ x.T if n < x.shape[1] else x.T @ x
        s, mu = shrinkage_of(x, np.vdot(gram, gram) / n**2)
        shrunk = (1 - s) / n * gram
        shrunk[np.diag_indices_from(shrunk)] += s * mu
        sums = one_hot if n < x.shape[1] else x.T @ one_hot
        right = gram @ sums if n < x.shape[1] else sums
        return (1 - s) / (n - 1) * np.sum(sums * np.linalg.solve(shrunk, right) / sizes)

    return {("parc", "obvious"): parc, ("parc", "best"): parc_best, ("cka", "obvious"): cka, ("cka", "best"): cka_best,
            ("logme", "obvious"): logme, ("logme", "best"): logme_best, ("hscore", "obvious"): hscore,
            ("hscore", "best"): hscore_best, ("hscore-reg", "obvious"): hscore_reg,
            ("hscore-reg", "best"): hscore_reg_best}  # fmt: skip


def numpy_worker(args):
    import numpy as np

    features, labels = np.load(args.features), np.load(args.labels)
    measure = numpy_ways(np, labels)[args.metric, args.way]
    for line in sys.stdin:
        if line.startswith("run "):
            seconds, sources = float(line.split()[1]), 0
            start, processor = time.perf_counter(), time.process_time()
            while sources == 0 or time.perf_counter() - start < seconds:
                measure(features[sources % len(features)])
                sources += 1
            answer = {"images": sources, "seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
        elif line.strip() == "about":
            import scipy

            blas = {s.split("/")[-1].strip() for s in open("/proc/self/maps", encoding="utf-8") if "blas" in s}
            answer = {"NumPy": np.__version__, "SciPy": scipy.__version__, "BLAS": ", ".join(sorted(blas))}
        elif line.strip() == "values":
            answer = {"values": [float(measure(x)) for x in features[:args.compared]]}
        else:
            return
        print(json.dumps(answer), flush=True)


def make_features(folder, sources, images, columns, classes):
    import numpy as np

    rng = np.random.default_rng(0)
    labels = np.arange(images) % classes
    means = rng.normal(size=(classes, columns))
    features = np.empty((sources, images, columns), np.float32)
    for s in range(sources):
        features[s] = np.maximum(rng.normal(size=(images, columns)) + (0.1 + 0.02 * s) * means[labels], 0)
    paths = os.path.join(folder, "features.npy"), os.path.join(folder, "labels.npy")
    np.save(paths[0], features)
    np.save(paths[1], labels.astype(np.int64))
    return paths


def processor_rate(worker):
    return worker.answer["images"] / max(worker.answer["processor"], 1e-9)


def in_turns(args, commands, base):
    """Rounds of all sides; {side: {ms, ratio of `base` to it, by the clock and by the processor}} and their values."""
    sides, by_processor = {}, {side: [] for side in commands}
    try:
        for side, command in commands.items():
            sides[side] = Worker(side, command, "sleep", args.threads)
            sides[side].run(0.2, patience=600)  # warm-up
        versions = {side: worker.ask("about") for side, worker in sides.items()}
        values = {side: worker.ask("values", 600)["values"][:args.compared] for side, worker in sides.items()}
        rates = take_turns(sides, args.rounds, args.seconds,
                           lambda r, _: [by_processor[s].append(processor_rate(w)) for s, w in sides.items()])  # fmt: skip
    finally:
        for worker in sides.values():
            worker.close()
    return versions, {
        side: {
            "ms": 1e3 / statistics.median(rates[side]),
            "rounds_ms": [1e3 / rate for rate in rates[side]],
            "processor_ms": 1e3 / statistics.median(by_processor[side]),
            "ratio": spread([a / b for a, b in zip(rates[base], rates[side])]),
            "processor_ratio": spread([a / b for a, b in zip(by_processor[base], by_processor[side])]),
            "apart": max(abs(a - b) for a, b in zip(values[base], values[side])),
        }
        for side in commands
    }


def compare(args, metric, paths):
    where = ["--features", paths[0], "--labels", paths[1], "--metric", metric]
    akin = [args.akin, *where, "--worker"]
    commands, cores = {"akin": akin}, {}
    for way in args.ways:
        own = [sys.executable, os.path.abspath(__file__), "--numpy-worker", *where, "--way", way, "--compared", str(args.compared)]
        cores[way], _, _ = fastest(args, {core: ("NumPy", [*prefix, *own], "sleep") for core, prefix in CORES.items()})
        commands[way] = [*CORES[cores[way]], *own]
    if args.replicates > 0:
        commands["akin with replicates"] = [*akin, "--replicates", str(args.replicates)]
    versions, sides = in_turns(args, commands, "akin")
    return {"metric": metric, "cores": cores, "versions": versions, "sides": sides}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", metavar="PATH", help="akin's bench_similarity binary")
    parser.add_argument("--metric", choices=METRICS, action="append", help="more than once for several; default: all")
    parser.add_argument("--ways", nargs="*", choices=("obvious", "best"), default=["obvious", "best"])
    parser.add_argument("--sources", type=positive(int), default=28)
    parser.add_argument("--images", type=positive(int), default=500)
    parser.add_argument("--columns", type=positive(int), default=2048)
    parser.add_argument("--classes", type=positive(int), default=10)
    parser.add_argument("--replicates", type=int, default=0, help="of akin's bootstrap; 0: not timed")
    parser.add_argument("--threads", type=positive(int), default=2)
    parser.add_argument("--rounds", type=positive(int), default=12)
    parser.add_argument("--seconds", type=positive(float), default=1.0, help="of one side in one round")
    parser.add_argument("--calibration-rounds", type=positive(int), default=2)
    parser.add_argument("--calibration-seconds", type=positive(float), default=0.5)
    parser.add_argument("--compared", type=positive(int), default=2, help="sources whose values are compared")
    parser.add_argument("--json", metavar="FILE", help="write all numbers to this file")
    parser.add_argument("--numpy-worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--way", default="best", help=argparse.SUPPRESS)
    parser.add_argument("--features", help=argparse.SUPPRESS)
    parser.add_argument("--labels", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.numpy_worker and not args.akin:
        parser.error("give --akin PATH (of bench_similarity)")
    return args


def main():
    args = parse_arguments()
    if args.numpy_worker:
        args.metric = args.metric[0]
        numpy_worker(args)
        return 0
    load_before = os.getloadavg()[0]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        paths = make_features(folder, args.sources, args.images, args.columns, args.classes)
        for metric in args.metric or METRICS:
            try:
                result = compare(args, metric, paths)
            except WorkerError as error:
                print(f"similarity_vs_numpy: {error}", file=sys.stderr)
                return 1
            results.append(result)
            for side, r in result["sides"].items():
                times = f"{r['ms']:.2f} ms a source ({r['processor_ms']:.2f} of processor)"
                if side != "akin":
                    times += (f", akin is {r['ratio']['median']:.2f} times as fast [{r['ratio']['min']:.2f} .. {r['ratio']['max']:.2f}]"
                              f" (processor {r['processor_ratio']['median']:.2f}), values {r['apart']:.1e} apart")  # fmt: skip
                print(f"{metric}, {args.images} x {args.columns}, {args.threads} threads: {side}: {times}", flush=True)
    if args.json:
        rows = []
        for result in results:
            what = f"{result['metric']} {args.sources} sources {args.images} x {args.columns}"
            for side, r in result["sides"].items():
                rows.append(row(f"{what}: {side}", "ms", r["rounds_ms"], False))
                if side != "akin":
                    rows.append(row(f"{what}: akin / {side}", "times", r["ratio"]["rounds"]))
        settings = {key: getattr(args, key) for key in ("sources", "images", "columns", "classes", "seconds", "replicates")}
        write_results(args.json, args, "similarity_vs_numpy", results[0]["versions"], rows, load_before, results=results, **settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
