// The five methods on a toy task; the first step's loss against loops of the formulas in method.md.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "distill/student/train.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr Method kAll[] = {Method::scratch, Method::fixmatch, Method::equal, Method::nearest, Method::weighted};

/// A toy task with two trained sources and their outputs.
struct Bench {
  Context ctx;
  Task task = make_task(toy_set(72, 4, 1), toy_set(40, 4, 2), {},
                        {.labels_per_class = 3, .unlabelled = 40, .validation = 8, .seed = 0});
  std::vector<Source> sources;
  std::vector<Outputs> outputs;
  Settings options;
  Place place;
  std::uint64_t seed = 0;

  Bench() {
    for (const int classes : {4, 3}) {
      TrainedClassifier c = toy_source(ctx, classes, static_cast<std::uint64_t>(classes));
      sources.push_back(
          {.name = "source" + std::to_string(classes), .hash = "", .model = std::move(c.model), .table = {}});
      outputs.push_back(source_outputs(ctx, sources.back(), task));
    }
    options.student_width = 4;
    options.batch = 12;
    options.flip = "h";  // images this small are not shifted
    options.unlabelled_batch = 20;
    options.lr = 0.1;
    options.steps = 6;
  }
  std::vector<Teacher> teachers(double a, double b) {
    return {{&sources[0], &outputs[0], a}, {&sources[1], &outputs[1], b}};
  }
  StudentRun run(Method method, const std::vector<Teacher>& teachers, TrainHooks hooks = {}) {
    const StudentPlan plan{.method = method, .seed = seed, .architecture = student_architecture(ctx, options, task)};
    return train_student(ctx, task, plan, teachers, options, place, std::move(hooks));
  }
  std::string error(Method method, const std::vector<Teacher>& teachers) {
    return error_of([&] { run(method, teachers); });
  }
  /// The loss of the first step.
  double first_loss(Method method, const std::vector<Teacher>& teachers) {
    double loss = NAN;
    TrainHooks hooks;
    hooks.progress = [&](std::int64_t t, double v) { loss = t == 1 ? v : loss; };
    run(method, teachers, hooks);
    return loss;
  }
};

std::vector<double> log_softmax(const float* z, std::int64_t n, double T) {
  double top = -INFINITY, sum = 0;
  for (std::int64_t i = 0; i < n; ++i) top = std::max(top, static_cast<double>(z[i]) / T);
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(z[i]) / T - top);
  std::vector<double> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(static_cast<double>(z[i]) / T - top - std::log(sum));
  return out;
}

}  // namespace

TEST_CASE("every method learns the toy task; its student has the target's head and no other") {
  Bench b;
  b.options.steps = 80;
  b.options.eval_every = 40;
  for (const Method m : kAll) {
    CAPTURE(name_of(m));
    StudentRun r = b.run(m, m == Method::nearest ? b.teachers(1, 0) : b.teachers(0.7, 0.3));
    CHECK(r.result.finished);
    // Chance is 0.25 with a deviation of sqrt(.25 .75 / 40) = 0.07.
    CHECK(evaluate_model(b.ctx, r.model, toy_set(40, 4, 2)) > 0.25 + 4 * 0.07);
    CHECK_EQ(r.result.curve.size(), 2);
    CHECK(r.result.curve[0].validation >= 0);
    // What validation chose is the first of the highest points, and has their accuracy.
    REQUIRE(r.best.network != nullptr);
    const CurvePoint& top = r.result.curve[r.result.curve[1].validation > r.result.curve[0].validation];
    CHECK_EQ(r.best.info.step, top.step);
    CHECK_EQ(r.best.info.validation_accuracy, top.validation);
    CHECK_EQ(r.model.info.validation_accuracy, r.result.curve[1].validation);
    CHECK_EQ(differing(*r.best.network, *r.model.network).empty(), top.step == 80);
    CHECK(r.seconds > 0);
    CHECK_EQ(r.pseudo_labelled >= 0, m == Method::fixmatch);
    CHECK_EQ(r.model.info.architecture.classes, 4);
    const TempFolder folder;
    save_model(folder / "student.safetensors", *r.model.network, r.model.info);
    const SafeTensors file = read_safetensors(folder / "student.safetensors");
    for (const auto& [name, array] : file.tensors) CHECK_FALSE(has(name, "source_heads"));
    CHECK(file.at("fc.weight").shape() == Shape{4, 16});
    CHECK_EQ(parse_method(name_of(m)), m);
  }
  CHECK_THROWS_AS(parse_method("best"), UsageError);
}

