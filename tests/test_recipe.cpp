// How a student trains, by where it starts: recipes, rates of heads and bodies, and how far its images move.
#include <doctest/doctest.h>

#include "distill/student/train.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// A toy task, and one source that has the student's architecture.
struct Bench {
  Context ctx;
  TempFolder folder;
  Task task = make_task(toy_set(60, 4, 1), toy_set(20, 4, 2), {}, {.labels_per_class = 3, .unlabelled = 40});
  Source source{.name = "start", .hash = "", .model = toy_source(ctx, 4, 3).model, .table = {}};
  Outputs outputs = source_outputs(ctx, source, task);
  Settings settings;
  Place place;

  Bench() {
    settings.student_width = 4;
    settings.batch = 8;
    settings.unlabelled_batch = 12;
    settings.steps = 5;
    save_model(folder / "init.safetensors", *source.model.network, source.model.info);
  }
  StudentRun run(Method method) {
    const Start start = traits(method).start;
    const StudentPlan plan{.method = method,
                           .seed = 3,
                           .architecture = student_architecture(ctx, settings, task),
                           .start = start == Start::transfer || start == Start::nearest ? &source : nullptr};
    return train_student(ctx, task, plan, {{&source, &outputs, 1}}, settings, place);
  }
  /// What the student of these settings is.
  std::unique_ptr<Network> student(Method method, const Settings& with) {
    const Settings before = settings;
    settings = with;
    std::unique_ptr<Network> network = std::move(run(method).model.network);
    settings = before;
    return network;
  }
};

}  // namespace

TEST_CASE("a student that begins with trained weights follows their recipe, one with random weights the common one") {
  Bench b;
  Settings common = b.settings, mixed = b.settings;
  common.lr = mixed.pretrained_lr = 0.002;
  common.optimizer = mixed.pretrained_optimizer = "adamw";
  common.weight_decay = mixed.pretrained_weight_decay = 0.02;
  for (const bool init : {false, true})
    for (const Method m : {Method::scratch, Method::transfer, Method::finetune, Method::fixmatch,
                           Method::fixmatch_transfer, Method::weighted, Method::weighted_transfer}) {
      CAPTURE(init);
      CAPTURE(name_of(m));
      b.settings.init = common.init = mixed.init = init ? (b.folder / "init.safetensors").string() : "";
      const auto plain = b.student(m, b.settings), own = b.student(m, mixed), other = b.student(m, common);
      CHECK_NE(differing(*plain, *other), "");
      CHECK_EQ(differing(*own, begins_trained(traits(m), mixed) ? *other : *plain), "");
      CHECK_EQ(begins_trained(traits(m), mixed), init || traits(m).start != Start::fresh);
    }
}

TEST_CASE("each part of the recipe alone, and 0 for no decay at all") {
  Bench b;
  const auto check = [&](auto set_common, auto set_recipe) {
    Settings common = b.settings, recipe = b.settings;
    set_common(common);
    set_recipe(recipe);
    const auto want = b.student(Method::transfer, common);
    CHECK_EQ(differing(*b.student(Method::transfer, recipe), *want), "");
    CHECK_NE(differing(*b.student(Method::transfer, b.settings), *want), "");
  };
  check([](Settings& s) { s.lr = 0.03; }, [](Settings& s) { s.pretrained_lr = 0.03; });
  check([](Settings& s) { s.optimizer = "adamw"; }, [](Settings& s) { s.pretrained_optimizer = "adamw"; });
  check([](Settings& s) { s.weight_decay = 0; }, [](Settings& s) { s.pretrained_weight_decay = 0; });
}

TEST_CASE("head_lr is a factor on the rate of the student's head and of the sources' heads, and of nothing else") {
  for (const char* optimizer : {"sgd", "adamw"})
    for (const Method m : {Method::scratch, Method::weighted}) {
      CAPTURE(optimizer);
      CAPTURE(name_of(m));
      Bench b;
      b.settings.steps = 1;
      b.settings.optimizer = optimizer;
      b.place.checkpoint = b.folder / "c.safetensors";
      // The parameters after one step, with the source heads.
      const auto after = [&](double head_lr, double lr) {
        b.settings.head_lr = head_lr;
        b.settings.lr = lr;
        b.run(m);
        return read_safetensors(b.place.checkpoint);
      };
      const SafeTensors start = after(1, 1e-30), whole = after(1, 0.1), still = after(1e-30, 0.1),
                        half = after(0.5, 0.1), slow = after(1, 0.05);
      int heads = 0, bodies = 0;
      for (const auto& [name, array] : whole.tensors) {
        if (!name.starts_with("parameter.") || has(name, "running_") || has(name, "num_batches")) continue;
        CAPTURE(name);
        const bool head = has(name, ".fc.") || has(name, "source_heads");
        heads += head;
        bodies += !head;
        // From the same place one step has the same gradient: where it ends tells the rate.
        CHECK(same_bits(still.at(name), head ? start.at(name) : array));
        CHECK(same_bits(half.at(name), head ? slow.at(name) : array));
        CHECK_FALSE(same_bits(start.at(name), array));
      }
      CHECK_EQ(heads, m == Method::weighted ? 4 : 2);
      CHECK(bodies > 20);
    }
}

TEST_CASE("shift: how far images move, of students and of sources; none without flips is no augmentation") {
  Bench b;
  Settings none = b.settings, zero = b.settings, two = b.settings, three = b.settings, by_side = b.settings;
  none.augment = false;
  zero.shift = 0;
  two.shift = 2;
  three.shift = 3;
  CHECK_EQ(by_side.shift, -1);
  const auto differ = [&](Method m, const Settings& a, const Settings& c) {
    return !differing(*b.student(m, a), *b.student(m, c)).empty();
  };
  CHECK_FALSE(differ(Method::scratch, none, zero));
  CHECK(differ(Method::scratch, zero, two));
  CHECK(differ(Method::scratch, two, three));
  CHECK_FALSE(differ(Method::scratch, by_side, zero));  // a fourteenth of 12 pixels
  b.settings.threshold = none.threshold = zero.threshold = two.threshold = by_side.threshold = 0;
  CHECK(differ(Method::fixmatch, by_side, zero));  // the strong view moves by an eighth of them
  none.shift = 2;
  Settings still = none;
  still.shift = 3;
  CHECK_FALSE(differ(Method::scratch, none, still));
  CHECK(differ(Method::fixmatch, none, still));
  for (const char* flip : {"h", "v", "hv"}) {
    Settings flips = zero;
    flips.flip = flip;
    CHECK(differ(Method::scratch, flips, zero));
  }
  b.settings.shift = 12;
  CHECK(has(error_of([&] { plan_students(b.ctx, Method::scratch, 0, b.task, {}, {}, b.settings); }),
            "shift 12: images of 12 pixels a side may move by 0 to 11"));

  const auto source = [&](const Settings& s) {
    ClassifierOptions o = classifier_of(s);
    o.architecture = toy_net(4);
    o.epochs = 1;
    o.batch = 8;
    return train_classifier(b.ctx, toy_set(16, 4, 1), o).model;
  };
  none.shift = -1;
  CHECK_EQ(differing(*source(none).network, *source(zero).network), "");
  CHECK_NE(differing(*source(two).network, *source(zero).network), "");
  zero.flip = "v";
  CHECK_NE(differing(*source(none).network, *source(zero).network), "");
  CHECK(has(error_of([&] { source(b.settings); }), "may move by 0 to 11"));
}
