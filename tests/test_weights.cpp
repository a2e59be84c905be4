#include "distill/similarity/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/common/error.hpp"

using namespace akin;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const std::vector<std::string> kNames{"digits", "capitals", "fashion", "photos"};

void check_close(const std::vector<double>& got, const std::vector<double>& expected, double tolerance = 8 * 0x1p-52) {
  REQUIRE_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CAPTURE(got[i]);
    CHECK(std::abs(got[i] - expected[i]) <= tolerance);
  }
}

}  // namespace

TEST_CASE("weights: the four mappings") {
  const std::vector<double> raw{0.5, 0.25, -0.25, 0.25};
  check_close(map_similarity(raw, parse_mapping("clip0")), {0.5, 0.25, 0, 0.25});
  check_close(map_similarity(raw, parse_mapping("minmax")), {1, 2.0 / 3, 0, 2.0 / 3});
  check_close(map_similarity(raw, parse_mapping("rank")), {1, 0.625, 0.25, 0.625});
  check_close(map_similarity(raw, parse_mapping("softmax:0.25")), {1, std::exp(-1.0), std::exp(-3.0), std::exp(-1.0)});
  check_close(map_similarity(raw, parse_mapping("softmax")), map_similarity(raw, {Mapping::Kind::softmax, 1}));
  check_close(map_similarity(std::vector{-3.0, -3.0}, parse_mapping("minmax")), {1, 1});
  check_close(map_similarity(std::vector{-1e308, 1e308, 0.0}, parse_mapping("minmax")), {0, 1, 0.5});
  check_close(map_similarity(std::vector{-800.0, -900.0}, parse_mapping("softmax:1")), {1, 0}, 1e-40);
  CHECK(map_similarity({}, {}).empty());
  CHECK_THROWS_AS(map_similarity(std::vector{0.1, kNan}, {}), Error);
}

TEST_CASE("weights: mapping names round-trip, others are refused") {
  for (const char* name : {"clip0", "minmax", "rank", "softmax:0.1"}) CHECK_EQ(name_of(parse_mapping(name)), name);
  for (const char* name :
       {"", "clip", "softmax:", "softmax:0", "softmax:-1", "softmax:1x", "softmax:inf", "softmax:nan"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(parse_mapping(name), UsageError);
  }
}

TEST_CASE("weights: powers") {
  const std::vector<double> raw{0.5, 0.25, -0.25, 0.125};
  const double m1 = 0.5, m2 = 0.25, m4 = 0.125, sum = m1 * m1 + m2 * m2 + m4 * m4;
  check_close(make_weights(kNames, raw, {}, 2).alpha, {m1 * m1 / sum, m2 * m2 / sum, 0, m4 * m4 / sum});
  check_close(make_weights(kNames, raw, {}, 1).alpha, {0.5 / 0.875, 0.25 / 0.875, 0, 0.125 / 0.875});
  check_close(make_weights(kNames, raw, {}, 0).alpha, {0.25, 0.25, 0.25, 0.25});
  check_close(make_weights(kNames, raw, {}, nearest_only).alpha, {1, 0, 0, 0});
  const Weights w = make_weights(kNames, raw);
  CHECK(w.raw == raw);
  check_close(w.mapped, {0.5, 0.25, 0, 0.125});
  check_close(w.alpha,
              {1 / (1 + 0x1p-12 + 0x1p-24), 0x1p-12 / (1 + 0x1p-12 + 0x1p-24), 0, 0x1p-24 / (1 + 0x1p-12 + 0x1p-24)});
  CHECK(w.warnings.empty());
  CHECK_EQ(w.nearest, 0u);
}

TEST_CASE("weights: huge powers and tiny similarities neither overflow nor vanish") {
  // m^p alone would be 0 for every source (a planted variant without the division gives NaN).
  const std::vector<double> tiny{1e-200, 2e-200, 2e-200, 0};
  double naive = 0;
  for (const double m : tiny) naive += std::pow(m, 12);
  CHECK(std::isnan(std::pow(tiny[1], 12) / naive));
  check_close(make_weights(kNames, tiny, {}, 12).alpha,
              {0x1p-12 / (2 + 0x1p-12), 1 / (2 + 0x1p-12), 1 / (2 + 0x1p-12), 0});
  check_close(make_weights(kNames, {3, 2, 1, 0}, {}, 1e6).alpha, {1, 0, 0, 0});
  check_close(make_weights(kNames, {1e300, 1e300, 0, 0}, {}, 50).alpha, {0.5, 0.5, 0, 0});
}

TEST_CASE("weights: ties, nothing similar, bad input") {
  const Weights tied = make_weights(kNames, {0.1, 0.4, 0.4, 0.2}, {}, nearest_only);
  CHECK_EQ(tied.nearest, 1u);
  check_close(tied.alpha, {0, 1, 0, 0});
  REQUIRE_EQ(tied.warnings.size(), 1u);
  CHECK(tied.warnings[0].find("\"capitals\", the first") != std::string::npos);

  const std::vector<double> none{-0.1, -0.2, -0.3, 0};
  CHECK_THROWS_WITH_AS(make_weights(kNames, none), doctest::Contains("minmax, rank or softmax:T"), Error);
  CHECK_THROWS_WITH_AS(make_weights(kNames, none), doctest::Contains("equal, nearest"), Error);
  check_close(make_weights(kNames, none, {}, 0).alpha, {0.25, 0.25, 0.25, 0.25});
  CHECK_EQ(make_weights(kNames, none, {}, nearest_only).nearest, 3u);
  CHECK_EQ(make_weights(kNames, none, {}, nearest_only).warnings.size(), 1u);
  CHECK_NOTHROW(make_weights(kNames, none, parse_mapping("rank")));

  CHECK_THROWS_WITH_AS(make_weights(kNames, {0.1, kNan, 0.2, 0.3}), doctest::Contains("\"capitals\""), Error);
  CHECK_THROWS_AS(make_weights(kNames, {0.1, kInf, 0.2, 0.3}), Error);
  CHECK_THROWS_AS(make_weights(kNames, {0.1, 0.2}), Error);
  CHECK_THROWS_AS(make_weights({}, {}), Error);
  CHECK_THROWS_AS(make_weights(kNames, none, {}, -1), UsageError);
  CHECK_THROWS_AS(make_weights(kNames, none, {}, kNan), UsageError);
}

TEST_CASE("weights: the table as text") {
  CHECK_EQ(weights_csv(make_weights({"a", "b,c"}, {0.5, -0.5}, {}, 1)),
           "source,raw,mapped,alpha\na,0.5,0.5,1\n\"b,c\",-0.5,0,0\n");
}
