// Label budgets: what a manifest asks for is what a task gets, and a resolved one gives the very same split again.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "distill/task/task.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Fixture {
  TempFolder folder;
  SplitOptions defaults{.labels_per_class = 2, .unlabelled = 0, .validation = 0, .seed = 4};
  ImageSet more = [] {
    ImageSet set = toy_set(11, 3, 9);
    set.labels.clear();
    return set;
  }();

  LabelManifest read(const std::string& text, const char* name = "labels.toml") const {
    write_file_atomic(folder / name, std::string_view(text));
    return read_manifest(folder / name, defaults);
  }
  /// 12 images of class 0, 11 of each other one; `more` behind them where asked for.
  Task task(const LabelManifest& m, bool with_more = false) const {
    return make_task(target_images(toy_set(34, 3, 1), toy_set(6, 3, 2), with_more ? more : ImageSet{}), m);
  }
  Task task(const std::string& text, bool with_more = false) const { return task(read(text), with_more); }
  std::string error(const std::string& text, bool with_more = false) const {
    return error_of([&] { task(text, with_more); });
  }
};

std::map<int, int> counts(const Task& t, const Indices& part) {
  std::map<int, int> out;
  for (const std::int64_t i : part) ++out[t.labels[static_cast<std::size_t>(i)]];
  return out;
}

bool same_split(const TaskSplit& a, const TaskSplit& b) {
  return a.labelled == b.labelled && a.unlabelled == b.unlabelled && a.validation == b.validation;
}

void check_disjoint(const TaskSplit& s, std::size_t images) {
  Indices all;
  for (const Indices* part : {&s.labelled, &s.unlabelled, &s.validation}) {
    CHECK(std::is_sorted(part->begin(), part->end()));
    all.insert(all.end(), part->begin(), part->end());
  }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK_EQ(all.size(), images);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "per_class, fraction and validation count by class; per_class is the plain split") {
  const Task plain = make_task(toy_set(34, 3, 1), toy_set(6, 3, 2), {}, defaults);
  CHECK(same_split(task("per_class = 2").split, plain.split));
  const Task five = task("per_class = 5\nvalidation = 3\nunlabelled = 7");
  CHECK(counts(five, five.split.labelled) == std::map<int, int>{{0, 5}, {1, 5}, {2, 5}});
  CHECK(counts(five, five.split.validation) == std::map<int, int>{{0, 3}, {1, 3}, {2, 3}});
  check_disjoint(five.split, 15 + 9 + 7);
  // More labels keep the first ones.
  CHECK(std::includes(five.split.labelled.begin(), five.split.labelled.end(), plain.split.labelled.begin(),
                      plain.split.labelled.end()));
  const Task share = task("fraction = 0.25\nvalidation = 0.1");  // 3 of 12, 2.75 of 11; 1.2 and 1.1
  CHECK(counts(share, share.split.labelled) == std::map<int, int>{{0, 3}, {1, 3}, {2, 3}});
  CHECK(counts(share, share.split.validation) == std::map<int, int>{{0, 1}, {1, 1}, {2, 1}});
  check_disjoint(share.split, 34);
  const Task least = task("fraction = 0.001");  // at least one of each
  CHECK(counts(least, least.split.labelled) == std::map<int, int>{{0, 1}, {1, 1}, {2, 1}});
  const Task all = task("fraction = 1");
  CHECK_EQ(all.split.labelled.size(), 34);
  CHECK(all.split.unlabelled.empty());
  CHECK_EQ(task("fraction = 1\nunlabelled = 5", true).split.unlabelled.size(), 5);
  const Task every = task("per_class = \"all\"\nvalidation = 0.2\nunlabelled = 5", true);
  CHECK_EQ(every.split.validation.size(), 6);  // 2.4 of 12, 2.2 of 11
  CHECK_EQ(every.split.labelled.size(), 28);
  CHECK_EQ(every.split.unlabelled.size(), 5);
  CHECK(task("per_class = \"all\"").split.unlabelled.empty());
  CHECK(has(error("per_class = \"some\""), "per_class"));
  LabelManifest other = read("per_class = 2");
  other.draw.seed = 5;
  CHECK_FALSE(same_split(task(other).split, plain.split));
}

TEST_CASE_FIXTURE(Fixture, "a resolved manifest gives the same split back, whatever the seed") {
  for (const char* text : {"per_class = 3\nvalidation = 2\nunlabelled = 8", "fraction = 0.3", "per_class = 1"})
    for (const bool with_more : {false, true}) {
      const Task first = task(text, with_more);
      LabelManifest again = read(manifest_of(first, 4), "resolved.json");
      CHECK(again.fixed());
      again.draw.seed = 77;
      again.draw.validation = 3;  // as a command line might ask; the manifest says which
      LabelManifest strict = read_manifest(folder / "resolved.json",
                                           {.labels_per_class = 9, .unlabelled = 1, .validation = 3, .seed = 77});
      const Task second = task(strict, with_more);
      CHECK(same_split(second.split, first.split));
      CHECK(second.target == first.target);
      CHECK(second.normalization.mean == first.normalization.mean);
      CHECK_EQ(second.hash(), first.hash());
      CHECK_EQ(manifest_of(second, 4), manifest_of(first, 4));
    }
  const auto j = nlohmann::json::parse(manifest_of(task("per_class = 1"), 4));
  CHECK_EQ(j["data"].get<std::string>().size(), 64);
  CHECK_EQ(j["seed"], 4);
  CHECK_EQ(j["labelled"].size(), 3);
}

