// Every method from plan to tested student on a toy task: what each one starts from and listens to, and that it learns.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/methods_case.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("the table of methods: names read back, titles differ, and an unknown one lists them all") {
  std::set<std::string> names, titles;
  for (const MethodTraits& m : methods()) {
    CHECK_EQ(parse_method(m.name), m.method);
    names.insert(m.name);
    titles.insert(m.title);
    CHECK(has(method_names(), m.name));
  }
  CHECK_EQ(names.size(), 16);
  CHECK_EQ(titles.size(), 16);
  const std::string e = error_of([] { parse_method("best"); });
  for (const MethodTraits& m : methods()) CHECK(has(e, m.name));
  CHECK(has(title_of(Method::oracle), "analysis only"));
}

TEST_CASE("every method learns the toy task, is best on validation as the curve says, and its student says so again") {
  Bench b;
  const TempFolder folder;
  for (const MethodTraits& m : methods()) {
    CAPTURE(m.name);
    for (const StudentPlan& plan : b.plan(m.method)) {
      const StudentRecord r = b.run(plan, {folder / "s.safetensors", folder / "b.safetensors"});
      // Chance is 0.25 with a deviation of sqrt(.25 .75 / 40) = 0.07.
      CHECK(r.figures.test_accuracy > 0.25 + 4 * 0.07);
      if (m.weighting == Weighting::probe) {
        CHECK(r.figures.teacher_accuracy > 0.25 + 4 * 0.07);
        CHECK(r.figures.teacher_cv_accuracy > 0.25);
        CHECK_EQ(r.figures.label_head_accuracy > 0.25, is_taught(m.method));
        CHECK_EQ(r.figures.taught_head_accuracy > 0.25 + 4 * 0.07, is_taught(m.method));
        const bool begins = m.start == Start::transfer;  // as a source, whose probe was a candidate for its teacher
        CHECK_EQ(std::isfinite(r.figures.start_cv_accuracy), begins);
        if (begins)
          CHECK_EQ(r.figures.start_cv_accuracy, choose_probe_teacher(b.task, b.sources, b.ranking.outputs)
                                                    .trials[static_cast<std::size_t>(b.number(plan.start))]
                                                    .accuracy);
      }
      CHECK_EQ(uses_sources(m.method), !r.source.empty());
      if (m.method == Method::probe_cv) {  // cross-validation chose it, once; it is no network
        CHECK_EQ(r.figures.test_accuracy, r.figures.teacher_accuracy);
        CHECK(r.figures.val_accuracy > 0.25);
        CHECK_EQ(read_safetensors(folder / "s.safetensors").metadata.at("format"), "akin-probe-1");
        continue;
      }
      CHECK(r.figures.best_test_accuracy > 0.25 + 4 * 0.07);
      REQUIRE_FALSE(r.curve.empty());
      double top = -1;
      std::int64_t step = 0;
      for (const CurvePoint& p : r.curve)
        if (p.validation > top) {
          top = p.validation;
          step = p.step;
        }
      CHECK_EQ(r.figures.best_val_accuracy, top);
      CHECK_EQ(r.figures.best_step, step);
      // The saved networks have the accuracies told.
      Model last = load_model(b.ctx, folder / "s.safetensors"), best = load_model(b.ctx, folder / "b.safetensors");
      CHECK_EQ(evaluate_model(b.ctx, last, toy_set(40, 4, 2)), r.figures.test_accuracy);
      CHECK_EQ(evaluate_model(b.ctx, best, toy_set(40, 4, 2)), r.figures.best_test_accuracy);
      CHECK_EQ(last.info.test_accuracy, r.figures.test_accuracy);
      CHECK_EQ(best.info.validation_accuracy, top);
      CHECK(last.info.classes == b.task.pool().classes);
      const bool of_source = m.start == Start::nearest || m.start == Start::features;
      CHECK_EQ(last.info.architecture.width, of_source ? plan.source->model.info.architecture.width : 4);
    }
  }
}

