// Tables know which images their rows are: by names, digests and labels, which are looked at.
#include <doctest/doctest.h>

#include <algorithm>

#include "distill/similarity/feature_table.hpp"
#include "distill/task/outputs.hpp"
#include "distill/task/table_file.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/seal.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

using Cells = std::vector<std::string>;
using Notes = std::vector<std::string>;

TableRows named(Cells names, Cells labels = {}) {
  return {.file = "table", .names = std::move(names), .labels = std::move(labels)};
}

Indices matched(const TableRows& table, const TableRows& wanted, Notes& notes) {
  return match_rows(table, std::ssize(table.names), wanted, notes);
}

float value_of_row(std::int64_t i) { return 0.5f + static_cast<float>(i * i); }

Array numbered_rows(std::int64_t rows) {
  Array a(DType::f32, {rows, 2});
  for (std::int64_t i = 0; i < rows; ++i) a.as<float>()[static_cast<std::size_t>(2 * i)] = value_of_row(i);
  return a;
}

/// A data set whose images have names.
ImageSet pictures(std::int64_t count) {
  ImageSet set = toy_set(count, 3, 1);
  for (std::int64_t i = 0; i < count; ++i)
    set.names.push_back(fmt::format("train/{}/{}.png",
                                    set.classes[static_cast<std::size_t>(set.labels[static_cast<std::size_t>(i)])], i));
  return set;
}

}  // namespace

TEST_CASE("table rows: names put rows right, whatever is before and behind them") {
  const TableRows wanted = named({"train/cat/1.png", "train/cat/2.png", "train/dog/1.png"});
  const std::pair<Cells, Indices> cases[] = {
      {{"train/cat/1.png", "train/cat/2.png", "train/dog/1.png"}, {0, 1, 2}},
      {{"train/dog/1.png", "train/cat/1.png", "train/cat/2.png"}, {1, 2, 0}},
      {{"/data/x/train/cat/2.png", "/data/x/train/cat/1.png", "/data/x/train/dog/1.png"}, {1, 0, 2}},
      {{"dog/1.png", "cat/2.png", "cat/1.png"}, {2, 1, 0}},
      {{"./dog\\1.png", ".\\cat\\2.png", "cat\\1.png"}, {2, 1, 0}},
      {{"dog/1", "cat/2", "cat/1"}, {2, 1, 0}},
      {{"dog/1.jpg", "cat/2.jpg", "cat/1.jpg"}, {2, 1, 0}},
      {{"cow/1.png", "dog/1.png", "cat/2.png", "cat/1.png"}, {3, 2, 1}},
  };
  for (const auto& [names, order] : cases) {
    Notes notes;
    CHECK(matched(named(names), wanted, notes) == order);
    CHECK_EQ(notes.empty(), order == Indices{0, 1, 2} && names.size() == 3);
  }
  Notes notes;
  CHECK(matched(named({"1.png", "3.png", "2.png"}), named({"a/2.png", "b/1.png"}), notes) == Indices{2, 0});
  CHECK(has(notes.at(0), "1 of its rows are of no image"));
  CHECK(has(notes.at(1), "another order"));
  // Numbers that are no files' names count something else.
  notes.clear();
  CHECK(matched(named({"17", "4", "9"}), wanted, notes) == Indices{0, 1, 2});
  CHECK(has(notes.at(0), "named by numbers"));
  const std::string e = error_of([&] { matched(named({"cat/1.png", "dog/1.png", "cow/2.png"}), wanted, notes); });
  CHECK(has(
      e, "table: has no row for 1 of the 3 images of table: \"train/cat/2.png\" (its names are like \"cat/1.png\")"));
  CHECK(has(error_of([&] { matched(named({"1.png", "2.png"}), wanted, notes); }), "has no row for"));
  // The same names in another split are other images.
  const Cells tails[] = {{"val/cat/1.png", "val/cat/2.png", "val/dog/1.png"},
                         {"/d/Testing/cat/1.png", "/d/Testing/cat/2.png", "/d/Testing/dog/1.png"},
                         {"x\\valid\\cat\\1.png", "x\\valid\\cat\\2.png", "x\\valid\\dog\\1.png"}};
  for (const Cells& names : tails) {
    CAPTURE(names[0]);
    CHECK(
        has(error_of([&] { matched(named(names), wanted, notes); }), "split, \"train/cat/1.png\" of table of a train"));
    TableRows same = named(names), here = wanted;
    same.images_sha256 = here.images_sha256 = "ab";
    CHECK_EQ(error_of([&] { matched(same, here, notes); }), "");
  }
  notes.clear();
  CHECK(matched(named({"/d/training/cat/1.png", "/d/training/cat/2.png", "/d/training/dog/1.png"}), wanted, notes) ==
        Indices{0, 1, 2});
  CHECK(matched(named({"/val/x/cat/1.png", "/val/x/cat/2.png", "/val/x/dog/1.png"}),
                named({"cat/1.png", "cat/2.png", "dog/1.png"}), notes) == Indices{0, 1, 2});
  const TableRows twice = named({"cat/1.png", "dog/1.png", "cat/1.png"});
  CHECK_EQ(error_of([&] { matched(twice, twice, notes); }),
           "table: rows 0 and 2 (from 0) are both called \"cat/1.png\"; names tell images apart and all differ");
}

