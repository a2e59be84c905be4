// Files that belong together (features, logits, labels, names) and what must not be read out of them in silence.
#include <doctest/doctest.h>

#include <algorithm>

#include "distill/similarity/feature_table.hpp"
#include "distill/task/outputs.hpp"
#include "distill/task/table_file.hpp"
#include "engine/io/npy.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

using Notes = std::vector<std::string>;
using Floats = std::vector<float>;

std::string all(const Notes& notes) { return fmt::format("{}", fmt::join(notes, "\n")); }

void write(const fs::path& file, const std::string& text) { write_file_atomic(file, std::string_view(text)); }

Array matrix(const Floats& values, std::int64_t columns) {
  return Array::from(values, {static_cast<std::int64_t>(values.size()) / columns, columns});
}

Floats column(const Array& a, std::int64_t c) {
  const Array f = a.cast(DType::f32);
  Floats out;
  for (std::int64_t i = 0; i < a.shape()[0]; ++i)
    out.push_back(f.as<float>()[static_cast<std::size_t>(i * a.shape()[1] + c)]);
  return out;
}

/// What is said where a table's only column holds these values, or why it is refused.
std::string said_of(const std::vector<double>& values) {
  Notes notes;
  const Array a = Array::from(values, {std::ssize(values), 1});
  const std::string refused = error_of([&] { table_numbers(a, "features", "t.npy", {}, notes); });
  return refused.empty() ? all(notes) : "refused: " + refused;
}

std::vector<double> steps(double first, double step, int count = 12) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) out.push_back(first + step * i);
  return out;
}

}  // namespace

TEST_CASE("table files: logits in another order than the features are put right by their names") {
  const TempFolder folder;
  const fs::path d = folder / "d";
  make_folder(d);
  write(d / "features.csv", "name,x\na.png,1.5\nb.png,2.5\nc.png,4\n");
  write(d / "logits.csv", "name,p,q\nc.png,30,0\na.png,0,10\nb.png,0,20\n");
  FeatureTable table = read_feature_table(d);
  CHECK(column(table.probabilities, 0)[2] > 0.99f);
  CHECK(column(table.probabilities, 0)[0] < 0.01f);
  CHECK(has(all(table.notes), "logits.csv: its rows are in another order than"));
  write(d / "logits.csv", "name,p,q\nc.png,30,0\na.png,0,10\nd.png,0,20\n");
  CHECK(has(error_of([&] { read_feature_table(d); }), "has no row for 1 of the 3 images"));
  // One says which images its rows are, the other does not.
  write(d / "logits.csv", "p,q\n30,0\n0,10\n0,20\n");
  CHECK(has(all(read_feature_table(d).notes), "logits.csv: does not say of which images its rows are"));
  // Names of the folder are those of every .npy in it.
  fs::remove(d / "features.csv");
  fs::remove(d / "logits.csv");
  write_npy(d / "features.npy", matrix({1.5f, 2.5f, 4}, 1));
  write_npy(d / "logits.npy", matrix({0, 10, 0, 20, 30, 0}, 2));
  write(d / "names.txt", "a.png\nb.png\nc.png\n");
  CHECK_EQ(all(read_feature_table(d).notes), "");
  write_npy(d / "logits.npy", matrix({0, 10, 0, 20}, 2));
  CHECK(has(error_of([&] { read_feature_table(d); }), "logits.npy: 2 rows"));

  // Features without names follow the list; probabilities with names are matched to it.
  write_npy(folder / "x.npy", matrix({1.5f, 2.5f, 4}, 1));
  write(folder / "p.csv", "name,p,q\nc.png,0.9,0.1\na.png,0.1,0.9\nb.png,0.2,0.8\n");
  write(folder / "y.csv", "name,label\na.png,0\nb.png,0\nc.png,1\n");
  const auto together = [&](const char* list) {
    std::vector<FeatureTable> tables{read_feature_table(folder / "x.npy")};
    add_predictions(tables[0], read_feature_table(folder / "p.csv"), false);
    const LabelList labels = read_labels(folder / list);
    const Notes notes = align_tables(tables, &labels);
    CHECK(column(tables[0].features, 0) == Floats{1.5f, 2.5f, 4});
    return std::pair(column(tables[0].probabilities, 0), notes);
  };
  CHECK(together("y.csv").first == Floats{0.1f, 0.2f, 0.9f});
  write(folder / "bare.txt", "0\n0\n1\n");
  const auto [as_it_is, trust] = together("bare.txt");
  CHECK(as_it_is == Floats{0.9f, 0.1f, 0.2f});
  CHECK(has(all(trust), "in the order of the rows of"));
  // A file that holds both gives the part that is asked for.
  SafeTensors both;
  both.add("features", matrix({7, 8, 9}, 1));
  both.add("logits", matrix({0, 10, 0, 20, 30, 0}, 2));
  write_safetensors(folder / "both.safetensors", both);
  FeatureTable x = read_feature_table(folder / "x.npy");
  add_predictions(x, read_feature_table(folder / "both.safetensors"), true);
  CHECK(x.probabilities.shape() == Shape{3, 2});
  write_npy(folder / "p.npy", matrix({0.9f, 0.1f, 0.2f, 0.8f, 0.5f, 0.5f}, 2));
  for (const bool are_logits : {false, true}) {
    FeatureTable of = read_feature_table(folder / "x.npy");
    add_predictions(of, read_feature_table(folder / "p.npy"), are_logits);
    CHECK_EQ(has(all(of.notes), "p.npy: its logits are at least 0 and sum to 1 in every row"), are_logits);
  }
  CHECK(column(x.probabilities, 0)[2] > 0.99f);

  // Numbers of rows are names where the other side has them as names.
  write(folder / "ids.csv", "id,x\n2,2.5\n0,0.5\n1,1.5\n");
  write(folder / "list.csv", "id,label\n0,cat\n1,dog\n2,dog\n");
  std::vector<FeatureTable> tables{read_feature_table(folder / "ids.csv")};
  const LabelList list = read_labels(folder / "list.csv");
  CHECK(has(all(align_tables(tables, &list)), "put right by their names"));
  CHECK(column(tables[0].features, 0) == Floats{0.5f, 1.5f, 2.5f});
  write(folder / "ids.csv", "id,x\n0017,2.5\n0003,0.5\n0090,1.5\n");  // other numbers: nothing to go by
  tables = {read_feature_table(folder / "ids.csv")};
  CHECK(has(all(align_tables(tables, &list)), "list.csv: names no images"));
}

