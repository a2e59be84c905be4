// Files given for what they are not: each is named, with the way to convert it.
#include "engine/io/file_kind.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/io/gzip.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/safetensors.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
using namespace std::string_literals;

namespace {

std::string padded(std::string text, std::size_t size = 600) {
  text.resize(std::max(text.size(), size), '\1');
  return text;
}

const std::string kTorchZip = padded("PK\x03\x04"s + std::string(26, '\0') + "archive/data.pkl");

}  // namespace

TEST_CASE("file kinds: weights of other programs are named, with the way to convert them") {
  const auto refusal = [](const std::string& content, const std::string& name = "w.safetensors") {
    return error_of([&] { parse_safetensors(bytes_of(content), name); });
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "an empty file (0 bytes)"},
      {kTorchZip, "PyTorch file (zip with a pickle); in Python: import torch"},
      {padded("PK\x03\x04 x/constants.pkl x/data.pkl"), "torch.jit.load(\"w.safetensors\")"},
      {padded("PK\x03\x04 features.npy"), "several NumPy arrays (.npz)"},
      {padded("PK\x03\x04 config.json model.weights.h5"), "a Keras model"},
      {padded("PK\x03\x04 xl/workbook.xml"), "an Excel file; save it as CSV"},
      {padded("PK\x03\x04 mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "an OpenDocument spreadsheet"},
      {padded("PK\x03\x04 readme"), "a zip archive; unpack it first"},
      {padded("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"), "a PyTorch file of the old kind"},
      {padded("\x80\x04\x95"), "a Python pickle"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "a git-lfs pointer; it is not the file"},
      {"/annex/objects/MD5-s1--2\n", "a git-annex pointer"},
      {"{\"metadata\": {}, \"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}", "several parts (shards)"},
      {"{\"a\": 1, \"b\": 2}", "JSON (it begins \"{\"a\": 1"},
      {"Entry not found", "text (it begins \"Entry not found\")"},
      {"<!DOCTYPE html>\n<html lang=en>", "a web page, not the file behind it"},
      {"\n  <HTML><head>", "a web page"},
      {padded("GGUF\x03"), "a GGUF file"},
      {padded("\x1c\0\0\0TFL3"s), "a TensorFlow Lite model"},
      {padded("\x89HDF\r\n\x1a\n"), "an HDF5 file (Keras?)"},
      {padded("\x08\x08\x12\x07pytorch\x1a\x04"s), "an ONNX model"},
      {padded(std::string(257, 'x') + "ustar"), "a tar archive"},
      {padded("\xfd"
              "7zXZ\0"s),
       "packed with xz"},
      {padded("\x28\xb5\x2f\xfd"), "packed with zstd"},
      {padded("BZh91AY"), "packed with bzip2"},
      {padded("7z\xbc\xaf\x27\x1c"), "a 7z archive"},
      {padded("\x93NUMPY\x01"), "a NumPy array (.npy)"},
      {padded("\x89PNG\r\n"), "a picture (PNG)"},
      {padded("%PDF-1.7"), "a PDF document"},
      {std::string(5000, '\0'), "a file of zero bytes"},
      {"model_checkpoint_path: \"m-1\"\n", "a TensorFlow checkpoint"},
  };
  for (const auto& [content, text] : cases) {
    CAPTURE(text);
    const std::string e = refusal(content);
    CAPTURE(e);
    CHECK(has(e, "w.safetensors: is no safetensors file but "));
    CHECK(has(e, text));
    CHECK_FALSE(has(e, "damaged"));
  }
  const Bytes packed = gzip(bytes_of(std::string(100, 'x')));
  CHECK(has(error_of([&] { parse_safetensors(packed, "w"); }), "packed with gzip; unpack it first"));
  for (const char* name : {"m.onnx", "g.pb", "f.msgpack", "m.data-00000-of-00001", "m.index"})
    CHECK(has(refusal("\x02\x03\x01\x07\xff\xfe\xfd\xfc\xfb\xfa\xf9", name), name));
  CHECK(has(refusal("\x02\x03\x01\x07\xff\xfe\xfd\xfc\xfb\xfa\xf9", "f.msgpack"), "Flax"));
  CHECK(has(refusal("\x02\x03\x01\x07\xff\xfe\xfd\xfc\xfb\xfa\xf9", "m.index"), "TensorFlow checkpoint"));
  // One that is cut off is still a safetensors file, whatever the length of its header spells.
  SafeTensors file;
  file.add("a", Array(DType::f32, {3}));
  Bytes whole = to_safetensors(file);
  whole.pop_back();
  CHECK(has(error_of([&] { parse_safetensors(whole, "cut"); }), "cut: not a sound safetensors file"));
}

TEST_CASE("file kinds: tables of other programs") {
  const auto refusal = [](const std::string& content) {
    return error_of([&] { parse_npy(bytes_of(content), "t.npy"); });
  };
  const std::pair<std::string, const char*> cases[] = {
      {kTorchZip, "numpy.save(\"features.npy\", torch.load(\"t.npy\""},
      {padded("PK\x03\x04 features.npy"), "numpy.load(\"t.npy\")[\"NAME\"]"},
      {padded("\x80\x04\x95"), "pickle.load(open(\"t.npy\", \"rb\"))"},
      {padded("\x89HDF\r\n\x1a\n"), "h5py.File(\"t.npy\")"},
      {padded(std::string(512, ' ') + "\x89HDF\r\n\x1a\n"), "h5py.File(\"t.npy\")"},
      {padded("PAR1"), "pandas.read_parquet(\"t.npy\")"},
      {padded("ARROW1"), "pandas.read_feather"},
      {padded("MATLAB 5.0 MAT-file"), "scipy.io.loadmat"},
      {padded("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "Excel file of the old kind"},
      {padded("SQLite format 3"), "SQLite"},
      {"1,2\n3,4\n5,6\n", "text (it begins \"1,2\")"},
  };
  for (const auto& [content, text] : cases) {
    CAPTURE(text);
    const std::string e = refusal(content);
    CAPTURE(e);
    CHECK(has(e, "t.npy: is no .npy file but "));
    CHECK(has(e, text));
  }
  CHECK(has(refusal("\x93NUMPY\x01"), "not a .npy file akin can read"));
  const TempFolder folder;
  write_file_atomic(folder / "a.pt", std::string_view(kTorchZip));
  CHECK(has(foreign_kind_of(folder / "a.pt", Wanted::table), "a PyTorch file"));
  CHECK_EQ(foreign_kind_of(folder.path(), Wanted::table), "a folder");
}
