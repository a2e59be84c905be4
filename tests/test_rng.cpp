#include <doctest/doctest.h>

#include "kernels/common/rng.hpp"

using namespace akin;

// Known answers published with the Random123 library (kat_vectors, philox4x32 10 rounds).
TEST_CASE("philox: known answers") {
  CHECK(philox4x32({{0, 0, 0, 0}}, 0, 0) == Philox{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  const std::uint32_t all = 0xffffffff;
  CHECK(philox4x32({{all, all, all, all}}, all, all) == Philox{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
}

TEST_CASE("rng: streams are independent of order and cover their range") {
  Rng a(7, 1, 2), b(7, 1, 2), c(7, 1, 3);
  bool differ = false;
  double sum = 0, sum_sq = 0;
  const int n = 10000;
  for (int i = 0; i < n; ++i) {
    const float x = a.uniform();
    CHECK_EQ(x, b.uniform());
    differ = differ || x != c.uniform();
    CHECK(x >= 0.0f);
    CHECK(x < 1.0f);
    const double z = Rng(11, 0, static_cast<std::uint64_t>(i)).normal();
    sum += z;
    sum_sq += z * z;
  }
  CHECK(differ);
  CHECK(std::abs(sum / n) < 5 / std::sqrt(double(n)));               // five standard errors of the mean
  CHECK(std::abs(sum_sq / n - 1) < 5 * std::sqrt(2.0 / double(n)));  // and of the variance
}