TEST_CASE("the first step's loss is the method's formula") {
  Bench b;
  b.options.steps = 1;
  b.options.augment = false;
  b.options.temperature = 2;
  b.seed = 11;
  const std::int64_t L = 12, U = 20;
  // The same start, batches and forward pass; the losses in plain double loops.
  const auto forward = [&](const std::vector<AugmentItem>& labelled, const std::vector<AugmentItem>& unlabelled,
                           bool strong) {
    const auto n = static_cast<std::int64_t>(labelled.size() + unlabelled.size() * (strong ? 2 : 1));
    const Tensor x = Tensor::empty(b.ctx, {n, 12, 12, 1});
    const ImageView view = view_of(b.task.pool().images);
    float* p = x.data<float>();
    augment(kFast, view, false, labelled.data(), std::ssize(labelled), {}, b.task.normalization, 11, p);
    p += labelled.size() * 144;
    if (!unlabelled.empty())
      augment(kFast, view, false, unlabelled.data(), std::ssize(unlabelled), {}, b.task.normalization, 11, p);
    AugmentOptions o = augment_strong(12, Flip::h);
    o.view = 2;
    if (strong)
      augment(kFast, view, false, unlabelled.data(), std::ssize(unlabelled), o, b.task.normalization, 11,
              p + unlabelled.size() * 144);
    return x;
  };
  const auto network = [&] {
    auto net = make_network(b.ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 4});
    initialize(net->parameters(), 11);
    return net;
  };
  const auto supervised = [&](const Tensor& z, const std::vector<AugmentItem>& items) {
    double sum = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const int label = b.task.labels[static_cast<std::size_t>(items[i].image)];
      sum -= log_softmax(z.data<float>() + 4 * i, 4, 1)[static_cast<std::size_t>(label)];
    }
    return sum / static_cast<double>(items.size());
  };
  const std::vector<AugmentItem> labelled = BatchOrder(b.task.split.labelled, L, 11, 0x6c61626c).batch(0);
  const std::vector<AugmentItem> seen = BatchOrder(b.task.target, U, 11, 0x756e6c62).batch(0);
  const std::vector<AugmentItem> unseen = BatchOrder(b.task.split.unlabelled, U, 11, 0x756e6c62).batch(0);
  const double tol = 2e-5;  // float sums of a few hundred terms of size about 3

  auto net = network();
  const double scratch = supervised(net->logits(b.ctx, forward(labelled, {}, false), true), labelled);
  CHECK(std::abs(b.first_loss(Method::scratch, {}) - scratch) <= tol);

  net = network();
  const Tensor features = net->features(b.ctx, forward(labelled, seen, false), true);
  const double ce = supervised(net->head(b.ctx, features), labelled);
  Linear heads(b.ctx, 16, 7);
  ParameterList head_list;
  heads.collect("source_heads", head_list);
  initialize(head_list, 11 ^ 0x68656164);
  const Tensor g = heads(b.ctx, features);
  const double alpha[] = {0.7, 0.3};
  double distilled = 0;
  for (std::size_t s = 0; s < 2; ++s) {
    const std::int64_t C = s == 0 ? 4 : 3, first = s == 0 ? 0 : 4;
    for (std::int64_t i = 0; i < U; ++i) {
      const auto row = std::find(b.task.target.begin(), b.task.target.end(), seen[static_cast<std::size_t>(i)].image) -
                       b.task.target.begin();
      const auto teacher = log_softmax(b.outputs[s].logits.as<float>().data() + row * C, C, 2);
      const auto student = log_softmax(g.data<float>() + (L + i) * 7 + first, C, 2);
      for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c)
        distilled -= alpha[s] * 4 * std::exp(teacher[c]) * student[c] / static_cast<double>(U);
    }
  }
  const auto teachers = b.teachers(0.7, 0.3);
  for (const double lambda : {0.0, 0.2, 1.0}) {
    b.options.lambda = lambda;
    const double want = lambda * ce + (1 - lambda) * distilled;
    CHECK(std::abs(b.first_loss(Method::weighted, teachers) - want) <= tol);
    CHECK_FALSE(std::abs(b.first_loss(Method::weighted, b.teachers(0.3, 0.7)) - want) <= tol * (lambda < 1 ? 1 : 0));
  }

  net = network();
  const Tensor z = net->logits(b.ctx, forward(labelled, unseen, true), true);
  const double clean = supervised(z, labelled);
  for (const double threshold : {0.0, 0.4, 1.0}) {
    b.options.threshold = threshold;
    double sum = 0;
    int counted = 0;
    for (std::int64_t i = 0; i < U; ++i) {
      const auto weak = log_softmax(z.data<float>() + (L + i) * 4, 4, 1);
      const auto best = static_cast<std::size_t>(std::max_element(weak.begin(), weak.end()) - weak.begin());
      if (std::exp(weak[best]) < threshold) continue;
      ++counted;
      sum -= log_softmax(z.data<float>() + (L + U + i) * 4, 4, 1)[best] / static_cast<double>(U);
    }
    CAPTURE(threshold);
    CHECK(std::abs(b.first_loss(Method::fixmatch, {}) - (clean + sum)) <= tol);
    CHECK_EQ(b.run(Method::fixmatch, {}).pseudo_labelled, counted / static_cast<double>(U));
    CHECK_EQ(counted, threshold == 0 ? U : threshold == 1 ? 0 : counted);
  }
}

