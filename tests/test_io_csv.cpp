// Tables of text: what spreadsheets and data frames make of numbers, labels and names.
#include "engine/io/csv.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/io/file.hpp"
#include "engine/io/gzip.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
using namespace std::string_literals;

namespace {

using Values = std::vector<double>;
using Cells = std::vector<std::string>;

Values values_of(const CsvMatrix& m) { return {m.values.as<double>().begin(), m.values.as<double>().end()}; }

CsvMatrix read(const std::string& text) { return parse_csv(text, "table.csv"); }

std::string complaint(const std::string& text) {
  return error_of([&] { parse_csv(text, "table.csv"); });
}

/// Writes the bytes and reads the file.
CsvMatrix from_file(const std::string& bytes) {
  const TempFolder folder;
  write_file_atomic(folder / "t.csv", std::string_view(bytes));
  return read_csv(folder / "t.csv");
}

std::string utf16(const std::string& ascii, bool big_endian) {
  std::string out;
  for (const char c : ascii) out += big_endian ? "\0"s + c : c + "\0"s;
  return out;
}

}  // namespace

TEST_CASE("csv: numbers with and without names of columns") {
  const CsvMatrix plain = read("1,2.5\n-3e2, 4 \r\n\n+5,\"6\"\n");
  CHECK(plain.columns.empty());
  REQUIRE(plain.values.shape() == Shape{3, 2});
  CHECK(values_of(plain) == Values{1, 2.5, -300, 4, 5, 6});
  CHECK(plain.notes.empty());

  const CsvMatrix named = read("\xEF\xBB\xBFw,\"a, b\",label\n1,2,cat\n3,4,\"a \"\"dog\"\"\"\n");
  CHECK(named.columns == Cells{"w", "a, b"});
  CHECK(named.labels == Cells{"cat", "a \"dog\""});
  CHECK(values_of(named) == Values{1, 2, 3, 4});

  CsvRows rows("a\n\"two\nlines\",b\nlast,", "rows");
  Cells cells;
  REQUIRE(rows.next(cells));
  CHECK_EQ(rows.line(), 1u);
  REQUIRE(rows.next(cells));
  CHECK(cells == Cells{"two\nlines", "b"});
  REQUIRE(rows.next(cells));
  CHECK_EQ(rows.line(), 4u);
  CHECK(cells == Cells{"last", ""});
  CHECK_FALSE(rows.next(cells));
}

TEST_CASE("csv: what is wrong, and where") {
  CHECK_EQ(complaint("1,2\n3\n4,5\n"), "table.csv: line 2 has 1 cells, the first one 2");
  CHECK(has(complaint("a,b\n1,x\n"), "table.csv: line 2, column 2 (\"b\") \"x\" is no number"));
  CHECK(has(complaint("1,2\n3,\n"), "line 2, column 2 is empty"));
  CHECK(has(complaint(""), "no row"));
  CHECK(has(complaint("a,b\n"), "no row"));
  CHECK(has(complaint("\"1,2\n"), "never closed"));
  CHECK(has(complaint("\"1\"2,3\n"), "closing quote"));
  CHECK_THROWS_AS(read_csv("/nonexistent/file.csv"), Error);
  // Cells that are no finite numbers, by their true names.
  const auto cell = [](const std::string& text) { return complaint("a,b\n1,2\n3," + text + "\n5,6\n"); };
  for (const char* missing : {"NA", "N/A", "null", "None", "?", "#N/A"})
    CHECK(has(cell(missing), "line 3, column 2 (\"b\") \""s + missing + "\" stands for a missing value"));
  CHECK(has(cell("nan"), "line 3, column 2 (\"b\") holds nan, row 1; finite numbers are needed"));
  CHECK(has(cell("-inf"), "holds -inf, row 1"));
  CHECK(has(cell("1e400"), "holds 1e400, row 1"));
  CHECK(has(cell("2024-01-05"), "looks like a date"));
  CHECK(has(cell("1-May"), "looks like a date"));
  CHECK(has(cell("#DIV/0!"), "a spreadsheet's error"));
  CHECK(has(cell("=A1+B1"), "a spreadsheet's formula"));
  CHECK(has(cell("5%"), "\"5%\" is no number"));
  CHECK(has(cell("+-5"), "is no number"));
  CHECK(has(cell("TRUE"), "\"TRUE\" among other kinds of cells"));
  CHECK(has(complaint("a,b\n1,2\na,b\n3,4\n"), "line 3 names the columns once more"));
  CHECK(has(complaint("1,NA,3\n4,5,6\n7,8,9\n"), "line 1, column 2 \"NA\" stands for a missing value"));
  CHECK(has(complaint("1.5,,3\n4,5,6\n"), "line 1, column 2 is empty"));
  CHECK(has(complaint("1,2\n,\n3,4\n"), "line 2 has empty cells only"));
  CHECK_EQ(values_of(read("1e-400,4.9e-324\n")), Values{0, 4.9e-324});
}