TEST_CASE("table files: two of one part, and parts that contradict each other, are a question") {
  const TempFolder folder;
  const fs::path d = folder / "d";
  make_folder(d);
  const auto refused = [&] { return error_of([&] { read_feature_table(d); }); };
  write_npy(d / "features.npy", matrix({1.5f, 2.5f, 4}, 1));
  CHECK_EQ(refused(), "");
  for (const char* other : {"features.csv", "FEATURES.NPY", "features.safetensors"}) {
    write(d / other, "x\n1.5\n2.5\n4\n");
    CHECK(has(refused(), "which one holds the features? Remove or rename one"));
    Context ctx;
    CHECK(has(error_of([&] { open_source(ctx, d); }), "which one holds the features?"));
    fs::remove(d / other);
  }
  write(d / "names.txt", "a\nb\nc\n");
  std::string header = "{'descr': '|S1', 'fortran_order': False, 'shape': (3,), }";
  header.resize(69, ' ');
  const std::string npy = std::string("\x93NUMPY\1\0\x46\0", 10) + header + "\n";
  write(d / "names.npy", npy + "abc");
  CHECK_EQ(refused(), "");
  write(d / "names.npy", npy + "acb");
  CHECK(has(refused(), "names.npy and names.txt name the rows differently"));
  fs::remove(d / "names.npy");
  fs::remove(d / "features.npy");
  write(d / "features.csv", "file,x,label\na,1.5,0\nb,2.5,1\nc,4,0\n");
  CHECK_EQ(refused(), "");
  write(d / "names.txt", "a\nc\nb\n");
  CHECK(has(refused(), "names its rows otherwise than the list of names beside it"));
  fs::remove(d / "names.txt");
  write_npy(d / "labels.npy", Array::from(std::vector<std::int32_t>{0, 1, 1}, {3}));
  CHECK(has(refused(), "its labels are not those of"));

  // Logits and probabilities of one source.
  SafeTensors file;
  file.add("features", matrix({1.5f, 2.5f}, 1));
  file.add("logits", matrix({0, 10, 10, 0}, 2));
  const auto with = [&](const Floats& p) {
    SafeTensors t = file;
    t.add("probabilities", matrix(p, 2));
    write_safetensors(folder / "t.safetensors", t);
    Notes notes;
    const std::string error = error_of([&] { notes = read_feature_table(folder / "t.safetensors").notes; });
    Context ctx;
    CHECK_EQ(error_of([&] { open_source(ctx, folder / "t.safetensors"); }).empty(), error.empty());
    return error.empty() ? all(notes) : error;
  };
  CHECK_EQ(with({0, 1, 1, 0}), "");
  CHECK(has(with({0.3f, 0.7f, 0.8f, 0.2f}), "its probabilities are not the softmax of its logits"));
  CHECK(has(with({0, 1, 0, 1}), "contradict each other: in row 1 (from 0) class 0 has the largest logit, class 1"));
  CHECK(has(with({0, 1, 1, 0, 1, 0}), "logits have shape"));
  file.metadata = {{"layers", "10001"}};
  write_safetensors(folder / "deep.safetensors", file);
  CHECK(has(error_of([&] { read_feature_table(folder / "deep.safetensors"); }),
            "metadata layers is \"10001\", expected a whole number from 1 to 10000"));
}

