#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "engine/io/file.hpp"
#include "engine/io/gzip.hpp"
#include "engine/io/nearest_name.hpp"
#include "engine/io/sha256.hpp"
#include "engine/io/write_all.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;
namespace fs = std::filesystem;

namespace {

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

Bytes noise(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  Bytes b(n);
  for (auto& v : b) v = static_cast<std::uint8_t>(rng.below(7) * 30);  // compressible, but not trivially
  return b;
}

/// No file of this process may grow beyond n bytes while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t n) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{n, old_.rlim_max};
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
  void (*old_handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("a file is written, read back and replaced, and nothing else stays in the folder") {
  const TempFolder t;
  for (const std::size_t n : {0, 1, 7, 4096, 100001}) {
    const Bytes bytes = noise(n, n);
    write_file_atomic(t / "f.bin", bytes);
    CHECK(read_file(t / "f.bin") == bytes);
    CHECK(entries(t.path()) == 1);
  }
  write_file_atomic(t / "f.txt", std::string_view("text\n"));
  CHECK(read_text(t / "f.txt") == "text\n");
}

TEST_CASE("reading says what is wrong and names the file") {
  const TempFolder t;
  CHECK(has(error_of([&] { read_file(t / "none.bin"); }), "none.bin: cannot be opened"));
  CHECK(has(error_of([&] { read_file(t.path()); }), "is a folder"));
  write_file_atomic(t / "f.bin", noise(100, 1));
  CHECK(has(error_of([&] { read_file(t / "f.bin", 99); }), "f.bin: longer than the limit of 99 bytes"));
  CHECK(read_file(t / "f.bin", 100).size() == 100);
  CHECK(has(error_of([&] { read_file(t / "f.bin" / "x"); }), "not a folder"));
  CHECK(has(error_of([&] { read_file("/dev/zero"); }), "is a device"));
  REQUIRE_EQ(::mkfifo((t / "pipe").c_str(), 0600), 0);
  for (const std::size_t limit : {std::size_t{100}, std::size_t{1} << 20}) {  // as from a shell's <(command)
    std::thread writer([&] { std::ofstream(t / "pipe") << std::string(5000, 'x'); });
    std::size_t read = 0;
    const std::string error = error_of([&] { read = read_file(t / "pipe", limit).size(); });
    writer.join();
    CHECK_EQ(read, limit == 100 ? 0 : 5000);
    CHECK_EQ(has(error, "longer than the limit of 100 bytes"), limit == 100);
  }
  CHECK_FALSE(read_file("/proc/self/status").empty());  // claims length 0
  if (::geteuid() != 0) {
    fs::permissions(t / "f.bin", fs::perms::none);
    CHECK(has(error_of([&] { read_file(t / "f.bin"); }), "permissions"));
  }
}

TEST_CASE("a failed write leaves the old file and no other trace") {
  const TempFolder t;
  write_file_atomic(t / "f.bin", std::string_view("old"));
  SUBCASE("disk full in the middle") {
    std::string message;
    {
      const FileSizeLimit limit(5000);
      message = error_of([&] { write_file_atomic(t / "f.bin", noise(20000, 3)); });
    }
    CHECK(has(message, "f.bin: cannot be written"));
    CHECK(has(message, "untouched"));
  }
  SUBCASE("given up before commit") {
    AtomicFile file(t / "f.bin");
    file.write("half");
  }
  SUBCASE("target became a folder") {
    AtomicFile file(t / "g.bin");
    file.write("new");
    fs::create_directories(t / "g.bin" / "inner");
    CHECK(has(error_of([&] { file.commit(); }), "g.bin: cannot be renamed"));
    CHECK(has(error_of([&] { file.write("more"); }), "after the file was finished"));
    fs::remove_all(t / "g.bin");
  }
  CHECK(read_text(t / "f.bin") == "old");
  CHECK(entries(t.path()) == 1);
}

TEST_CASE("unwritable places are refused with a remedy") {
  const TempFolder t;
  const auto attempt = [](const fs::path& p) { return error_of([&] { write_file_atomic(p, std::string_view("x")); }); };
  CHECK(has(attempt(t / "no" / "f.bin"), "create the folder"));
  write_file_atomic(t / "plain", std::string_view("x"));
  CHECK(has(attempt(t / "plain" / "f.bin"), "not a folder"));
  CHECK(has(attempt(t.path()), "is a folder"));
  CHECK(has(attempt("/dev/full"), "is a device"));
  CHECK(has(attempt("/proc/self/akin.bin"), "cannot be created"));
  CHECK(has(attempt(t / std::string(300, 'a')), "shorter name"));
  CHECK(has(error_of([&] { make_folder(t / "plain"); }), "plain"));
  CHECK(has(error_of([&] { make_folder(t / "plain" / "x"); }), "folder cannot be made"));
  make_folder(t / "a" / "b");
  make_folder(t / "a" / "b");
  CHECK(fs::is_directory(t / "a" / "b"));
  if (::geteuid() != 0) {
    fs::permissions(t / "a", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(has(attempt(t / "a" / "f.bin"), "permissions"));
    fs::permissions(t / "a", fs::perms::owner_all);
  }
}

TEST_CASE("all bytes go through a pipe that holds fewer, and an error is told") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string text(1 << 20, 'x');  // a pipe holds 64 kB
  int error = -1;
  std::thread writer([&] {
    error = write_all(ends[1], bytes_of(text));
    ::close(ends[1]);
  });
  std::string came;
  char part[5000];
  for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof part)) > 0;) came.append(part, static_cast<std::size_t>(n));
  writer.join();
  CHECK(error == 0);
  CHECK(came == text);
  CHECK(write_all(ends[0], bytes_of(text)) == EBADF);
  ::close(ends[0]);
}