TEST_CASE("csv: separators, decimal marks and thousands, where they are plain") {
  const Values want{1.5, 2, -300, 4.25};
  for (const char* text : {"1.5,2\n-3e2,4.25\n",
                           "1.5;2\n-3e2;4.25\n",
                           "1,5;2\n-3e2;4,25\n",
                           "1.5\t2\n-3E+02\t4.25\n",
                           "1,5\t2\n-300\t4,25\n",
                           "1.5|2\n-300|4.25\n",
                           "  1.5   2\n -300 \t 4.25  \n",
                           "1.500000000000000000e+00 2.0e+00\n-3e2 4.25\n",
                           "\"1,5\",\"2\"\n\"-300\",\"4,25\"\n",
                           "\"1.5\";\"2\"\n\"-300\";\"4.25\"\n",
                           "sep=;\n1,5;2\n-300;4,25\n",
                           "\"sep=,\"\r\n1.5,2\r\n-300,4.25\r\n",
                           "1.5,2,\n-300,4.25,\n",
                           "1.5;2;\n-300;4.25;\n",
                           "a,b,\n1.5,2\n-300,4.25\n",
                           "a,b\n1.5,2,\n-300,4.25,\n",
                           "1.5,2\n-300,4.25\n\n  \n\r\n",
                           "1.5,2\n-300,4.25\n,\n,\n",
                           "a;b\n1,5;2\n-300;4,25\n",
                           "x y\n1.5 2\n-300 4.25",
                           "# made by numpy\n1.5 2\n-300 4.25\n"}) {
    CAPTURE(text);
    CsvMatrix m;
    CHECK_EQ(error_of([&] { m = read(text); }), "");
    CHECK(values_of(m) == want);
    CHECK(m.values.shape() == Shape{2, 2});
  }
  CHECK(values_of(read("1.234,5;2\n3;4\n")) == Values{1234.5, 2, 3, 4});
  CHECK(values_of(read("\"1,234.5\",2\n\"1,000,000\",4\n")) == Values{1234.5, 2, 1e6, 4});
  CHECK(values_of(read("1,234;0.5\n2;3\n")) == Values{1234, 0.5, 2, 3});
  CHECK(values_of(read("0,123;2\n3;4\n")) == Values{0.123, 2, 3, 4});  // no thousands begin with 0
  CHECK(has(complaint("1,234;2\n3;4\n"), "\"1,234\" may have a decimal comma or one between thousands"));
  CHECK(has(complaint("1,5;2.5\n3;4\n"), "\"1,5\" and \"2.5\" have different decimal marks"));
  CHECK(has(complaint("1,5;1.234\n3;4\n"), "\"1.234\" may be a thousand"));
  CHECK(values_of(read("1,2\n3,4\n")) == Values{1, 2, 3, 4});
  CHECK(values_of(read("a,b\nTRUE,2\nfalse,4\n")) == Values{1, 2, 0, 4});
  CHECK(values_of(read("7\n8.5\n9\n")) == Values{7, 8.5, 9});
  CHECK(values_of(read("x\n0,5\n0,75\n")) == Values{0.5, 0.75});
}