TEST_CASE("table rows: digests and labels") {
  Notes notes;
  const auto keyed = [](std::string hash, std::string size, Cells labels = {}) {
    return TableRows{
        .file = "t", .images_sha256 = std::move(hash), .images_size = std::move(size), .labels = std::move(labels)};
  };
  CHECK(match_rows(keyed("a", "8x8x1"), 4, keyed("a", "8x8x1"), notes) == Indices{0, 1, 2, 3});
  CHECK(match_rows(keyed("", ""), 4, keyed("a", "8x8x1"), notes).size() == 4);
  CHECK(notes.empty());
  CHECK(has(error_of([&] { match_rows(keyed("b", "8x8x1"), 4, keyed("a", "8x8x1"), notes); }),
            "was made of other images"));
  CHECK(has(error_of([&] { match_rows(keyed("b", ""), 4, keyed("a", "8x8x1"), notes); }), "in another order"));
  match_rows(keyed("b", "9x9x1"), 4, keyed("a", "8x8x1"), notes);
  CHECK(has(notes.at(0), "cannot be told"));
  TableRows same = named({"x", "y"});
  same.images_sha256 = "b";
  TableRows changed = same;
  changed.images_sha256 = "a";
  CHECK(has(error_of([&] { matched(same, changed, notes); }), "under the same names"));
  // Rows that are moved or left out have no digest of their own: told, whatever the sizes.
  for (const Cells& there : {Cells{"y", "x"}, Cells{"x", "y", "z"}})
    for (const char* size : {"", "9x9x1"}) {
      TableRows more = named(there);
      more.images_sha256 = "b";
      more.images_size = size;
      changed.images_size = "8x8x1";
      notes.clear();
      matched(more, changed, notes);
      REQUIRE_EQ(notes.size(), 2u);
      CHECK(has(notes[1], "by their names alone"));
      CHECK_EQ(has(notes[1], "at 9x9x1, not 8x8x1"), *size != '\0');
      more.images_sha256 = "";
      notes.clear();
      matched(more, changed, notes);
      CHECK_EQ(notes.size(), 1u);
    }
  // The digest says this order, and the names another one.
  TableRows turned = named({"y", "x"});
  turned.images_sha256 = "a";
  CHECK(has(error_of([&] { matched(turned, changed, notes); }), "its names tell another one"));

  const auto compare = [&](Cells there, Cells here) {
    notes.clear();
    compare_labels(keyed("", "", std::move(there)), {0, 1, 2, 3}, keyed("", "", std::move(here)), notes);
    return notes.size();
  };
  CHECK_EQ(compare({"0", "1", "1", "2"}, {"0", "1", "1", "2"}), 0u);
  CHECK_EQ(compare({"0.0", "1.0", "1", "-1"}, {"0", "1", "1", "2"}), 0u);
  CHECK_EQ(compare({}, {"0", "1", "1", "2"}), 0u);
  CHECK_EQ(compare({"cat", "dog", "dog", "cow"}, {"0", "1", "1", "2"}), 0u);
  CHECK_EQ(compare({"1", "2", "2", "3"}, {"0", "1", "1", "2"}), 1u);
  CHECK(has(notes[0], "numbers the classes otherwise"));
  CHECK(has(error_of([&] {
              compare({"0", "1", "2", "1"}, {"0", "1", "1", "2"});
            }),
            "row 2 is \"2\" there and \"1\" here (2 of 4 differ)"));
  CHECK(has(error_of([&] { compare({"cat", "dog", "dog", "dog"}, {"dog", "cat", "cat", "cat"}); }), "4 of 4 differ"));
}