TEST_CASE("same seed, same bits; another seed, another student") {
  Bench b;
  for (const Method m : {Method::scratch, Method::fixmatch, Method::weighted}) {
    const StudentRun first = b.run(m, b.teachers(0.5, 0.5)), second = b.run(m, b.teachers(0.5, 0.5));
    CHECK_EQ(differing(*first.model.network, *second.model.network), "");
    b.seed = 1;
    CHECK_NE(differing(*first.model.network, *b.run(m, b.teachers(0.5, 0.5)).model.network), "");
    b.seed = 0;
  }
}

TEST_CASE("same seed, same bits on any number of threads") {
  Bench b;
  // Large enough that loops, convolutions and sums over the batch are cut.
  b.task = make_task(toy_set(120, 4, 1, 1, 28), toy_set(40, 4, 2, 1, 28), {},
                     {.labels_per_class = 8, .unlabelled = 60, .seed = 0});
  b.options.batch = b.options.unlabelled_batch = 32;
  b.options.student_width = 8;
  b.options.steps = 4;
  const int threads = max_threads();
  const auto student = [&](Method m, int n) {
    set_threads(n);
    for (std::size_t s = 0; s < b.sources.size(); ++s) b.outputs[s] = source_outputs(b.ctx, b.sources[s], b.task);
    StudentRun run = b.run(m, b.teachers(0.5, 0.5));
    set_threads(threads);
    return run;
  };
  for (const Method m : kAll) {
    CAPTURE(name_of(m));
    const StudentRun first = student(m, 2);
    for (const int n : {2, 1, 3}) CHECK_EQ(differing(*first.model.network, *student(m, n).model.network), "");
  }
}

TEST_CASE("a source of weight 0 is as if it were not there; one source alone makes weighted nearest") {
  Bench b;
  const StudentRun left_out = b.run(Method::weighted, {b.teachers(1, 0)[0]});
  CHECK_EQ(differing(*left_out.model.network, *b.run(Method::weighted, b.teachers(1, 0)).model.network), "");
  CHECK_EQ(differing(*left_out.model.network, *b.run(Method::nearest, b.teachers(1, 0)).model.network), "");
  CHECK_NE(differing(*left_out.model.network, *b.run(Method::weighted, b.teachers(0.9, 0.1)).model.network), "");
  // It is not even looked at.
  const std::vector<Teacher> broken = {b.teachers(1, 0)[0], {&b.sources[1], nullptr, 0}};
  CHECK_EQ(b.error(Method::weighted, broken), "");
}

TEST_CASE("stopped and resumed: the bits of a student that never stopped, heads of the sources included") {
  for (const Method m : kAll) {
    CAPTURE(name_of(m));
    Bench b;
    const TempFolder folder;
    b.place.checkpoint = folder / "c.safetensors";
    const StudentRun whole = b.run(m, b.teachers(0.6, 0.4));
    int steps = 0;
    TrainHooks hooks;
    hooks.stop = [&] { return steps++ == 3; };
    const StudentRun stopped = b.run(m, b.teachers(0.6, 0.4), hooks);
    CHECK_FALSE(stopped.result.finished);
    CHECK(stopped.best.network == nullptr);
    b.place.resume = true;
    const StudentRun resumed = b.run(m, b.teachers(0.6, 0.4));
    CHECK(resumed.result.finished);
    CHECK_EQ(differing(*whole.model.network, *resumed.model.network), "");
    CHECK_EQ(differing(*whole.best.network, *resumed.best.network), "");
    b.task.split.validation.clear();
    b.place.resume = false;
    CHECK(b.run(m, b.teachers(0.6, 0.4)).best.network == nullptr);
  }
}

TEST_CASE("teachers that look at the student's view agree with cached ones where nothing is augmented") {
  Bench b;
  b.options.augment = false;
  b.options.lr = 0.02;
  b.options.steps = 3;
  const StudentRun clean = b.run(Method::weighted, b.teachers(0.5, 0.5));
  b.options.teacher_view = "same";
  const auto difference = [&] {
    const StudentRun same = b.run(Method::weighted, b.teachers(0.5, 0.5));
    const ParameterList p = clean.model.network->parameters(), q = same.model.network->parameters();
    double worst = 0;
    for (std::size_t i = 0; i < p.size(); ++i)
      if (p[i].trainable())
        for (std::int64_t j = 0; j < p[i].tensor.numel(); ++j)
          worst = std::max(worst, std::abs(static_cast<double>(p[i].tensor.data<float>()[j]) -
                                           static_cast<double>(q[i].tensor.data<float>()[j])));
    return worst;
  };
  // The teachers' batches differ (20 or 52 images), so their logits may by some 1e-6; three small steps keep that.
  CHECK(difference() <= 1e-4);
  b.options.augment = true;
  CHECK(difference() > 1e-4);
}