TEST_CASE("csv: encodings and line ends") {
  const std::string text = "a,b\r\n1.5,2\r\n3,4\r\n";
  for (const std::string& bytes :
       {text, "\xEF\xBB\xBF" + text, "\xFF\xFE" + utf16(text, false), "\xFE\xFF" + utf16(text, true),
        utf16(text, false), utf16(text, true), "a,b\r1.5,2\r3,4\r"s, "a,b\r1.5,2\r3,4"s})
    CHECK(values_of(from_file(bytes)) == Values{1.5, 2, 3, 4});
  CHECK(has(error_of([&] { from_file("\xFF\xFE\0\0a\0\0\0"s); }), "UTF-32"));
  CHECK(has(error_of([&] { from_file("1,2\n3,\0004\n"s); }), "is no text: byte 6 is zero"));
  CHECK(has(error_of([&] { from_file(""); }), "the file is empty"));
  CHECK(
      has(error_of([&] { from_file("PK\x03\x04 xl/workbook.xml and so on"); }), "no table of text but an Excel file"));
  const Bytes packed = gzip(bytes_of(text));
  CHECK(has(error_of([&] { from_file({packed.begin(), packed.end()}); }), "packed with gzip"));
  CHECK(has(error_of([&] { from_file("<!DOCTYPE html><html></html>"); }), "a web page"));
  // Names of columns may be of any code, names of classes go into reports.
  CHECK(values_of(read("gr\xF6\xDF\x65,b\n1,2\n")) == Values{1, 2});
  CHECK(has(complaint("a,label\n1,gr\xFCn\n"), "the label of row 0 is no UTF-8"));
}

