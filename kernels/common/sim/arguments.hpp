// The arguments of a kernel, looked at as it is started: a pointer to host memory would work here and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

namespace akin::sim {

/// Throws Error unless `p` is nullptr or points to device memory.
void check_pointer(const char* kernel, std::size_t argument, const void* p);
/// Throws Error where one of a struct's words is the address of host memory.
void check_words(const char* kernel, std::size_t argument, const std::uintptr_t* words, std::size_t count);

template <class T>
void check_argument(const char* kernel, std::size_t argument, const T& value) {
  if constexpr (std::is_pointer_v<T>) {
    check_pointer(kernel, argument, reinterpret_cast<const void*>(value));
  } else if constexpr (std::is_class_v<T> && sizeof(T) >= sizeof(void*) && alignof(T) >= alignof(void*)) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)  // what a stack held before lies between the members
    static_assert(std::is_trivially_copyable_v<T>, "a kernel's argument is copied as bytes");
    T clean = value;
    __builtin_clear_padding(&clean);
    std::uintptr_t words[sizeof(T) / sizeof(void*)];
    std::memcpy(words, &clean, sizeof words);
    check_words(kernel, argument, words, sizeof(T) / sizeof(void*));
#endif
#endif
  }
}

template <class... P>
void check_arguments(const char* kernel, const std::tuple<P...>& values) {
  std::apply(
      [&](const P&... value) {
        std::size_t argument = 0;
        (check_argument(kernel, ++argument, value), ...);
      },
      values);
}

}  // namespace akin::sim
