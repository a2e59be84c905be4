// Which sanitizer this build has. The emulator runs many times slower with one, so that tests take smaller sizes; and
// the thread sanitizer does not know OpenMP's own synchronisation, so that loops take one thread.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define AKIN_TEST_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define AKIN_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AKIN_TEST_TSAN 1
#elif __has_feature(address_sanitizer)
#define AKIN_TEST_ASAN 1
#endif
#endif

namespace akin::test {

#if defined(AKIN_TEST_TSAN)
constexpr bool kSanitized = true, kThreadSanitizer = true;
#elif defined(AKIN_TEST_ASAN)
constexpr bool kSanitized = true, kThreadSanitizer = false;
#else
constexpr bool kSanitized = false, kThreadSanitizer = false;
#endif

}  // namespace akin::test
