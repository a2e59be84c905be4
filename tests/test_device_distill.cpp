// The five methods on the CUDA kernels: in the emulator on every commit, and on a card where there is one.
#include <doctest/doctest.h>

#include <cmath>

#include "distill/student/train.hpp"
#include "tests/places.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("every method distils on the device as on the CPU") {
  const ImageSet pool = toy_set(72, 4, 1), test = toy_set(40, 4, 2);
  const auto results = [&](Device device) {
    Context ctx(device, {.poison = true});
    Context cpu;
    Task task = make_task(pool, test, {}, {.labels_per_class = 3, .unlabelled = 40, .validation = 0, .seed = 0});
    std::vector<Source> sources;
    std::vector<Outputs> outputs;
    const TempFolder folder;
    for (const int classes : {4, 3}) {
      const TrainedClassifier c = toy_source(cpu, classes, static_cast<std::uint64_t>(classes));
      save_model(folder / "s.safetensors", *c.model.network, c.model.info);
      sources.push_back({.name = "source" + std::to_string(classes),
                         .hash = "",
                         .model = load_model(ctx, folder / "s.safetensors"),
                         .table = {}});
      outputs.push_back(source_outputs(ctx, sources.back(), task));
    }
    std::vector<double> losses;
    for (const Method m : {Method::scratch, Method::fixmatch, Method::weighted}) {
      Settings o;
      o.student_width = 4;
      o.batch = 12;
      o.unlabelled_batch = 20;
      o.threshold = 0.4;
      o.steps = 4;
      o.eval_every = 1;
      const StudentPlan plan{.method = m, .architecture = student_architecture(ctx, o, task)};
      for (const char* view : {"clean", "same"}) {
        o.teacher_view = view;
        const StudentRun run =
            train_student(ctx, task, plan, {{&sources[0], &outputs[0], 0.7}, {&sources[1], &outputs[1], 0.3}}, o);
        for (const CurvePoint& p : run.result.curve) losses.push_back(p.loss);
        if (m == Method::fixmatch) losses.push_back(run.pseudo_labelled);
        if (m != Method::weighted) break;
      }
    }
    return losses;
  };
  const std::vector<double> want = results(Device::cpu);
  for (const Device device : gpu_devices()) {
    CAPTURE(name_of(device));
    const std::vector<double> got = results(device);
    REQUIRE_EQ(got.size(), want.size());
    // The first losses differ by rounding, 1e-6; each of the three updates after that may amplify it some ten times.
    for (std::size_t i = 0; i < want.size(); ++i) CHECK_MESSAGE(std::abs(got[i] - want[i]) <= 2e-3 * want[i], i);
  }
}