TEST_CASE("csv: what data frames and spreadsheets add is left out and told of") {
  const auto left_out = [](const std::string& text, const Values& want, const char* note) {
    CAPTURE(text);
    CsvMatrix m;
    CHECK_EQ(error_of([&] { m = read(text); }), "");
    CHECK(values_of(m) == want);
    if (note == nullptr) {
      CHECK(m.notes.empty());
      return;
    }
    REQUIRE_EQ(m.notes.size(), 1u);
    CHECK(has(m.notes[0], note));
  };
  const Values want{1.5, 2, 3, 4.5};
  left_out(",a,b\n0,1.5,2\n1,3,4.5\n", want, "table.csv: column 1 numbers the rows and is left out");
  left_out("Unnamed: 0,a,b\n0,1.5,2\n1,3,4.5\n", want, "column 1 (\"Unnamed: 0\") numbers the rows");
  left_out("a,b,Index\n1.5,2,1\n3,4.5,2\n", want, "column 3 (\"Index\") numbers the rows");
  left_out("id,a,b\n7,1.5,2\n7,3,4.5\n", want, "column 1 (\"id\") holds numbers of rows or things and is left out");
  left_out("\"\",\"a\",\"b\"\n\"1\",1.5,2\n\"2\",3,4.5\n", want, "numbers the rows");  // R's write.csv
  left_out("a b\n1 1.5 2\n2 3 4.5\n", want, "numbers the rows");                       // R's write.table
  left_out("0,1,2,3\n1.5,2,3,4.5\n", want, "the first line (0, 1, 2 ...) numbers the columns");
  left_out("0,1\n1.5,2.0\n3.0,4.5\n", want, "numbers the columns and is no row");
  left_out("0\n1.5\n2.0\n3.0\n4.5\n", want, "numbers the columns and is no row");
  CHECK_EQ(values_of(read("0,1\n1.5,2\n2.5,3\n")), Values{0, 1, 1.5, 2, 2.5, 3});  // may be a row
  left_out(",0,1\n0,1.5,2\n1,3,4.5\n", want, "numbers the rows");
  left_out("a,,b\n1.5,,2\n3,,4.5\n", want, "column 2 is empty and is left out");
  left_out("#,a,b\n1,1.5,2\n2,3,4.5\n", want, "numbers the rows");
  left_out("# a,b\n1.5,2\n# half\n3,4.5\n", want, "lines that begin with # are passed over (1)");
  left_out("a,b\n1.5,2\n3,4.5\n", want, nullptr);
  left_out("index,b\n1.5,2\n3,4.5\n", want, nullptr);  // a refractive index
  left_out("x,y\n1.5,2\n3,4.5\n", want, nullptr);
  CHECK(read("# a,b\n1.5,2\n").columns == Cells{"a", "b"});

  const CsvMatrix named = read("file,a,b,target\nx/1.png,1.5,2,cat\nx/2.png,3,4.5,dog\n");
  CHECK(values_of(named) == want);
  CHECK(named.names == Cells{"x/1.png", "x/2.png"});
  CHECK(named.labels == Cells{"cat", "dog"});
  REQUIRE_EQ(named.notes.size(), 1u);
  CHECK(has(named.notes[0], "column 4 (\"target\") is taken for the labels"));
  const CsvMatrix index = read(",a,b\ncat/1.png,1.5,2\ndog/1.png,3,4.5\n");
  CHECK(index.names == Cells{"cat/1.png", "dog/1.png"});
  CHECK(has(index.notes.at(0), "column 1 is taken for the images' names"));
  CHECK(read(",a\n17,1.5\n4,3\n").names == Cells{"17", "4"});
  const CsvMatrix bare = read("a.png,1.5,2\nb.png,3,4.5\n");
  CHECK(values_of(bare) == want);
  CHECK(bare.names == Cells{"a.png", "b.png"});
  CHECK(has(bare.notes.at(0), "column 1 holds text and is taken for the images' names"));
  for (const char* title : {"Label", "CLASS", "labels", "y", "class_id", "Class Name", "category"})
    CHECK(read("a,"s + title + "\n1.5,0\n3,1\n").labels == Cells{"0", "1"});
  const CsvMatrix two = read("class_name,label,a\ncat,0,1.5\ndog,1,3\n");
  CHECK(two.labels == Cells{"0", "1"});
  CHECK(has(two.notes.at(0), "column 1 (\"class_name\") is a second one of labels"));

  CHECK(has(complaint("a,split\n1,train\n2,train\n"), "column 2 (\"split\") \"train\" is no number"));
  CHECK(has(complaint("name,a\ncat,1\ncat,2\n"), "column 1 (\"name\") holds \"cat\" in rows 0 and 1"));
  CHECK(has(complaint("1.5,cat\n2.5,cat\n"), "column 2 holds text (\"cat\"), and no line names the columns"));
  CHECK(has(complaint("id\n0\n1\n"), "has no column of features"));
  CHECK(has(complaint("a,label\n1,cat\n2,\n"), "is empty: a row without a label"));
}