TEST_CASE("table files: sources read the folders that rankings read, and say what they do not teach by") {
  const TempFolder folder;
  Context ctx;
  ImageSet set = toy_set(6, 3, 1);
  for (int i = 0; i < 6; ++i) set.names.push_back(fmt::format("train/{}.png", i));
  const Task task = whole_pool(target_images(set, {}));
  const fs::path d = folder / "d";
  make_folder(d);
  std::string features = "file,x\n", logits = "file,p,q\n";
  for (int i = 0; i < 6; ++i) features += fmt::format("{}.png,{}.5\n", i, i * i);
  for (int i = 6; i-- > 0;) logits += fmt::format("{}.png,{},-1\n", i, i * i);
  write(d / "features.csv", features);
  write(d / "logits.csv", logits);
  Notes notes;
  const auto outputs = [&] {
    notes.clear();
    return source_outputs(ctx, open_source(ctx, d), task,
                          {.tell = [&](const std::string& line) { notes.push_back(line); }});
  };
  const Floats squares{0, 1, 4, 9, 16, 25};
  CHECK(column(outputs().logits, 0) == squares);
  CHECK(has(all(notes), "logits.csv: its rows are in another order"));
  // Names on the logits alone.
  fs::remove(d / "features.csv");
  Floats x;
  for (const float v : squares) x.push_back(v + 0.5f);
  write_npy(d / "features.npy", matrix(x, 1));
  const Outputs out = outputs();
  CHECK(column(out.logits, 0) == squares);
  CHECK(column(out.features, 0) == x);
  // Probabilities in place of logits.
  fs::remove(d / "logits.csv");
  write_npy(d / "probabilities.npy", matrix(Floats(12, 0.5f), 2));
  CHECK_EQ(outputs().logits.shape()[1], 0);
  CHECK(has(all(notes), "holds probabilities and no logits, which a source teaches by"));
  write_npy(d / "logits.npy", matrix(Floats(12, 0.5f), 2));
  fs::remove(d / "probabilities.npy");
  outputs();
  CHECK(has(all(notes), "its logits are at least 0 and sum to 1 in every row; are they probabilities?"));
  const FeatureTable ranked = read_feature_table(d);
  CHECK(has(all(ranked.notes), "are they probabilities?"));
  write_npy(d / "logits.npy", matrix({1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1.5f}, 2));
  outputs();
  CHECK(!has(all(notes), "are they probabilities?"));
  // The column that is the label, and endings in capitals.
  write_npy(folder / "X.NPY", matrix(x, 1));
  CHECK_EQ(read_feature_table(folder / "X.NPY").features.shape()[0], 6);
  write(folder / "X.CSV", "x\n1.5\n");
  CHECK_EQ(read_feature_table(folder / "X.CSV").features.shape()[0], 1);
  write(folder / "Y.TXT", "cat\ndog\n");
  CHECK_EQ(read_labels(folder / "Y.TXT").classes.size(), 2u);
}