TEST_CASE("table rows: a source's table is matched to the target's images") {
  const TempFolder folder;
  Context ctx;
  const ImageSet set = pictures(12);
  const Task task = whole_pool(target_images(set, {}));
  const auto outputs = [&](const std::function<void(SafeTensors&)>& edit, Notes& notes) {
    SafeTensors t;
    t.add("features", numbered_rows(12));
    add_rows(t, rows_of(set, task.hash()));
    edit(t);
    write_safetensors(folder / "t.safetensors", t);
    return source_outputs(ctx, open_source(ctx, folder / "t.safetensors"), task,
                          {.tell = [&](const std::string& line) { notes.push_back(line); }});
  };
  Notes notes;
  CHECK(same_bits(outputs([](SafeTensors&) {}, notes).features, numbered_rows(12)));
  CHECK(notes.empty());
  // The rows the other way round, with their names: put right.
  const Outputs turned = outputs(
      [&](SafeTensors& t) {
        TableRows rows = rows_of(set, "");
        std::reverse(rows.names.begin(), rows.names.end());
        t = {};
        Array features = numbered_rows(12);
        for (std::int64_t i = 0; i < 12; ++i)
          features.as<float>()[static_cast<std::size_t>(2 * i)] = value_of_row(11 - i);
        t.add("features", features);
        add_rows(t, rows);
      },
      notes);
  CHECK(same_bits(turned.features, numbered_rows(12)));
  REQUIRE_EQ(notes.size(), 1u);
  CHECK(has(notes[0], "put right by their names"));
  // The images in another order, told by the digest alone: refused.
  const auto nameless = [&](const std::string& hash) {
    return error_of([&] {
      outputs(
          [&](SafeTensors& t) {
            std::erase_if(t.tensors, [](const auto& tensor) { return tensor.first == "names"; });
            t.metadata["images_sha256"] = hash;
          },
          notes);
    });
  };
  CHECK_EQ(nameless(task.hash()), "");
  CHECK(has(nameless("0123"), "was made of other images"));
  // Labels that contradict.
  const std::string labels = error_of([&] {
    outputs(
        [&](SafeTensors& t) {
          std::vector<std::int32_t> other(set.labels.begin(), set.labels.end());
          std::swap(other[0], other[1]);
          t.add("labels", Array::from(other, {12}));
        },
        notes);
  });
  CHECK(has(labels, "its labels are not those of"));
  CHECK(has(labels, "(2 of 12 differ)"));
  const auto said = [&](const std::function<void(SafeTensors&)>& edit) {
    return error_of([&] { outputs(edit, notes); });
  };
  CHECK(has(said([](SafeTensors& t) { t.add("labels", Array(DType::i32, {11})); }), "11 labels for 12 rows"));
  CHECK(has(said([](SafeTensors& t) {
              for (auto& [name, a] : t.tensors)
                if (name == "names") a = Array::from(std::vector<std::uint8_t>{'a', 0}, {2});
            }),
            "1 names for 12 rows"));
  // Numbers: a row counter, what f32 cannot hold, what it rounds.
  const auto features = [&](Array a) { return said([&](SafeTensors& t) { t.tensors[0].second = std::move(a); }); };
  Array counter(DType::i64, {12, 2});
  for (std::size_t i = 0; i < 12; ++i) counter.as<std::int64_t>()[2 * i + 1] = static_cast<std::int64_t>(i);
  CHECK(has(features(counter),
            "column 2 of features is 0, 1, 2 ... in the order of the rows: a row number is no feature"));
  Array wide = numbered_rows(12).cast(DType::f64);
  wide.as<double>()[5] = 1e39;
  CHECK(has(features(wide), "hold 1e+39 in row 2, column 2, beyond what f32 can hold"));
  notes.clear();
  Array whole(DType::i64, {12, 2});
  whole.as<std::int64_t>()[3] = (1 << 24) + 1;
  CHECK_EQ(features(whole), "");
  CHECK(has(notes.at(0), "whole numbers beyond 2^24, which f32 rounds"));
}