TEST_CASE("csv: lists of labels") {
  const auto labels = [](const std::string& text) { return parse_csv_labels(text, "y.csv"); };
  const auto refused = [&](const std::string& text) { return error_of([&] { labels(text); }); };
  const Cells want{"cat", "dog"};
  for (const char* text : {"cat\ndog\n", "label\ncat\ndog", ",label\n0,cat\n1,dog\n", "0\ncat\ndog\n",
                           "target\ncat\ndog\n", "0,cat\n1,dog\n", "id;class\n1;cat\n2;dog\n",
                           "label,split\ncat,train\ndog,train\n", "\"cat\"\r\n\"dog\"\r\n"}) {
    CAPTURE(text);
    CsvLabels got;
    CHECK_EQ(error_of([&] { got = labels(text); }), "");
    CHECK(got.labels == want);
    CHECK(got.names.empty());
  }
  for (const char* text :
       {"file,label\na.png,cat\nb.png,dog\n", "a.png,cat\nb.png,dog\n", "label\tpath\ncat\ta.png\ndog\tb.png\n"}) {
    CAPTURE(text);
    CHECK(labels(text).labels == want);
    CHECK(labels(text).names == Cells{"a.png", "b.png"});
  }
  CHECK(labels("golden retriever\npug\n").labels[0] == "golden retriever");
  CHECK(labels("0\n1\n").labels == Cells{"0", "1"});          // numbers: the first line may be one
  CHECK(labels("target\ncat\ntarget\n").labels.size() == 3);  // a class called so
  CHECK(has(refused("cat\n\ndog\n"), "line 2 is empty: a row without a label"));
  CHECK(has(refused("cat,1,2\ndog,3,4\n"), "line 1 has 3 cells, expected one label a line"));
  CHECK(has(refused("cat\ndog,x\n"), "line 2 has 2 cells, expected 1"));
  CHECK(has(refused(""), "holds no label"));
  CHECK(has(refused("gr\xFCn\n"), "no UTF-8"));
}

TEST_CASE("csv: lists of labels keep the images' names, and tell what they leave out") {
  const auto labels = [](const std::string& text) { return parse_csv_labels(text, "y.csv"); };
  const auto refused = [&](const std::string& text) { return error_of([&] { labels(text); }); };
  const Cells cells{"1", "0", "1"}, names{"b.png", "c.png", "a.png"};
  for (const char* text :
       {"name,label\nb.png,1\nc.png,0\na.png,1\n", "ImageId,label\nb.png,1\nc.png,0\na.png,1\n",
        "photo,label\nb.png,1\nc.png,0\na.png,1\n", "Image ID;label\nb.png;1\nc.png;0\na.png;1\n",
        "image-path,label\nb.png,1\nc.png,0\na.png,1\n", "photo,split,label\nb.png,x,1\nc.png,x,0\na.png,x,1\n",
        "picked from,label\nb.png,1\nc.png,0\na.png,1\n", "id,file,label\n7,b.png,1\n9,c.png,0\n8,a.png,1\n",
        "id_code,diagnosis\nb.png,1\nc.png,0\na.png,1\n", "path label\nb.png 1\nc.png 0\na.png 1\n",
        "b.png 1\nc.png 0\na.png 1\n", "b.png\t1\nc.png\t0\na.png\t1\n"}) {
    CAPTURE(text);
    CsvLabels got;
    CHECK_EQ(error_of([&] { got = labels(text); }), "");
    CHECK(got.labels == cells);
    CHECK(got.names == names);
  }
  CHECK(labels("name,label\n3.5,1\n1.5,0\n2.5,1\n").names == Cells{"3.5", "1.5", "2.5"});
  CHECK(labels("my photos/1.png 1\nmy photos/0.png 0\n").names == Cells{"my photos/1.png", "my photos/0.png"});
  CHECK(labels("5 1\n3 0\n9 1\n").names == Cells{"5", "3", "9"});
  CHECK(labels("0 cat\n1 dog\n2 cat\n").labels == Cells{"cat", "dog", "cat"});
  CHECK(labels("golden retriever\ntabby cat\n").labels[0] == "golden retriever");
  const auto note = [&](const std::string& text) { return fmt::format("{}", fmt::join(labels(text).notes, "\n")); };
  CHECK(has(note("photo,split,label\nb,x,1\nc,x,0\na,x,1\n"),
            "column 2 (\"split\") is left out; the labels are column 3"));
  CHECK(has(note("label,class\n0,1\n1,1\n"), "column 2 (\"class\") is left out; the labels are column 1 (\"label\")"));
  CHECK(has(note("id,file,label\n7,b,1\n9,c,0\n"), "column 1 (\"id\") is left out"));
  CHECK(has(note("made,label\nb,1\nc,0\n"), "column 1 (\"made\") is taken for the images' names"));
  CHECK(has(note("a,b,c,d,e,label\n1,1,1,1,1,0\n1,1,1,1,1,1\n"), "column 3 (\"c\") and 2 more are left out"));
  CHECK_EQ(note("file,label\nb,1\nc,0\n"), "");
  // A list of pictures takes the column of splits, and numbers for names where there is nothing else.
  const auto of_pictures = [](const std::string& text) { return parse_csv_labels(text, "y.csv", true); };
  const CsvLabels split = of_pictures("photo,split,probability,label\nb,train,0.5,1\nc,test,0.5,0\n");
  CHECK(split.splits == Cells{"train", "test"});
  REQUIRE_EQ(split.notes.size(), 1u);
  CHECK(has(split.notes[0], "column 3 (\"probability\") is left out"));
  CHECK(of_pictures("id,label\n0,cat\n1,dog\n").names == Cells{"0", "1"});
  CHECK(of_pictures("id,label\n0,cat\n1,dog\n").notes.empty());
  CHECK(has(note("id,label\n0,cat\n1,dog\n"), "numbers the rows and is left out"));
  CHECK(has(of_pictures("id,file,label\n0,b,1\n1,c,0\n").notes[0], "column 1 (\"id\") numbers the rows"));
  for (const char* text :
       {"name,label\nb.png,1\nb.png,0\na.png,1\n", "id,photo,label\n1,b.png,1\n2,b.png,0\n3,a.png,1\n"})
    CHECK(has(refused(text), "holds \"b.png\" in rows 0 and 1; names of images all differ"));
  CHECK(has(refused("file,label\nb.png,1\n,0\n"), "row 1 has no name in column 1 (\"file\")"));
  CHECK(has(refused("b.png 1\nb.png 0\na.png 1\n"), "a column of names that all differ beside it"));
}