TEST_CASE_FIXTURE(Fixture, "a resolved manifest that was changed is refused; without its digest it is a person's own") {
  const std::string text = manifest_of(task("per_class = 1"), 4);
  const auto said = [&](const std::string& changed) { return error_of([&] { read(changed, "m.json"); }); };
  CHECK_EQ(said(text), "");
  for (const char* key : {"labelled", "unlabelled", "data", "seed"}) {
    std::string flipped = text;
    char& digit = flipped[flipped.find_first_of("0123456789", flipped.find(std::string(key) + "\": "))];
    digit = digit == '9' ? '8' : '9';
    CHECK(has(said(flipped), "m.json: its content is not what akin wrote"));
  }
  nlohmann::ordered_json own = nlohmann::ordered_json::parse(text);
  own.erase("sha256");
  own["seed"] = 5;
  CHECK_EQ(said(own.dump()), "");
  own["sha256"] = "0123";
  CHECK(has(said(own.dump(2)), "\"sha256\" out of it"));
}

TEST_CASE_FIXTURE(Fixture, "listed images: theirs are the labels; an unlabelled image may get one") {
  const Task t = task("[labelled]\nclass0 = [0, 3]\nclass1 = [1]\nclass2 = [2, 40]\n", true);
  CHECK(t.split.labelled == Indices{0, 1, 2, 3, 40});
  CHECK_EQ(t.labels[40], 2);
  CHECK_EQ(t.labels[41], -1);
  CHECK_EQ(t.split.unlabelled.size(), 34 + 11 - 5);
  check_disjoint(t.split, 45);
  const Task held =
      task("unlabelled = [10, 7]\n[labelled]\nclass0 = [0]\nclass1 = [1]\nclass2 = [2]\n[validation]\nclass1 = [4]");
  CHECK(held.split.validation == Indices{4});
  CHECK(held.split.unlabelled == Indices{7, 10});
  CHECK(held.target == Indices{0, 1, 2, 7, 10});
  const Task drawn = task("validation = 2\n[labelled]\nclass0 = [0]\nclass1 = [1]\nclass2 = [2]");
  CHECK_EQ(drawn.split.validation.size(), 6);
  check_disjoint(drawn.split, 34);
}

TEST_CASE_FIXTURE(Fixture, "what a manifest gets wrong is named") {
  const std::string lists = "[labelled]\nclass0 = [0]\nclass1 = [1]\n";
  CHECK(has(error(lists), "class 'class2' has no labelled image"));
  CHECK(has(error(lists + "class2 = []"), "class 'class2' has no labelled image"));
  CHECK(has(error(lists + "class22 = [2]"), "class 'class22' is not one of the data set's; did you mean 'class2'?"));
  CHECK(has(error(lists + "class2 = [2, 2]"), "image 2 is listed twice: as labelled and as labelled"));
  CHECK(
      has(error("unlabelled = [5, 1]\n" + lists + "class2 = [2]"), "image 1 is listed twice: as labelled and as unl"));
  CHECK(has(error(lists + "class2 = [34]"), "image 34 of 34"));
  CHECK(has(error(lists + "class2 = [-1]"), "-1 is no position"));
  CHECK(has(error(lists + "class2 = [3]"), "image 3 is listed as 'class2', the data set has it as 'class0'"));
  CHECK(has(error(lists + "class2 = [2.5]"), "2.5 is no whole number"));
  CHECK(has(error("per_class = 12"), "class 'class1' has 11 training images, 12 labelled ones are wanted"));
  CHECK(has(error("per_class = 9\nvalidation = 3"), "class 'class1' has 2 images left"));
  CHECK(has(error("per_class = 0"), "per_class: 0"));
  CHECK(has(error("fraction = 0"), "fraction: 0 is no share"));
  CHECK(has(error("fraction = 1.5"), "fraction: 1.5 is no share"));
  CHECK(has(error("per_class = 2\nvalidation = 1.0"), "validation: a share of 1 leaves too few images"));
  CHECK(has(error("fraction = 0.7\nvalidation = 0.5"), "validation: a share of 0.5 leaves too few images"));
  CHECK_EQ(error("fraction = 0.5\nvalidation = 0.4"), "");
  CHECK(error("per_class = 12").find("class 'class1'") > error("per_class = 12").find(".toml: "));  // the file is named
  CHECK(has(error("per_class = 2\nfraction = 0.5"), "exactly one of per_class, fraction"));
  CHECK(has(error("validation = 2"), "exactly one of per_class, fraction"));
  CHECK(has(error("per_clas = 2"), "exactly one of"));
  CHECK(has(error("per_class = 2\nvalidatoin = 1"), "validatoin: this setting is unknown; did you mean 'validation'?"));
  CHECK(has(error("per_class = 2\nunlabelled = [1]"), "draws the labelled ones"));
  CHECK(has(error("per_class = two"), "line 1"));
  CHECK(has(error("per_class = \"2\""), "is no whole number"));
  CHECK(has(error_of([&] { read("{", "x.json"); }), "x.json: is no JSON"));
  CHECK(has(error_of([&] { read_manifest(folder / "none.toml", defaults); }), "none.toml"));
  // Another data set, or this one in another form.
  write_file_atomic(folder / "resolved.json", std::string_view(manifest_of(task("per_class = 1"), 4)));
  const LabelManifest m = read_manifest(folder / "resolved.json", defaults);
  CHECK_EQ(error_of([&] { task(m); }), "");
  CHECK(has(error_of([&] { task(m, true); }), "resolved.json: was made for other images than those of toy"));
  CHECK(has(error_of([&] { make_task(target_images(toy_set(34, 3, 2), toy_set(6, 3, 2)), m); }),
            "was made for other images"));
}
