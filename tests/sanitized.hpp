// Whether this build has a sanitizer. The emulator runs many times slower with one, so that tests take smaller sizes.
#pragma once

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define AKIN_TEST_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define AKIN_TEST_SANITIZED true
#endif
#endif
#if !defined(AKIN_TEST_SANITIZED)
#define AKIN_TEST_SANITIZED false
#endif

namespace akin::test {

constexpr bool kSanitized = AKIN_TEST_SANITIZED;

}  // namespace akin::test
