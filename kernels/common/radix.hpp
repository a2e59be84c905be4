// Sorting whole numbers on the host, digit by digit.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace akin {

/// Sorts words [n] by their bits low .. high - 1, the lowest digit first: stable, and 2 n reads and writes a digit that
/// differs among them. `spare` [n] is scratch; the sorted words are in the one of the two that is returned.
template <class Word>
Word* radix_sort(Word* words, Word* spare, std::size_t n, int low, int high) {
  // Wide digits mean few passes, narrow ones tables that few words fill.
  const int digit = n < 4096 ? 8 : 11, digits = (high - low + digit - 1) / digit;
  const std::size_t size = std::size_t{1} << digit;
  std::array<std::uint32_t, 2048> count;
  for (int pass = 0; pass < digits; ++pass) {
    const int shift = low + pass * digit, width = std::min(digit, high - shift);
    const Word mask = static_cast<Word>((Word{1} << width) - 1);
    std::fill_n(count.begin(), size, 0u);
    for (std::size_t i = 0; i < n; ++i) ++count[static_cast<std::size_t>(words[i] >> shift & mask)];
    if (n == 0 || count[static_cast<std::size_t>(words[0] >> shift & mask)] == n) continue;
    std::uint32_t place = 0;
    for (std::size_t d = 0; d < size; ++d) {
      const std::uint32_t here = count[d];
      count[d] = place;
      place += here;
    }
    for (std::size_t i = 0; i < n; ++i) spare[count[static_cast<std::size_t>(words[i] >> shift & mask)]++] = words[i];
    std::swap(words, spare);
  }
  return words;
}

}  // namespace akin
