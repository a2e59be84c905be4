// A toy task with three trained sources, for tests of all methods.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "distill/pipeline.hpp"
#include "distill/student/evaluator.hpp"
#include "distill/student/linear_probe.hpp"
#include "distill/student/run.hpp"
#include "engine/io/npy.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

namespace akin::test {

/// A toy task with three sources: two of the student's architecture, and a wider one.
struct Bench {
  Context ctx;
  Task task = make_task(toy_set(90, 4, 1), toy_set(40, 4, 2), {},
                        {.labels_per_class = 4, .unlabelled = 40, .validation = 12, .seed = 0});
  std::vector<Source> sources;
  Ranking ranking;
  Settings how;
  OutputOptions outputs;

  Bench() {
    add("narrow4", toy_source(ctx, 4, 4).model);
    add("narrow3", toy_source(ctx, 3, 3).model);
    ClassifierOptions wide;
    wide.architecture = toy_net(6);
    wide.epochs = 6;
    wide.batch = 16;
    wide.augment = false;
    add("wide", train_classifier(ctx, toy_set(64, 4, 1007), wide).model);
    how.student_width = 4;
    how.batch = 12;
    how.unlabelled_batch = 20;
    how.flip = "h";
    how.steps = 60;
    how.replicates = 0;
    how.mapping = "softmax";
    rank();
  }
  void add(const std::string& name, Model model) {
    sources.push_back({.name = name, .hash = name, .model = std::move(model), .table = {}});
  }
  void rank() { ranking = rank_sources(ctx, task, sources, rank_options_of(how), {}, 0); }
  void set_similarity(std::vector<double> values) {
    for (std::size_t s = 0; s < values.size(); ++s) ranking.rows[s].similarity.value = values[s];
  }
  std::vector<StudentPlan> plan(Method m, std::uint64_t seed = 0) {
    return plan_students(ctx, m, seed, task, sources, ranking, how);
  }
  StudentRecord run(const StudentPlan& plan, const StudentPlace& place = {}) {
    StudentRecord record;
    TestAnswers answers;
    CHECK(run_student(ctx, {task, sources, ranking.outputs, outputs}, plan, how, place, {}, record, answers));
    CHECK_EQ(answers.predictions.size(), task.test().size());
    return record;
  }
  /// Which source it is; -1: none.
  std::ptrdiff_t number(const Source* source) const { return source == nullptr ? -1 : source - sources.data(); }
  std::string plan_error(Method m) {
    return error_of([&] { plan(m); });
  }
};

}  // namespace akin::test
