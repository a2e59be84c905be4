// Writes the pages that check_pages.py looks at in a browser: report_pages FOLDER.
#include <filesystem>

#include "distill/report/compare.hpp"
#include "engine/io/file.hpp"
#include "tests/report_example.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  const auto write = [&](const char* name, const akin::ReportData& data) {
    akin::write_file_atomic(folder / name, akin::render_report(data));
  };
  akin::make_folder(folder);
  write("example.html", akin_test::example_run());
  write("two.html", akin_test::large_run(2));
  write("ten.html", akin_test::large_run(10));
  write("hundred.html", akin_test::large_run(100));
  std::vector<akin::NamedRun> runs{{"birds-64", akin_test::large_run(10)}, {"birds-96", akin_test::large_run(10)}};
  runs[1].data.config = "[fit]\ndata = \"birds\"\nsteps = 2000\nlambda = 0.2\n";
  runs[1].data.sources.pop_back();
  akin::write_file_atomic(folder / "compared.html", akin::render_comparison(runs));
  std::string results = "target,budget,seed,variant,method,test_last\n", sources = "target,budget,seed,source,parc\n";
  for (const char* target : {"birds", "pets", "eurosat_satellite_images"})
    for (const char* budget : {"five", "ten"})
      for (int seed = 0; seed < 3; ++seed) {
        for (const char* variant : {"scratch", "transfer", "weighted-transfer", "probe-taught-transfer"})
          results += fmt::format("{},{},{},{},{},{}\n", target, budget, seed, variant, variant,
                                 0.4 + 0.01 * seed + 0.02 * std::string(variant).size());
        for (const char* source : {"inat_bird_mobilenet_v2", "imagenet"})
          sources += fmt::format("{},{},{},{},{}\n", target, budget, seed, source, 0.1 + 0.01 * seed);
      }
  akin::write_file_atomic(folder / "experiment.html", akin::render_experiment("an experiment", results, sources, "e"));
}