TEST_CASE("table rows: every file of a folder that says something of its rows is part of the source") {
  const TempFolder folder;
  Context ctx;
  const std::filesystem::path table = folder / "table";
  make_folder(table);
  write_npy(table / "features.npy", numbered_rows(12));
  std::vector<std::string> seen;
  const auto is_new = [&] {
    const std::string hash = open_source(ctx, table).hash;
    const bool fresh = std::find(seen.begin(), seen.end(), hash) == seen.end();
    seen.push_back(hash);
    return fresh;
  };
  CHECK(is_new());
  CHECK_FALSE(is_new());
  write_npy(table / "logits.npy", numbered_rows(12));
  CHECK(is_new());
  std::string names;
  for (int i = 0; i < 12; ++i) names += fmt::format("{}.png\n", i);
  write_file_atomic(table / "names.txt", std::string_view(names));
  CHECK(is_new());
  std::swap(names[0], names[6]);
  write_file_atomic(table / "names.txt", std::string_view(names));
  CHECK(is_new());
  write_npy(table / "labels.npy", Array(DType::i32, {12}));
  CHECK(is_new());
  write_rows(table, {.file = "", .images_sha256 = "ab"});
  CHECK(is_new());
}

TEST_CASE("table rows: tables for ranking are put into one order, and what they say is compared") {
  const TempFolder folder;
  write_file_atomic(folder / "a.csv", std::string_view("file,x,z\nq/1.png,1.5,2\nq/2.png,3,4\nq/3.png,5,7\n"));
  write_file_atomic(folder / "b.csv", std::string_view("file,x,z\n3.png,50,70\n1.png,15,20\n2.png,30,40\n"));
  write_file_atomic(folder / "y.csv", std::string_view("file,label\n2.png,dog\n3.png,cat\n1.png,dog\n"));
  write_file_atomic(folder / "bare.csv", std::string_view("label\ndog\ndog\ncat\n"));
  const auto read = [&] {
    return std::vector<FeatureTable>{read_feature_table(folder / "a.csv"), read_feature_table(folder / "b.csv")};
  };
  const auto first_column = [](const FeatureTable& t) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < t.features.shape()[0]; ++i)
      out.push_back(t.features.as<double>()[static_cast<std::size_t>(2 * i)]);
    return out;
  };
  std::vector<FeatureTable> tables = read();
  const LabelList labels = read_labels(folder / "y.csv");
  const Notes notes = align_tables(tables, &labels);
  CHECK_EQ(notes.size(), 2u);
  CHECK(first_column(tables[0]) == std::vector<double>{3, 5, 1.5});
  CHECK(first_column(tables[1]) == std::vector<double>{30, 50, 15});
  tables = read();
  const LabelList bare = read_labels(folder / "bare.csv");
  // Whether the labels follow a or b cannot be told, in whatever order the tables are given.
  for (int turn = 0; turn < 2; ++turn, std::swap(tables[0], tables[1]))
    CHECK(has(error_of([&] {
                auto copy = tables;
                align_tables(copy, &bare);
              }),
              "names no images, and the rows of"));
  tables.pop_back();
  const Notes trust = align_tables(tables, &bare);
  REQUIRE_EQ(trust.size(), 1u);
  CHECK(has(trust[0], "bare.csv: names no images; its labels are taken to be in the order of the rows of"));
  CHECK(has(trust[0], "a.csv, on trust"));
  // Labels of a table show which order it is.
  write_file_atomic(folder / "b.csv",
                    std::string_view("file,x,z,label\n1.png,15,20,dog\n2.png,30,40,dog\n3.png,50,70,cat\n"));
  write_file_atomic(folder / "turned.csv", std::string_view("file,x,z\n3.png,5,7\n1.png,1.5,2\n2.png,3,4\n"));
  tables = {read_feature_table(folder / "turned.csv"), read_feature_table(folder / "b.csv")};
  CHECK_EQ(align_tables(tables, &bare).size(), 1u);
  CHECK(first_column(tables[0]) == std::vector<double>{1.5, 3, 5});
  // A table's own labels against the list.
  write_file_atomic(folder / "c.csv", std::string_view("x,z,label\n1,2,dog\n3,4,cat\n5,7,dog\n"));
  tables = {read_feature_table(folder / "c.csv")};
  CHECK(has(error_of([&] { align_tables(tables, &bare); }), "its labels are not those of"));
  // A feature that is the label.
  Array leak(DType::f32, {3, 2});
  leak.as<float>()[1] = leak.as<float>()[3] = 1;
  write_npy(folder / "leak.npy", leak);
  tables = {read_feature_table(folder / "leak.npy")};
  CHECK(has(columns_of_labels(tables[0].features, bare.labels, tables[0].rows.file).at(0),
            "column 2 of its features is the label itself"));
  // A folder's rows, and text in .npy.
  make_folder(folder / "d");
  write_npy(folder / "d/features.npy", numbered_rows(3));
  write_rows(folder / "d",
             {.file = "", .images_sha256 = "ab", .images_size = "2x2x1", .names = {"1.png", "2.png", "3.png"}});
  const FeatureTable d = read_feature_table(folder / "d");
  CHECK_EQ(d.rows.images_sha256, "ab");
  CHECK(d.rows.names == Cells{"1.png", "2.png", "3.png"});
  // Every file of the folder is the one that table.json was written with; an older table's names do not stay.
  const auto folder_error = [&] { return error_of([&] { read_feature_table(folder / "d"); }); };
  write_npy(folder / "d/features.npy", numbered_rows(4));
  CHECK(has(folder_error(), "d/features.npy: is not the file with which"));
  write_npy(folder / "d/features.npy", numbered_rows(3));
  CHECK_EQ(folder_error(), "");
  std::filesystem::remove(folder / "d/names.txt");
  CHECK(has(folder_error(), "d/names.txt: is missing"));
  write_rows(folder / "d", {.file = "", .images_sha256 = "ab", .names = {"1.png", "2.png", "3.png"}});
  CHECK_EQ(folder_error(), "");
  std::string about = read_text(folder / "d/table.json");
  about.replace(about.find("\"ab\""), 4, "\"cd\"");
  write_file_atomic(folder / "d/table.json", std::string_view(about));
  CHECK(has(folder_error(), "d/table.json: its content is not what akin wrote"));
  write_rows(folder / "d", {.file = "", .images_sha256 = "ab"});
  CHECK(read_feature_table(folder / "d").rows.names.empty());
  CHECK_EQ(error_of([&] { refuse_other_parts(folder / "d"); }), "");
  // A file more than table.json knows is of another table.
  for (const char* more : {"names.npy", "probabilities.npy", "probabilities.csv", "features.csv", "logits.csv"}) {
    write_npy(folder / "d" / more, numbered_rows(3));
    const std::string said = folder_error();  // two files may claim to be one part, which is seen first
    CHECK(has(said, fmt::format("d/{}", more)));
    CHECK((has(said, ": belongs to the table that") || has(said, ": which one holds")));
    CHECK(has(error_of([&] { refuse_other_parts(folder / "d"); }), fmt::format("d/{}: is a file of another", more)));
    std::filesystem::remove(folder / "d" / more);
  }
  write_file_atomic(folder / "d/names.txt", std::string_view("1\n2\n3\n"));
  CHECK(has(folder_error(), "d/names.txt: belongs to"));
  std::filesystem::remove(folder / "d/names.txt");
  CHECK_EQ(folder_error(), "");
  // One file: a digest of everything in it.
  SafeTensors one;
  one.add("features", numbered_rows(3));
  seal(one);
  write_safetensors(folder / "one.safetensors", one);
  CHECK_EQ(error_of([&] { read_feature_table(folder / "one.safetensors"); }), "");
  one.tensors[0].second.as<float>()[1] = 0.25f;
  write_safetensors(folder / "one.safetensors", one);
  CHECK(has(error_of([&] { read_feature_table(folder / "one.safetensors"); }),
            "one.safetensors: its content is not what akin wrote"));
  CHECK(has(error_of([&] { read_feature_table(folder / "bare.parquet"); }), "bare.parquet"));
  write_file_atomic(folder / "t.npz", std::string_view("PK\x03\x04 features.npy and more"));
  CHECK(has(error_of([&] { read_feature_table(folder / "t.npz"); }), "is no table but several NumPy arrays (.npz)"));
  CHECK(has(error_of([&] { read_labels(folder / "t.npz"); }), "is no list of labels but several NumPy arrays"));
}