TEST_CASE("table files: row numbers of any kind, and columns made of the labels") {
  CHECK(has(said_of(steps(0, 1)), "refused: t.npy: column 1 of features is 0, 1, 2 ... in the order of the rows"));
  CHECK(has(said_of(steps(100, 1)), "refused: t.npy: column 1 of features is 100, 101, 102"));
  CHECK(has(said_of(steps(1.7e9, 10)), "a row number is no feature"));
  CHECK(has(said_of(steps(59, -1)), "refused: t.npy: column 1 of features is 59, 58, 57"));
  CHECK(has(said_of(steps(0, 0.25)), "goes by one step from row to row"));
  CHECK(has(said_of({0, 0.0909, 0.1818, 0.2727, 0.3636, 0.4545, 0.5455, 0.6364, 0.7273, 0.8182, 0.9091, 1}),
            "goes by one step from row to row"));
  CHECK(has(said_of({3, 1, 4, 0, 5, 9, 2, 6, 8, 7}), "are these numbers of rows in another order?"));
  CHECK_EQ(said_of({3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}), "");
  CHECK_EQ(said_of(steps(7, 0)), "");
  CHECK_EQ(said_of(steps(100, 1, 9)), "");  // so few may do so by chance
  CHECK(has(said_of(steps(0, 1, 9)), "is it a row number?"));
  CHECK_EQ(said_of({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}), "");

  std::vector<int> labels;
  for (int i = 0; i < 30; ++i) labels.push_back(i % 3);
  const auto told = [&](auto&& value) {
    Floats x;
    for (int i = 0; i < 30; ++i) x.push_back(value(labels[static_cast<std::size_t>(i)], i));
    return all(columns_of_labels(matrix(x, 1), labels, "t.npy"));
  };
  CHECK(has(told([](int y, int) { return float(y); }), "column 1 of its features is the label itself; leave it out"));
  CHECK(has(told([](int y, int) { return float(y + 1); }), "is the label itself"));
  for (const int kind : {0, 1, 2, 3})
    CHECK(has(
        told([&](int y, int) {
          return kind == 0 ? float(2 * y) : kind == 1 ? float(2 - y) : kind == 2 ? float(y == 1) : 0.3f * float(y * y);
        }),
        "column 1 of its features: one value for all images of a class, and others for other classes"));
  CHECK_EQ(told([](int, int) { return 4.f; }), "");
  CHECK_EQ(told([](int y, int i) { return float(y) + (i == 29 ? 0.5f : 0); }), "");
  labels.assign(30, -1);
  CHECK_EQ(told([](int y, int) { return float(y); }), "");
}

TEST_CASE("table files: labels that are missing, merged or split are refused or told") {
  const TempFolder folder;
  const auto read = [&](const std::string& text) {
    write(folder / "y.txt", text);
    return read_labels(folder / "y.txt");
  };
  const auto refused = [&](const std::string& text) { return error_of([&] { read(text); }); };
  for (const char* missing : {"nan", "None", "NA", "?", "-", "-1", "<NA>", "null"})
    CHECK(has(refused(fmt::format("cat\ndog\n{}\ncat\n", missing)),
              fmt::format("row 2 has no label (\"{}\" stands for a missing one)", missing)));
  CHECK(has(refused("0\nnan\n1\n"), "row 1 has no label (\"nan\")"));
  CHECK(has(refused("00\n01\n1\n"), "labels \"01\" in row 1 and \"1\" in row 2 are one number and two texts"));
  CHECK(read("00\n01\n01\n").labels == std::vector<int>{0, 1, 1});
  CHECK(read("0\n1.0\n1\n").labels == std::vector<int>{0, 1, 1});
  CHECK(read("7\nA\n7\n").classes.size() == 2);  // characters: EMNIST
  for (const char* alike :
       {"cat\ndog\nCat\n", "cat\ndog\n\"cat \"\n", "cat\ndog\ncat\u00a0\n", "caf\u00e9\ndog\ncafe\u0301\n"})
    CHECK(has(all(read(alike).notes), "differ only in case, blanks or the code of their letters, and are two classes"));
  CHECK(has(all(read("cat\nCat\nCAT\ndog\nDog\n").notes), "(2 more such)"));
  CHECK_EQ(all(read("cafe\ncaf\u00e9\ndog\n").notes), "");
  CHECK(has(refused("20000000000\n1\n"), "label 20000000000 in row 0 is too large for a class number"));
  CHECK(has(refused("0.5\n1\n"), "are these features or probabilities?"));
  write_npy(folder / "y.npy", Array::from(std::vector<std::int64_t>{1, 20'000'000'000}, {2}));
  CHECK(has(error_of([&] { read_labels(folder / "y.npy"); }), "label 20000000000 in row 1 is too large"));
  write_npy(folder / "y.npy", Array::from(std::vector<double>{1, 1e18}, {2}));
  CHECK(has(error_of([&] { read_labels(folder / "y.npy"); }), "is too large to be told from its neighbours"));
}
