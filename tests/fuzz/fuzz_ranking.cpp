// Rankings of an experiment (distill/grid/cell.hpp): damage stops nobody, and of what is read the tables are made. An
// input is a ranking's JSON, sealed here as well as taken as it is.
#include "tests/fuzz/grid_example.hpp"
#include "tests/fuzz/json_mutator.hpp"

namespace akin::fuzz {

namespace {

void run(ByteView input) {
  static const Grid grid = small_grid();
  const auto tables = [&](const std::filesystem::path& folder) {
    const GridTables made = must("making tables beside any ranking", [&] { return collect_tables(grid, {folder}); });
    require(grid_sources_csv(made).starts_with("target,"), "a table without its head");
    must("tables as text", [&] { return grid_markdown(made) + grid_results_csv(made); });
  };
  tables(folder_with({{"rankings/t/b/seed0.json", {input.begin(), input.end()}}}));
  const auto json = accepted([&] { return parse_json(text_of(input), "input"); });
  if (!json || !json->is_object()) return;
  const std::filesystem::path& folder = empty_folder();
  const GridFolder place{folder};
  const std::filesystem::path file = place.ranking(grid.targets[0], grid.budgets[0], 0);
  make_folder(file.parent_path());
  write_sealed(file, *json);
  const auto read = accepted([&] { return read_ranking(file, {}, {"t", "b"}); });
  require(read.has_value(), "a ranking is an error, not one to be made again");
  tables(folder);
}

Seeds seeds() {
  Seeds all;
  const std::filesystem::path file = empty_folder() / "r.json";
  const Json rows = Json::array(
      {{{"source", "s"}, {"values", {{"parc", 0.5}, {"cka", nullptr}}}, {"undefined", {{"cka", "one class"}}}},
       {{"source", "other"},
        {"values", {{"parc", -1}}},
        {"undefined", Json::object()},
        {"intervals", {{"parc", {0.1, 0.2}}}}}});
  write_ranking(file, {"t", "b"}, {{"images", "abc"}}, {"parc", "cka"}, rows);
  all.push_back(text_seed("sealed", read_text(file)));
  all.push_back(text_seed("own", json_line(*read_sealed(file))));
  write_ranking(file, {"t", "b"}, Json::object(), {}, Json::array());
  all.push_back(text_seed("nothing", json_line(*read_sealed(file))));
  all.push_back(text_seed("list", "[1, 2]"));
  all.push_back(
      text_seed("deep", "{\"sha256\":\"x\",\"a\":" + std::string(120000, '[') + std::string(120000, ']') + "}"));
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"\"source\"", "\"values\"", "\"undefined\"", "\"sources\"", "\"metrics\"", "\"settings\"",
                              "akin-ranking-1", "\"parc\"", "null", "1e80", "\"sha256\""},
                    .mutate = mutate_json};

}  // namespace akin::fuzz