TEST_CASE("plans: who teaches, and where a student starts") {
  Bench b;
  b.set_similarity({0.2, 0.5, 0.9});
  CHECK_EQ(b.plan(Method::scratch)[0].source, nullptr);
  CHECK_EQ(b.number(b.plan(Method::transfer)[0].source), 1);  // the wide one is nearer, and does not fit
  CHECK_EQ(b.number(b.plan(Method::fixmatch_transfer)[0].source), 1);
  const StudentPlan both = b.plan(Method::weighted_transfer)[0];
  CHECK_EQ(b.number(both.start), 1);   // the nearest of its architecture
  CHECK_EQ(b.number(both.source), 2);  // the main teacher
  CHECK(both.weights.alpha == b.plan(Method::weighted)[0].weights.alpha);
  CHECK_EQ(b.plan(Method::weighted)[0].start, nullptr);
  CHECK_EQ(b.number(b.plan(Method::probe)[0].source), 2);
  CHECK_EQ(b.number(b.plan(Method::finetune)[0].source), 2);
  CHECK_EQ(b.number(b.plan(Method::nearest)[0].source), 2);
  CHECK(b.plan(Method::equal)[0].weights.alpha == std::vector<double>(3, 1.0 / 3));
  CHECK(b.plan(Method::nearest)[0].weights.alpha == std::vector<double>{0, 0, 1});
  b.how.transfer = "narrow4";
  CHECK_EQ(b.number(b.plan(Method::transfer)[0].source), 0);
  CHECK_FALSE(needs_similarity(traits(Method::transfer), b.how));
  const std::vector<StudentPlan> singles = b.plan(Method::oracle);
  REQUIRE_EQ(singles.size(), 3);
  for (std::size_t s = 0; s < 3; ++s) {
    CHECK_EQ(singles[s].source, &b.sources[s]);
    CHECK_EQ(singles[s].weights.alpha[s], 1);
    CHECK(singles[s].single);
  }
  // Random: each source comes up over the seeds, whatever their order; a plan is a function of the seed.
  std::set<std::string> drawn;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const StudentPlan p = b.plan(Method::random, seed)[0];
    const std::string name = p.source->name;
    drawn.insert(name);
    CHECK_EQ(std::count(p.weights.alpha.begin(), p.weights.alpha.end(), 1.0), 1);
    std::reverse(b.sources.begin(), b.sources.end());
    std::reverse(b.ranking.rows.begin(), b.ranking.rows.end());
    CHECK_EQ(b.plan(Method::random, seed)[0].source->name, name);
    std::reverse(b.sources.begin(), b.sources.end());
    std::reverse(b.ranking.rows.begin(), b.ranking.rows.end());
  }
  CHECK_EQ(drawn.size(), 3);
  // Methods that do not look at similarities work where those are undefined; the others say so.
  b.set_similarity({NAN, NAN, NAN});
  for (const Method m : {Method::scratch, Method::transfer, Method::random, Method::equal, Method::oracle})
    CHECK_EQ(b.plan_error(m), "");
  for (const Method m : {Method::probe, Method::finetune, Method::nearest, Method::weighted})
    CHECK(has(b.plan_error(m), "finite number"));
}

TEST_CASE("one step with no learning rate: what each student started from") {
  Bench b;
  b.set_similarity({0.2, 0.5, 0.9});
  b.how.lr = 1e-30;
  b.how.steps = 1;
  b.how.weight_decay = 0;
  const TempFolder folder;
  for (const Method m : {Method::transfer, Method::fixmatch_transfer, Method::finetune, Method::nearest_transfer,
                         Method::weighted_transfer}) {
    const StudentPlan plan = b.plan(m)[0];
    b.run(plan, {folder / "s.safetensors", folder / "b.safetensors"});
    const Model got = load_model(b.ctx, folder / "s.safetensors");
    const Model& from = plan.start->model;
    CHECK(got.info.normalization.mean == from.info.normalization.mean);
    const ParameterList mine = got.network->parameters(), theirs = from.network->parameters();
    REQUIRE_EQ(mine.size(), theirs.size());
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (!mine[i].trainable() || mine[i].name == "fc.weight") continue;
      if (mine[i].name == "fc.bias") continue;
      CHECK_MESSAGE(same_bits(mine[i].tensor.to_array(), theirs[i].tensor.to_array()), mine[i].name);
    }
    CHECK_EQ(got.network->architecture().classes, 4);
  }
}