TEST_CASE("a file that is not there is told with the nearest that is") {
  const TempFolder t;
  for (const char* name : {"ibis.safetensors", "merlin.safetensors", ".ibsi.safetensors"})
    write_file_atomic(t / name, std::string_view("x"));
  const auto error = [&](const char* name) {
    try {
      read_file(t / name);
      return std::string();
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  CHECK(error("ibsi.safetensors").find("did you mean '" + (t / "ibis.safetensors").string() + "'?") !=
        std::string::npos);
  CHECK(error("readme.txt").find("did you mean") == std::string::npos);
  CHECK(nearest_name("weigthed", {"equal", "weighted", "weighted-transfer"}) == "weighted");
  CHECK(nearest_name("xyz", {"equal"}).empty());
}

TEST_CASE("a path that cannot be looked up is not there") {
  const TempFolder t;
  write_file_atomic(t / "file", std::string_view("x"));
  fs::create_symlink(t / "loop", t / "loop");
  CHECK(is_there(t / "file"));
  CHECK(is_there(t.path()));
  CHECK(is_folder(t.path()));
  for (const fs::path& path : {t / "file/below", t / "none", t / "loop", t / std::string(300, 'a')}) {
    CHECK_FALSE(is_there(path));
    CHECK_FALSE(is_folder(path));
  }
  CHECK_FALSE(is_folder(t / "file"));
}

TEST_CASE("a symbolic link stays a link and its target is replaced") {
  const TempFolder t;
  make_folder(t / "d");
  write_file_atomic(t / "d" / "real", std::string_view("old"));
  fs::create_symlink(t / "d" / "real", t / "link");
  write_file_atomic(t / "link", std::string_view("new"));
  CHECK(fs::is_symlink(t / "link"));
  CHECK(read_text(t / "d" / "real") == "new");
}

TEST_CASE("SHA-256 gives the values of FIPS 180-4's examples, however the bytes are cut") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1000000, 'a');
  CHECK(sha256_hex(million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  for (const std::size_t cut : {1, 55, 56, 63, 64, 65, 119, 120, 999999}) {
    Sha256 sum;
    sum.update(std::string_view(million).substr(0, cut));
    CHECK(sum.hex().size() == 64);  // looking does not disturb
    CHECK(sum.update(std::string_view(million).substr(cut)).hex() == sha256_hex(million));
  }
  const TempFolder t;
  write_file_atomic(t / "f", std::string_view("abc"));
  CHECK(sha256_file(t / "f") == sha256_hex("abc"));
}

TEST_CASE("gzip: round trip, joined members, and every truncation and flipped byte is noticed") {
  for (const std::size_t n : {0, 1, 31, 257, 70000}) {
    const Bytes bytes = noise(n, n);
    CHECK(gunzip(gzip(bytes), n, "x") == bytes);
    CHECK(gzip(bytes) == gzip(bytes));
  }
  const Bytes bytes = noise(300, 9), packed = gzip(bytes);
  Bytes twice = packed;
  twice.insert(twice.end(), packed.begin(), packed.end());
  CHECK(gunzip(twice, 600, "x").size() == 600);
  for (std::size_t n = 0; n < packed.size(); ++n) {
    CHECK_FALSE(error_of([&] { gunzip(ByteView(packed).first(n), 1000, "x.gz"); }).empty());
  }
  for (std::size_t i = 0; i < packed.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      Bytes bad = packed;
      bad[i] = static_cast<std::uint8_t>(bad[i] ^ (1 << bit));
      Bytes out = bytes;
      const std::string message = error_of([&] { out = gunzip(bad, 1000, "x.gz"); });
      // A bit that carries no content (time, system, padding of the last byte) may pass; a changed content never.
      CHECK((!message.empty() || out == bytes));
    }
  }
  Bytes tail = packed;
  tail.resize(tail.size() + 5);  // zeros, as behind files from tapes
  CHECK(gunzip(tail, 1000, "x.gz") == bytes);
  tail.push_back(7);
  CHECK(has(error_of([&] { gunzip(tail, 1000, "x.gz"); }), "x.gz: 6 bytes follow"));
  CHECK(has(error_of([&] { gunzip(packed, 299, "x.gz"); }), "more than the limit of 299"));
  const Bytes bomb = gzip(Bytes(std::size_t{64} << 20));
  CHECK(bomb.size() < 100000);
  CHECK(has(error_of([&] { gunzip(bomb, 1000000, "x.gz"); }), "more than the limit"));
}

TEST_CASE("gzip is recognised by content") {
  const TempFolder t;
  const Bytes bytes = noise(50, 1);
  write_file_atomic(t / "plain.gz", bytes);
  write_file_atomic(t / "packed.bin", gzip(bytes));
  CHECK(read_file_gunzipped(t / "plain.gz") == bytes);
  CHECK(read_file_gunzipped(t / "packed.bin") == bytes);
}

TEST_CASE("the start of a file; pipes with a slow writer, and with none") {
  const TempFolder t;
  const Bytes bytes = noise(100, 4);
  write_file_atomic(t / "f", bytes);
  CHECK(read_start(t / "f", 10) == Bytes(bytes.begin(), bytes.begin() + 10));
  CHECK(read_start(t / "f", 1000) == bytes);
  CHECK(has(error_of([&] { read_start(t / "none", 1); }), "none: cannot be opened"));
  CHECK(has(error_of([&] { read_start(t.path(), 1); }), "is a folder"));
  CHECK(has(error_of([&] { read_start("/dev/zero", 1); }), "/dev/zero: is a pipe or device"));
  REQUIRE(::mkfifo((t / "pipe").c_str(), 0600) == 0);
  CHECK(has(error_of([&] { read_start(t / "pipe", 1); }), "is a pipe or device"));
  std::thread writer([&] {
    const int fd = ::open((t / "pipe").c_str(), O_WRONLY);
    for (const std::size_t at : {0, 50}) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));  // longer than the reader looks away
      CHECK(::write(fd, bytes.data() + at, 50) == 50);
    }
    ::close(fd);
  });
  CHECK(read_file(t / "pipe") == bytes);
  writer.join();
  CHECK(has(error_of([&] { read_file(t / "pipe"); }), "pipe: is a pipe into which nobody writes"));
}
