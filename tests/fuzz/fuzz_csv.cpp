// CSV tables: as many numbers as rows and columns say, and written again they are read equal.
#include <cmath>

#include "engine/io/csv.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

std::string quoted(const std::string& cell) {
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

void run(ByteView input) {
  const std::string_view text = text_of(input);
  passes([&] {
    CsvRows rows(text, "input");
    std::vector<std::string> cells;
    std::size_t line = 0, number = 0, bytes = 0;
    while (rows.next(cells)) {
      require(rows.line() > line || number == 0, "rows are out of order");
      line = rows.line();
      ++number;
      require(!cells.empty(), "a row without a cell");
      for (const std::string& cell : cells) bytes += cell.size();
    }
    require(bytes <= text.size(), "more text than there is");
  });
  const auto table = accepted([&] { return parse_csv(text, "input"); });
  if (!table) return;
  const Shape& s = table->values.shape();
  require(s.rank() == 2 && s[0] > 0, "no rows");
  require(table->labels.empty() || table->labels.size() == static_cast<std::size_t>(s[0]), "labels of some rows only");
  // Written with a line of names: without one, what the first numbers are is a matter of what follows them.
  if (s[1] == 0) return;
  const auto values = table->values.as<double>();
  std::string written;
  for (std::int64_t c = 0; c < s[1]; ++c) written += fmt::format("f{}{}", c, c + 1 == s[1] ? "\r\n" : ",");
  for (std::size_t i = 0; i < values.size(); ++i)
    written += fmt::format("{}{}", quoted(fmt::format("{}", values[i])),
                           (i + 1) % static_cast<std::size_t>(s[1]) == 0 ? "\r\n" : ",");
  const CsvMatrix again = must("reading what was written", [&] { return parse_csv(written, "written"); });
  require(again.values.shape() == s, "read again it has another shape");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double a = values[i], b = again.values.as<double>()[i];
    require(std::isnan(a) ? std::isnan(b) : a == b, "read again a number is another one");
  }
}

Seeds seeds() {
  return {text_seed("numbers", "1,2\n3,4\n"),
          text_seed("names", "a,b,label\n1,2.5,cat\n-3e2,4,dog\n"),
          text_seed("quoted", "\"a \"\"b\"\"\",\"c\nd\"\r\n1,\"2\"\r\n"),
          text_seed("blanks", " 1 , 2 \n\n\n3,4"),
          text_seed("odd", "nan,inf,-inf\n0x1p3,1e999,1e-999\n"),
          text_seed("bom",
                    "\xef\xbb\xbf"
                    "a,b\n1,2\n"),
          text_seed("semicolons", "a;b\n1,5;2,5\n"),
          text_seed("tabs", "a\tb\n1\t2\n"),
          text_seed("index", ",a,b\n0,1,2\n1,3,4\n"),
          text_seed("missing", "a,b\n1,\n,2\n"),
          text_seed("unclosed", "a,\"b\n1,2\n"),
          text_seed("ragged", "1,2\n3\n"),
          text_seed("labels", "label\ncat\n"),
          text_seed("comment", "# made by x\n1,2\n"),
          text_seed("utf16", std::string_view("\xff\xfe"
                                              "1\0,\0"
                                              "2\0\n\0",
                                              10))};
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"label", "labels", "class", "nan", "inf", "\"\"", "\r\n", "\xef\xbb\xbf", "1e999", ";",
                              "\t", "index", "Unnamed: 0"}};

}  // namespace akin::fuzz
