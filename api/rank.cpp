// Similarity of tasks from tables in memory: akin_rank_tables and what it gives.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "api/call.hpp"
#include "distill/similarity/bank_ranking.hpp"
#include "distill/student/settings.hpp"
#include "engine/io/text.hpp"

struct akin_ranking {
  struct Row {
    std::string source, undefined;
    double numbers[AKIN_WEIGHT + 1];  ///< by AKIN_VALUE ...
  };
  std::vector<Row> rows;  ///< most similar first
  std::string json;
};

namespace akin::api {

namespace {

Array array_of(const akin_matrix& m, const std::string& what) {
  if (m.type != AKIN_F32 && m.type != AKIN_F64)
    fail_usage("{}: is of type {}; AKIN_F32 or AKIN_F64 was expected", what, m.type);
  std::int64_t all = 0;
  if (m.rows < 0 || m.columns < 0 || __builtin_mul_overflow(m.rows, m.columns, &all))
    fail_usage("{}: a matrix of {} rows and {} columns cannot be", what, m.rows, m.columns);
  Array out(m.type == AKIN_F32 ? DType::f32 : DType::f64, {m.rows, m.columns});
  if (out.byte_size() > 0) std::memcpy(out.bytes(), m.data, out.byte_size());
  return out;
}

/// As if it stood in a file. The first one brings the labels.
FeatureTable table_of(const akin_table& t, std::size_t number, const Array* labels) {
  const std::string name = t.name != nullptr ? t.name : fmt::format("table {}", number + 1);
  SafeTensors tensors;
  tensors.source = fmt::format("table '{}'", name);
  for (const auto& [what, matrix] :
       {std::pair{"features", &t.features}, {"logits", &t.logits}, {"probabilities", &t.probabilities}})
    if (matrix->data != nullptr)
      tensors.add(what, array_of(*matrix, fmt::format("{}: {}", tensors.source, what)));
    else if (matrix == &t.features)
      fail_usage("{}: has no features", tensors.source);
  if (labels != nullptr) tensors.add("labels", *labels);
  if (t.layers != 0) tensors.metadata["layers"] = std::to_string(t.layers);
  return feature_table_of(tensors, name);
}

void check_options(const akin_rank_options& o) {
  thread_count(o.threads);
  if (o.replicates < 0 || o.replicates > 1'000'000)
    fail_usage("replicates {}: expected a whole number from 0 to 1000000", o.replicates);
  if (o.classes < 0 || o.classes > 1'000'000)
    fail_usage("classes {}: expected a whole number from 0 to 1000000", o.classes);
  if (o.probe < 1) fail_usage("probe {}: expected a whole number from 1", o.probe);
}

akin_ranking* keep(const BankRanking& ranking, const std::vector<std::string>& notes) {
  auto out = std::make_unique<akin_ranking>();
  for (const std::size_t s : ranking.order()) {
    const SimilarityRow& r = ranking.measured.rows[s];
    out->rows.push_back({readable_text(r.source),
                         readable_text(r.undefined),
                         {r.similarity.value, r.confidence.low, r.confidence.high, r.chance.mean, r.chance.high,
                          r.chance.p_value, r.best_share, ranking.weights.mapped[s], ranking.weights.alpha[s]}});
  }
  Json j = json_of(ranking);
  j["notes"] = notes;
  out->json = json_text(j);
  return out.release();
}

}  // namespace

}  // namespace akin::api

using namespace akin;
using namespace akin::api;

void akin_rank_defaults(akin_rank_options* options) {
  if (options == nullptr) return;
  const Settings s;
  *options = {};
  options->power = s.p;
  options->replicates = static_cast<std::int32_t>(s.replicates);
  options->probe = s.probe;
}

int akin_rank_tables(const akin_table* tables, size_t count, const int32_t* labels, int64_t rows,
                     const akin_rank_options* options, akin_ranking** ranking) {
  akin_rank_options o;
  akin_rank_defaults(&o);
  if (options != nullptr) o = *options;
  return call(std::max(o.threads, 0), [&] {
    check_options(o);
    given(ranking, "ranking");
    given(tables, "tables");
    if (count < 1 || rows < 1) fail_usage("tables: {} of {} rows; at least one of each is needed", count, rows);
    const Array label_array = Array::from(std::vector<std::int32_t>(&given(labels, "labels"), labels + rows), {rows});
    Context ctx;
    std::vector<FeatureTable> bank;
    std::vector<std::string> notes;
    std::set<std::string> names;
    for (std::size_t t = 0; t < count; ++t) {
      bank.push_back(table_of(tables[t], t, t == 0 ? &label_array : nullptr));
      notes.insert(notes.end(), bank.back().notes.begin(), bank.back().notes.end());
      if (!names.insert(bank.back().name).second)
        fail_usage("tables: two of them are called '{}'; rename one", bank.back().name);
    }
    const LabelList list = labels_of(bank, o.classes);
    notes.insert(notes.end(), list.notes.begin(), list.notes.end());
    const Array reference = o.reference.data != nullptr ? array_of(o.reference, "reference") : Array();
    const TableBank ready = bank_of(ctx, bank, list, o.probe, reference);
    notes.insert(notes.end(), ready.notes.begin(), ready.notes.end());
    const BankRanking ranked = rank_bank(ready.candidates, o.metric != nullptr ? o.metric : "parc",
                                         {o.mapping != nullptr ? o.mapping : "", o.power, o.replicates, o.seed});
    notes.insert(notes.end(), ranked.warnings.begin(), ranked.warnings.end());
    if (!ranked.ranked())
      fail("no source could be ranked by {}: {}", ranked.measured.metric.name, ranked.measured.first_undefined());
    *ranking = keep(ranked, notes);
  });
}

void akin_ranking_free(akin_ranking* ranking) { delete ranking; }

size_t akin_ranking_rows(const akin_ranking* ranking) { return ranking == nullptr ? 0 : ranking->rows.size(); }

const char* akin_ranking_source(const akin_ranking* ranking, size_t row) {
  return row < akin_ranking_rows(ranking) ? ranking->rows[row].source.c_str() : nullptr;
}

double akin_ranking_number(const akin_ranking* ranking, size_t row, int which) {
  if (row >= akin_ranking_rows(ranking) || which < 0 || which > AKIN_WEIGHT) return not_measured;
  const double v = ranking->rows[row].numbers[which];
  return std::isfinite(v) ? v : not_measured;
}

const char* akin_ranking_undefined(const akin_ranking* ranking, size_t row) {
  if (row >= akin_ranking_rows(ranking) || ranking->rows[row].undefined.empty()) return nullptr;
  return ranking->rows[row].undefined.c_str();
}

const char* akin_ranking_json(const akin_ranking* ranking) {
  return ranking == nullptr ? nullptr : ranking->json.c_str();
}
