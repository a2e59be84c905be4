// PyTorch's files. An input is the program of the pickle alone, packed into a sound archive with three storages, or a
// whole archive where it begins as one: a blind change of an archive breaks its checksums.
#include "engine/io/pth.hpp"

#include "engine/io/pickle.hpp"
#include "engine/io/zip.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/pth_files.hpp"

namespace akin::fuzz {

namespace {

namespace p = akin::test::pickle;

/// The archive around a program.
Bytes archive_of(ByteView program) {
  return test::zip_of({{"archive/data.pkl", std::string(program.begin(), program.end())},
                       {"archive/data/0", test::floats(64)},
                       {"archive/data/1", std::string(16, '\1')},
                       {"archive/data/2", ""}});
}

void run(ByteView input) {
  const Bytes file = is_zip(input) ? Bytes(input.begin(), input.end()) : archive_of(input);
  const auto read = accepted([&] { return parse_pth(file, "w.pth"); });
  if (!read) return;
  require(!read->tensors.empty(), "weights without a tensor");
  if (read->find("__metadata__") != nullptr) return;  // the one name that safetensors has for itself
  const SafeTensors again =
      must("writing what was read", [&] { return parse_safetensors(to_safetensors(*read), "again"); });
  require(again.tensors.size() == read->tensors.size(), "a tensor was lost");
  for (const auto& [name, array] : read->tensors)
    require(same_bits(array, again.at(name)), "a tensor is another after writing");
}

Seeds seeds() {
  const auto view = [](std::vector<std::int64_t> size, std::vector<std::int64_t> stride,
                       const char* storage = "FloatStorage", const char* key = "0", std::int64_t numel = 64) {
    return p::tensor(
        {.storage = storage, .key = key, .numel = numel, .size = std::move(size), .stride = std::move(stride)});
  };
  const std::string plain = view({2, 3, 2, 2}, {12, 4, 2, 1}), turned = view({4, 2}, {1, 4}), one = view({}, {}),
                    whole = view({2}, {1}, "LongStorage", "1", 2), half = view({8}, {1}, "HalfStorage", "1", 8),
                    none = view({0}, {1}, "ByteStorage", "2", 0);
  const std::string weights = p::dict({{"conv.weight", plain}, {"fc.weight", turned}, {"n", whole}, {"h", half}});
  const std::string ordered = p::call(p::global("collections", "OrderedDict"), {}) + "(" + p::text("w") + plain + "u" +
                              p::dict({{"_metadata", p::dict({})}}) + "b";
  std::vector<std::pair<std::string, std::string>> programs{
      {"weights", weights},
      {"ordered", ordered},
      {"checkpoint",
       p::dict({{"epoch", p::whole(3)}, {"state_dict", weights}, {"best", one}, {"none", none}, {"x", "N"}})},
      {"parameter", p::dict({{"w", p::call(p::global("torch._utils", "_rebuild_parameter"), {plain, "\x88", "N"})}})},
      {"pairs", p::call(p::global("collections", "OrderedDict"), {"](" + p::text("w") + plain + "\x86" + "e"})},
      {"memo", "}q\1(" + p::text("w") + plain + "r\2\0\0\0" + p::text("v") + "h\2" + "uh\1" + "0"},
      {"refused", p::dict({{"w", p::global("os", "system")}})},
      {"other", p::dict({{"w", "(K\1M\1\2\x8a\1\xffG\0\0\0\0\0\0\0\0U\1aC\1b]a}s\x85\x87t"}, {"v", plain}})}};
  Seeds all;
  for (const auto& [name, value] : programs) {
    const std::string program = p::program(value);
    all.push_back({name, Bytes(program.begin(), program.end())});
  }
  all.push_back({"archive", archive_of(all[0].bytes)});
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"\x80\2", "ctorch._utils\n_rebuild_tensor_v2\n", "ccollections\nOrderedDict\n",
                              "ctorch\nFloatStorage\n", "ctorch\nSize\n", "PK\1\2", "PK\3\4", "PK\5\6", "PK\6\6",
                              "PK\6\7", "X\7\0\0\0storage", "J\xff\xff\xff\x7f"}};

}  // namespace akin::fuzz