TEST_CASE("csv: points that may stand between thousands, and empty columns by the thousand") {
  for (const char* text : {"a;b\n14.792;828\n30.115;3.204\n", "a\tb\n14.792\t828\n30.115\t3.204\n"})
    CHECK(
        has(complaint(text), "table.csv: \"14.792\" beside \"828\" may have a decimal point or one between thousands"));
  CHECK(values_of(read("a,b\n14.792,828\n30.115,3.204\n")) == Values{14.792, 828, 30.115, 3.204});
  CHECK(values_of(read("a;b\n14.792;828\n30.115;0.204\n")) == Values{14.792, 828, 30.115, 0.204});
  CHECK(values_of(read("a;b\n14.792;8280\n30.115;3\n")) == Values{14.792, 8280, 30.115, 3});  // 8280 has no mark
  CHECK(values_of(read("a;b\n14.792;8.281\n30.115;3.001\n")) == Values{14.792, 8.281, 30.115, 3.001});
  CHECK(values_of(read("14.792;828;;\n30.115;3.2;;\n")) == Values{14.792, 828, 30.115, 3.2});

  // A spreadsheet saves as many columns as it once showed: one look more, and one line.
  const std::string many(2000, ',');
  const CsvMatrix m = read("a,b" + many + "\n1.5,2" + many + "\n3,4.5" + many + "\n");
  CHECK(values_of(m) == Values{1.5, 2, 3, 4.5});
  REQUIRE_EQ(m.notes.size(), 1u);
  CHECK_EQ(m.notes[0], "table.csv: column 3, column 4, column 5 and 1996 more are empty and are left out");
  // Names in fractions are names; fractions that repeat are none.
  CHECK(read("name,a\n3.5,1.5\n1.25,2\n").names == Cells{"3.5", "1.25"});
  const CsvMatrix fractions = read("image,a\n3.5,1.5\n3.5,2\n");
  CHECK(values_of(fractions) == Values{3.5, 1.5, 3.5, 2});
  CHECK(has(fractions.notes.at(0), "is taken for a feature"));
  CHECK(has(complaint("file,a\nb.png,1\n,2\n"), "row 1 has no name"));
}