TEST_CASE("linear probe: the head is the optimum on standardised features, and the saved network says the same") {
  Bench b;
  b.how.probe_l2 = 0.05;
  Source& source = b.sources[2];
  const LinearProbe probe = train_linear_probe(b.ctx, b.task, source, b.how, {});
  CHECK_EQ(probe.last.l2, 0.05);
  CHECK_EQ(probe.curve.size(), probe_strengths().size());
  CHECK_EQ(probe.best.l2, probe_strengths()[static_cast<std::size_t>(probe.best_point - 1)]);
  // The optimality condition in plain double loops, from the source's own features.
  const Array f = run_network(b.ctx, *source.model.network, b.task.pool().images, b.task.split.labelled,
                              source.model.info.normalization)
                      .features;
  const auto N = static_cast<std::size_t>(f.shape()[0]), D = static_cast<std::size_t>(f.shape()[1]);
  const auto at = [&](std::size_t i, std::size_t d) { return static_cast<double>(f.as<float>()[i * D + d]); };
  std::vector<double> mean(D, 0), std(D, 0), residual(N * 4);
  for (std::size_t d = 0; d < D; ++d) {
    for (std::size_t i = 0; i < N; ++i) mean[d] += at(i, d) / static_cast<double>(N);
    for (std::size_t i = 0; i < N; ++i) std[d] += std::pow(at(i, d) - mean[d], 2) / static_cast<double>(N);
    std[d] = std::sqrt(std[d]);
  }
  const auto z_score = [&](std::size_t i, std::size_t d) { return std[d] > 0 ? (at(i, d) - mean[d]) / std[d] : 0.0; };
  for (std::size_t i = 0; i < N; ++i) {
    double z[4], sum = 0;
    for (std::size_t c = 0; c < 4; ++c) {
      z[c] = probe.last.fit.bias[c];
      for (std::size_t d = 0; d < D; ++d) z[c] += z_score(i, d) * probe.last.fit.weight[d * 4 + c];
      sum += std::exp(z[c]);
    }
    const int label = b.task.labels[static_cast<std::size_t>(b.task.split.labelled[i])];
    for (std::size_t c = 0; c < 4; ++c)
      residual[i * 4 + c] = (std::exp(z[c]) / sum - (label == static_cast<int>(c))) / static_cast<double>(N);
  }
  double worst = 0;
  for (std::size_t d = 0; d < D; ++d)
    for (std::size_t c = 0; c < 4; ++c) {
      double g = 0.05 * probe.last.fit.weight[d * 4 + c];
      for (std::size_t i = 0; i < N; ++i) g += residual[i * 4 + c] * z_score(i, d);
      worst = std::max(worst, std::abs(g));
    }
  CHECK_FALSE(!(worst <= 2e-7));
  // Head and network agree on images that neither has seen.
  const ImageSet other = toy_set(31, 4, 77);
  Model m = probe_model(b.ctx, b.task, source, probe.last);
  const Array want = probe.last.logits(features_of(b.ctx, source, other, all_indices(31), {}));
  const Array got = run_network(b.ctx, *m.network, other.images, all_indices(31), m.info.normalization).logits;
  double difference = 0, scale = 1;
  for (std::size_t i = 0; i < 31 * 4; ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(want.as<float>()[i] - got.as<float>()[i])));
    scale = std::max(scale, std::abs(static_cast<double>(want.as<float>()[i])));
  }
  // Weights in f32 times features up to some 50 deviations: 24 products, each off by 6e-8 of its size.
  CHECK_FALSE(!(difference <= 24 * 50 * 6e-8 * scale));
  b.how.probe_l2 = 0;
  CHECK_EQ(train_linear_probe(b.ctx, b.task, source, b.how, {}).last.l2, 1.0 / 16);
  b.how.probe_l2 = -1;
  CHECK_THROWS_AS(train_linear_probe(b.ctx, b.task, source, b.how, {}), UsageError);
}