TEST_CASE("a student may start from a model of its own architecture") {
  Bench b;
  const TempFolder folder;
  const std::filesystem::path path = folder / "start.safetensors";
  save_model(path, *b.sources[1].model.network, b.sources[1].model.info);  // 3 classes: its head is not taken
  b.options.init = path.string();
  b.options.lr = 1e-30;
  b.options.steps = 1;
  b.options.weight_decay = 0;
  const StudentRun r = b.run(Method::scratch, {});
  const ParameterList got = r.model.network->parameters(), from = b.sources[1].model.network->parameters();
  const auto fresh = make_network(b.ctx, r.model.info.architecture);
  const ParameterList random = fresh->parameters();
  initialize(random, 0);
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!got[i].trainable()) continue;
    const Parameter& want = got[i].name.starts_with("fc.") ? random[i] : from[i];
    CHECK_MESSAGE(same_bits(got[i].tensor.to_array(), want.tensor.to_array()), got[i].name);
  }
  b.options.student_width = 6;
  CHECK(has(b.error(Method::scratch, {}), "start.safetensors: is a resnet8 of width 4"));
  b.options.student_width = 4;
  b.options.student_shortcut = "conv";
  const std::string e = b.error(Method::scratch, {});
  CHECK(has(e, "shortcut A"));
  CHECK(has(e, "shortcut conv"));
  b.options.init = (folder / "none.safetensors").string();
  CHECK(has(b.error(Method::scratch, {}), "none.safetensors"));
}

TEST_CASE("options and inputs out of range are refused") {
  Bench b;
  const auto refused = [&](const std::function<void(Settings&)>& edit, Method m, const char* why) {
    const Settings before = b.options;
    edit(b.options);
    CHECK_MESSAGE(has(b.error(m, b.teachers(1, 0)), why), why);
    CHECK_THROWS_AS(b.run(m, b.teachers(1, 0)), UsageError);
    b.options = before;
  };
  for (const double lambda : {-0.1, 1.1, static_cast<double>(NAN)})
    refused([=](Settings& o) { o.lambda = lambda; }, Method::weighted, "--lambda: '");
  for (const double t : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    refused([=](Settings& o) { o.temperature = t; }, Method::weighted, "is no number above 0");
  for (const double t : {-0.1, 2.0, static_cast<double>(NAN)})
    refused([=](Settings& o) { o.threshold = t; }, Method::fixmatch, "is no number from 0 to 1");
  refused([](Settings& o) { o.batch = 0; }, Method::scratch, "--batch: '0' is no whole number from 1");
  refused([](Settings& o) { o.unlabelled_batch = 0; }, Method::fixmatch, "--unlabelled-batch");
  refused([](Settings& o) { o.student = "vgg"; }, Method::scratch, "vgg");
  refused([](Settings& o) { o.lr = -1; }, Method::scratch, "--lr");

  CHECK(has(b.error(Method::equal, {}), "at least one source"));
  CHECK(has(b.error(Method::equal, b.teachers(0, 0)), "at least one source"));
  for (const double alpha : {-0.5, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    CHECK(has(b.error(Method::weighted, b.teachers(1, alpha)), "source3: weight"));
  const std::vector<Teacher> swapped = {{&b.sources[0], &b.outputs[1], 1}};
  CHECK(has(b.error(Method::weighted, swapped), "source source4: its logits are [52, 3], expected [52, 4]"));
  CHECK(has(b.error(Method::weighted, {{&b.sources[0], nullptr, 1}}), "missing"));
  Source table{.name = "table", .hash = "", .model = {}, .table = b.outputs[0]};
  const std::vector<Teacher> tables = {{&table, &b.outputs[0], 1}};
  CHECK_EQ(b.error(Method::weighted, tables), "");
  b.options.teacher_view = "same";
  CHECK(has(b.error(Method::weighted, tables), "--teacher-view clean"));
  b.options.teacher_view = "clean";

  b.task.split.unlabelled.clear();
  b.task.target = b.task.split.labelled;
  // Without unlabelled images FixMatch and the sources speak of the labelled ones.
  CHECK_EQ(b.error(Method::fixmatch, {}), "");
  // These answered for others.
  CHECK(has(b.error(Method::weighted, b.teachers(1, 0)), "its logits are [52, 4], expected [12, 4]"));
  CHECK_EQ(b.error(Method::scratch, {}), "");
}
