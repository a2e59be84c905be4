// A bank measured by several ranks, each some of its sources: rows of similarities that travel between them.
#pragma once

#include <span>
#include <vector>

#include "distill/similarity/measure.hpp"
#include "engine/ranks.hpp"

namespace akin {

/// The sources that this rank measures, ascending: every size()-th of `sources`. All of them without ranks.
std::vector<std::size_t> own_sources(const Ranks* ranks, std::size_t sources);

/// Throws on all ranks where one is about to measure something else than the first.
void check_same_bank(Ranks& ranks, const Metric& metric, std::span<const Candidate> bank,
                     const ConfidenceOptions& options);

/// Every rank gets the rows that the others made of their sources, bit by bit.
void gather_rows(Ranks& ranks, std::span<SimilarityRow> rows);

}  // namespace akin
