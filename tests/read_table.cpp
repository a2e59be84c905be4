// Prints how akin reads tables, for tests/golden/check_tables.py: a line of JSON for each file named in the arguments.
#include <cstdio>

#include "distill/similarity/feature_table.hpp"
#include "engine/io/json.hpp"

using namespace akin;

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    Json line = {{"file", argv[i]}};
    try {
      const FeatureTable table = read_feature_table(argv[i]);
      const Array wide = table.features.cast(DType::f64);
      line["shape"] = wide.shape().dims();
      line["values"] = std::vector<double>(wide.as<double>().begin(), wide.as<double>().end());
      line["labels"] = table.rows.labels;
      line["names"] = table.rows.names;
      line["notes"] = table.notes;
    } catch (const Error& e) {
      line["error"] = e.what();
    }
    std::printf("%s\n", json_line(line).c_str());
  }
}
