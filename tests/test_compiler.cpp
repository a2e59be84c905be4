// A wrong constant is a wrong result nobody looks for. GCC 12.2 with AVX-512 fills 32- and 64-byte constants that end
// in zeros with their first word, unless cmake/AkinOptions.cmake keeps it from doing so.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {

/// Reads through a volatile pointer, so that the compiler cannot work out the answer instead of storing the constant.
template <class T>
bool holds(const std::vector<T>& values, std::size_t filled, T value) {
  const volatile T* p = values.data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (p[i] != (i < filled ? value : T{0})) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("compiler: constants keep their zeros") {
  CHECK(holds<int>({3, 3, 3, 3, 0, 0, 0, 0}, 4, 3));
  CHECK(holds<int>({3, 3, 0, 0}, 2, 3));
  CHECK(holds<int>({3, 3, 3, 3, 3, 3, 0, 0}, 6, 3));
  CHECK(holds<int>({3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0}, 8, 3));
  CHECK(holds<int>({3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 4, 3));
  CHECK(holds<std::int64_t>({3, 3, 0, 0}, 2, 3));
  CHECK(holds<std::int64_t>({3, 3, 3, 0}, 3, 3));
  CHECK(holds<std::int64_t>({3, 3, 3, 3, 0, 0, 0, 0}, 4, 3));
  CHECK(holds<std::int64_t>({-1, -1, 0, 0}, 2, -1));
  CHECK(holds<float>({1, 1, 1, 1, 0, 0, 0, 0}, 4, 1));
  CHECK(holds<float>({1, 1, 0, 0, 0, 0, 0, 0}, 2, 1));
  CHECK(holds<double>({0.5, 0.5, 0, 0}, 2, 0.5));
  CHECK(holds<double>({0.5, 0, 0, 0}, 1, 0.5));
  CHECK(holds<double>({0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0}, 4, 0.5));
}
