// Records of students, also those of cells (distill/grid/cell.hpp): one that is not sealed is not believed; one that is
// read and written again is read equal; tables are made of what is read. An input is a record's JSON, which is sealed
// here: a change behind the digest is reached.
#include <cmath>

#include "tests/fuzz/grid_example.hpp"
#include "tests/fuzz/json_mutator.hpp"

namespace akin::fuzz {

namespace {

bool same(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b; }

void check_equal(const StudentRecord& a, const StudentRecord& b) {
  for (const FigureRow& row : figure_rows())
    std::visit(
        [&](auto field) {
          require(same(static_cast<double>(a.figures.*field), static_cast<double>(b.figures.*field)), row.name);
        },
        row.field);
  require(a.settings == b.settings && a.error == b.error && a.source == b.source && same(a.weight, b.weight) &&
              a.labelled == b.labelled && a.unlabelled == b.unlabelled && a.student_hash == b.student_hash &&
              a.best_hash == b.best_hash && a.device == b.device,
          "read again the record is another one");
  require(a.curve.size() == b.curve.size(), "read again it has another curve");
  for (std::size_t i = 0; i < a.curve.size(); ++i)
    require(a.curve[i].step == b.curve[i].step && same(a.curve[i].loss, b.curve[i].loss) &&
                same(a.curve[i].validation, b.curve[i].validation),
            "read again it has another curve");
}

void run(ByteView input) {
  static const Grid grid = small_grid();
  const std::vector<Cell> cells = cells_of(grid, grid.targets[0], {"s"});
  const Cell& cell = cells[0];
  // As it is: damage is told in one line, and is not believed.
  {
    const std::filesystem::path file = file_with("r.json", input);
    std::string told;
    const auto stored = accepted([&] { return read_record(file, [&](const std::string& line) { told = line; }); });
    require(stored.has_value(), "a damaged record is an error, not one to be made again");
    require(!*stored || (*stored)->record.settings.is_null() || told.empty(), "a record is believed and complained of");
  }
  auto json = accepted([&] { return parse_json(text_of(input), "input"); });
  if (!json || !json->is_object()) return;
  const GridFolder place{empty_folder()};
  for (const Cell& c : cells) {
    make_folder(place.record(c).parent_path());
    write_sealed(place.record(c), *json);
  }
  const auto stored = accepted([&] { return read_record(place.record(cell)); });
  require(stored.has_value(), "a sealed record is an error");
  const GridTables tables = must("making tables", [&] { return collect_tables(grid, place); });
  grid_results_csv(tables);
  grid_sources_csv(tables);
  grid_markdown(tables);
  if (!*stored || (*stored)->record.settings.is_null()) return;
  const StudentRecord& record = (*stored)->record;
  settings_changes(record.settings, Json{{"lr", 1}});
  const std::filesystem::path copy = place.folder / "copy.json";
  must("writing what was read", [&] { write_record(copy, cell, record); });
  const auto again = must("reading what was written", [&] { return read_record(copy); });
  require(again.has_value(), "what was written is not believed");
  check_equal(record, again->record);
}

Seeds seeds() {
  const Grid grid = small_grid();
  const std::vector<Cell> cells = cells_of(grid, grid.targets[0], {"s"});
  Seeds all;
  StudentRecord r;
  r.settings = {{"method", "weighted"}, {"lr", 0.1}, {"sources", {{"s", "abc"}}}};
  r.made_by = "akin";
  r.device = "cpu";
  const auto add = [&](const std::string& name, const Cell& cell) {
    const std::filesystem::path file = empty_folder() / "r.json";
    write_record(file, cell, r);
    all.push_back(text_seed(name + "_sealed", read_text(file)));
    all.push_back(text_seed(name, json_line(*read_sealed(file))));
  };
  r.error = "a metric is undefined";
  add("failed", cells[0]);
  r.error.clear();
  r.figures = {.seed = 0,
               .test_accuracy = 0.7,
               .val_accuracy = 0.6,
               .best_step = 5,
               .best_val_accuracy = 0.65,
               .best_test_accuracy = 0.69,
               .seconds = 3};
  r.curve = {{5, 0.4, 0.6}, {10, 0.3, std::nan("")}};
  r.source = "s";
  r.weight = 1;
  r.labelled = 2;
  r.unlabelled = 100;
  r.student_hash = std::string(64, 'a');
  add("finished", cells[0]);
  add("oracle", cells[1]);
  all.push_back(text_seed("earlier", R"({"format": "akin-student-2", "method": "scratch"})"));
  all.push_back(
      text_seed("deep", "{\"sha256\":\"x\",\"a\":" + std::string(120000, '[') + std::string(120000, ']') + "}"));
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"\"format\"", "akin-student-3", "\"result\"", "\"curve\"", "\"settings\"", "\"seed\"",
                              "null", "1e80", "-1", "\"files\"", "\"error\"", "test_last", "\"sha256\""},
                    .mutate = mutate_json};

}  // namespace akin::fuzz