TEST_CASE("linear probe: a head that is no layer of the network is saved alone") {
  Bench b;
  b.task = make_task(toy_set(40, 4, 1, 1, 28), toy_set(20, 4, 2, 1, 28), {}, {.labels_per_class = 4, .unlabelled = 8});
  Model squeeze;
  squeeze.info.architecture = {.name = "squeezenet1_1", .channels = 1, .classes = 3};
  squeeze.info.normalization = {{0.5f}, {0.5f}};
  squeeze.network = make_network(b.ctx, squeeze.info.architecture);
  initialize(squeeze.network->parameters(), 1);
  b.sources.clear();
  b.add("squeeze", std::move(squeeze));
  b.rank();
  const TempFolder folder;
  const StudentRecord r = b.run(b.plan(Method::probe)[0], {folder / "s.safetensors", folder / "b.safetensors"});
  const SafeTensors file = read_safetensors(folder / "s.safetensors");
  const auto D = static_cast<std::size_t>(b.sources[0].model.network->feature_size());
  REQUIRE(file.at("fc.weight").shape() == Shape{4, static_cast<std::int64_t>(D)});
  REQUIRE(file.at("fc.bias").shape() == Shape{4});
  CHECK_EQ(file.metadata.at("source"), "squeeze");
  // Alone it gives the accuracy that was told.
  const ImageSet test = toy_set(20, 4, 2, 1, 28);
  const Array f = features_of(b.ctx, b.sources[0], test, all_indices(20), {});
  std::vector<int> says;
  for (std::size_t i = 0; i < 20; ++i) {
    std::vector<double> z;
    for (std::size_t c = 0; c < 4; ++c) {
      z.push_back(static_cast<double>(file.at("fc.bias").as<float>()[c]));
      for (std::size_t d = 0; d < D; ++d)
        z[c] += static_cast<double>(file.at("fc.weight").as<float>()[c * D + d]) *
                static_cast<double>(f.as<float>()[i * D + d]);
    }
    says.push_back(static_cast<int>(std::max_element(z.begin(), z.end()) - z.begin()));
  }
  CHECK_EQ(accuracy(says, test.labels), r.figures.test_accuracy);
}

TEST_CASE("what a method cannot work with is named before anything is trained") {
  Bench b;
  // No source of the student's architecture.
  b.how.student_width = 8;
  std::string e = b.plan_error(Method::transfer);
  CHECK(has(e, "no source has the student's architecture, a resnet8 of width 8"));
  CHECK(has(e, "wide is a resnet8 of width 6"));
  b.how.transfer = "wide";
  CHECK(has(b.plan_error(Method::transfer), "cannot start from source wide"));
  b.how.transfer = "wid";
  CHECK(has(b.plan_error(Method::fixmatch_transfer), "no source has this name; did you mean 'wide'?"));
  b.how.transfer.clear();
  b.how.student_width = 4;
  // All weights zero.
  b.set_similarity({-0.1, -0.2, -0.3});
  b.ranking.mapping = parse_mapping("clip0");
  CHECK(has(b.plan_error(Method::weighted), "all 3 sources have weight 0"));
  CHECK_EQ(b.plan_error(Method::nearest), "");
  // A table without logits can be ranked, and not listened to.
  Source table{.name = "headless", .hash = "h", .model = {}, .table = {}};
  table.table.features = Array(DType::f32, {90, 3});
  table.table.logits = Array(DType::f32, {90, 0});
  for (std::size_t i = 0; i < 90; ++i) table.table.features.as<float>()[i * 3 + i % 3] = static_cast<float>(1 + i % 4);
  b.sources.push_back(std::move(table));
  b.rank();
  b.set_similarity({0.1, 0.2, 0.3, 0.9});
  CHECK(has(b.plan_error(Method::nearest), "source headless has features and no head"));
  CHECK(has(b.plan_error(Method::equal), "source headless has features and no head"));
  CHECK(has(b.plan_error(Method::finetune), "headless, is a table"));
  CHECK(has(b.plan_error(Method::probe), "headless, is a table"));
  CHECK_EQ(b.plan(Method::oracle).size(), 3);
  CHECK_EQ(b.number(b.plan(Method::transfer)[0].source), 1);
  // Nothing unlabelled is no obstacle: the labelled images stand in.
  b.sources.pop_back();
  b.rank();
  b.set_similarity({0.1, 0.2, 0.3});
  b.task.split.unlabelled.clear();
  for (const MethodTraits& m : methods()) CHECK_EQ(b.plan_error(m.method), "");
  b.sources.clear();
  b.ranking = {};
  CHECK(has(b.plan_error(Method::probe), "at least one source"));
}
