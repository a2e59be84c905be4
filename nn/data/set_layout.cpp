#include "nn/data/set_layout.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <system_error>

#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/image_folder.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLayouts =
    "a data set is a folder with IDX files (train-images-idx3-ubyte.gz ...), CIFAR binaries (data_batch_1.bin ... or "
    "train.bin), image folders (<class>/, or train/<class>/ and test/<class>/), or pictures and labels.csv "
    "(file,label)";

/// A split's name and whether it is a validation split, which stands for the test split where there is no other.
struct Meaning {
  Split split;
  bool validation = false;
};

/// Letters alone, in lower case: "Un-labelled" is "unlabelled".
std::string letters_of(const std::string& name) {
  std::string out;
  for (const char c : name)
    if (c != '-' && c != '_' && c != ' ') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::optional<Meaning> meaning_of(const std::string& name) {
  static const std::map<std::string, Meaning> known{{"train", {Split::train}},
                                                    {"training", {Split::train}},
                                                    {"trainset", {Split::train}},
                                                    {"trainingset", {Split::train}},
                                                    {"test", {Split::test}},
                                                    {"testing", {Split::test}},
                                                    {"testset", {Split::test}},
                                                    {"val", {Split::test, true}},
                                                    {"valid", {Split::test, true}},
                                                    {"validation", {Split::test, true}},
                                                    {"validationset", {Split::test, true}},
                                                    {"valset", {Split::test, true}},
                                                    {"unlabeled", {Split::unlabeled}},
                                                    {"unlabelled", {Split::unlabeled}},
                                                    {"unlabeledset", {Split::unlabeled}},
                                                    {"unlabelledset", {Split::unlabeled}},
                                                    {"unlabeledimages", {Split::unlabeled}},
                                                    {"unlabelledimages", {Split::unlabeled}},
                                                    {"nolabel", {Split::unlabeled}},
                                                    {"nolabels", {Split::unlabeled}},
                                                    {"unsup", {Split::unlabeled}},
                                                    {"unsupervised", {Split::unlabeled}}};
  const auto at = known.find(letters_of(name));
  return at != known.end() ? std::optional(at->second) : std::nullopt;
}

/// What goes by the names of one split.
struct Candidates {
  std::vector<std::string> own, validation;
  void add(const Meaning& meaning, const std::string& name) { (meaning.validation ? validation : own).push_back(name); }
};

/// Only one of the two is read.
void check_same(const fs::path& plain, const fs::path& packed) {
  AKIN_CHECK(read_file_gunzipped(plain) == read_file_gunzipped(packed),
             "{} and {}: hold different bytes once unpacked; which one is meant? Remove one", plain.string(),
             packed.string());
}

/// The one that is meant.
std::string choose(Candidates& c, SetLayout& out) {
  std::vector<std::string>& names = c.own.empty() ? c.validation : c.own;
  std::sort(names.begin(), names.end());
  // The same file plain and packed is one file; two different names are a question only the user can answer.
  if (names.size() == 2 && names[1] == names[0] + ".gz") {
    out.account.note("packed files passed over, for the same are there unpacked", names[1]);
    check_same(out.folder / names[0], out.folder / names[1]);
    names.pop_back();
  }
  if (names.size() > 1)
    fail("{} and {}: which one is meant? Remove or rename one", (out.folder / names[0]).string(),
         (out.folder / names[1]).string());
  if (!c.own.empty())
    for (const std::string& name : c.validation)
      out.account.note("validation splits not read, for there is a test split", name);
  return names[0];
}

/// Where both a test and a validation split may stand for one: labels of the kind that the images are of.
void match_labels(SetLayout& layout, Candidates& images, Candidates& labels) {
  const bool validation = images.own.empty();
  std::vector<std::string>& matching = validation ? labels.validation : labels.own;
  std::vector<std::string>& others = validation ? labels.own : labels.validation;
  AKIN_CHECK(
      !matching.empty() || others.empty(),
      "{} and {}: images of the {} split and labels of the {} split, which are not of each other; remove one, or "
      "rename it where it is called by the wrong name",
      (layout.folder / (validation ? images.validation : images.own)[0]).string(), (layout.folder / others[0]).string(),
      validation ? "validation" : "test", validation ? "test" : "validation");
  if (!validation) return;
  for (const std::string& name : others) layout.account.note("labels of a split without images passed over", name);
  layout.used.insert(layout.used.end(), others.begin(), others.end());
  others.clear();
}

/// The file of class names, whatever case its name is in; empty where there is none.
std::string list_of_names(const std::vector<std::string>& files, const std::string& wanted, const fs::path& folder) {
  std::vector<std::string> found;
  std::copy_if(files.begin(), files.end(), std::back_inserter(found),
               [&](const std::string& name) { return alike_form(name) == wanted; });
  if (found.size() > 1)
    fail("{} and {}: which one is meant? Remove or rename one", (folder / found[0]).string(),
         (folder / found[1]).string());
  return found.empty() ? "" : found[0];
}

/// What to do about a folder that is not there: mistyped, or one of those that akin's examples use.
std::string remedy_of_missing(const fs::path& folder) {
  if (std::string near = nearest_file(folder); !near.empty()) return near;
  const std::string name = folder.filename().string();
  static const std::set<std::string> fetched{"mnist", "fashion", "cifar10", "chars"};
  if (fetched.contains(name)) return " (scripts/get_data.sh fetches it)";
  return "";
}

/// Everything in the folder, files and folders apart.
struct Names {
  std::vector<std::string> files, folders, odd;  // odd: pipes, devices, links that lead nowhere
  bool has(const std::string& file) const { return std::find(files.begin(), files.end(), file) != files.end(); }
};

Names names_in(const fs::path& folder) {
  std::error_code error;
  AKIN_CHECK(is_there(folder) || !fs::is_symlink(folder, error),
             "{}: a link that leads nowhere, or in a circle (mend it, or give the folder itself)", folder.string());
  AKIN_CHECK(is_there(folder), "{}: no such folder{}", folder.string(), remedy_of_missing(folder));
  AKIN_CHECK(is_folder(folder), "{}: is a file; give the folder of the data set{}", folder.string(),
             folder.extension() == ".zip" || folder.extension() == ".gz" ? " (unpack it)" : "");
  Names out;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (is_hidden(it->path())) continue;
    if (it->is_directory(ignored)) {
      if (!is_system_folder(it->path())) out.folders.push_back(name);
    } else if (it->is_regular_file(ignored)) {
      out.files.push_back(name);
    } else {
      out.odd.push_back(name);
    }
  }
  AKIN_CHECK(!error, "{}: folder cannot be read: {} (check the permissions)", folder.string(), error.message());
  std::sort(out.files.begin(), out.files.end());
  std::sort(out.folders.begin(), out.folders.end());
  return out;
}

/// Fills the layout of IDX files; the names of those that say no split.
std::vector<std::string> find_idx(const Names& names, SetLayout& out) {
  static const std::regex pattern("(.+)[-_.](images|labels?)[-_.]idx([134])[-_.]ubyte(\\.gz)?", std::regex::icase);
  std::map<Split, Candidates> images, labels;
  std::vector<std::string> unknown;
  for (const std::string& name : names.files) {
    std::smatch m;
    if (!std::regex_match(name, m, pattern)) continue;
    const std::string stem = letters_of(m[1].str());
    const std::optional<Meaning> meaning = stem == "t10k" ? Meaning{Split::test} : meaning_of(stem);
    const bool of_labels = std::tolower(static_cast<unsigned char>(m[2].str()[0])) == 'l';
    if (meaning && of_labels == (m[3] == "1"))
      (of_labels ? labels : images)[meaning->split].add(*meaning, name);
    else
      unknown.push_back(name);
  }
  const auto settle = [&](std::map<Split, Candidates>& found, auto&& put) {
    for (auto& [split, candidates] : found) {
      for (const auto* list : {&candidates.own, &candidates.validation})
        out.used.insert(out.used.end(), list->begin(), list->end());
      put(split, out.folder / choose(candidates, out));
    }
  };
  for (auto& [split, candidates] : labels)
    if (images.contains(split)) match_labels(out, images.at(split), candidates);
  settle(images, [&](Split split, const fs::path& path) { out.images[split] = {path}; });
  settle(labels, [&](Split split, const fs::path& path) { out.labels[split] = path; });
  return unknown;
}

bool find_cifar(const Names& names, SetLayout& out) {
  const bool ten = names.has("data_batch_1.bin") || names.has("test_batch.bin");
  if (!ten && !names.has("train.bin") && !names.has("test.bin")) return false;
  out.kind = ten ? SetLayout::Kind::cifar10 : SetLayout::Kind::cifar100;
  out.used = {"batches.meta.txt", "fine_label_names.txt", "coarse_label_names.txt", "readme.html"};
  const auto take = [&](Split split, const std::string& name) {
    out.images[split].push_back(out.folder / name);
    out.used.push_back(name);
  };
  if (!ten) {
    if (names.has("train.bin")) take(Split::train, "train.bin");
    if (names.has("test.bin")) take(Split::test, "test.bin");
  } else {
    for (int i = 1; i <= 5 && names.has("data_batch_1.bin"); ++i)
      take(Split::train, fmt::format("data_batch_{}.bin", i));  // one that is missing is an error when it is read
    if (names.has("test_batch.bin")) take(Split::test, "test_batch.bin");
  }
  const std::string list = list_of_names(names.files, ten ? "batches.meta.txt" : "fine_label_names.txt", out.folder);
  out.used.push_back(list);
  if (!list.empty()) out.names = out.folder / list;
  return true;
}

/// `list`: its file; the pictures lie below out.folder.
void use_list(const fs::path& list, SetLayout& out) {
  out.kind = SetLayout::Kind::list;
  out.listed = std::make_shared<const ListedPictures>(read_label_file(list, out.folder, out.alone));
  for (const auto& [split, files] : out.listed->splits) out.images[split] = {out.folder};
  out.draws_test = !out.images.contains(Split::test) && out.images.contains(Split::train);
  out.used.push_back(list.filename().string());
}

/// Whether a class folder has two pictures, of which one may be held out.
bool can_lose_one(const fs::path& folder, const std::vector<std::string>& classes) {
  return std::any_of(classes.begin(), classes.end(),
                     [&](const std::string& c) { return holds_pictures(folder / c, 2); });
}

/// Class folders in the folder itself, none of them called like a split of labelled images.
bool find_flat(const Names& names, SetLayout& out) {
  Candidates unlabelled;
  for (const std::string& name : names.folders) {
    if (const std::optional<Meaning> meaning = meaning_of(name))
      unlabelled.add(*meaning, name);
    else if (holds_pictures(out.folder / name))
      out.classes.push_back(name);
  }
  if (out.classes.size() < 2) return false;
  out.kind = SetLayout::Kind::flat;
  out.draws_test = can_lose_one(out.folder, out.classes);
  out.images[Split::train] = {out.folder};
  out.used = out.classes;
  if (!unlabelled.own.empty()) {
    out.used.insert(out.used.end(), unlabelled.own.begin(), unlabelled.own.end());
    out.images[Split::unlabeled] = {out.folder / choose(unlabelled, out)};
  }
  return true;
}

/// Of train/ without a class folder: the list that names its pictures' labels.
bool find_list(const Names& names, SetLayout& out) {
  const std::vector<std::string> lists = label_files(names.files);
  if (lists.empty()) return false;
  if (lists.size() > 1)
    fail("{} and {}: which one names the pictures' labels? Remove or rename one, or give it as the data itself",
         (out.folder / lists[0]).string(), (out.folder / lists[1]).string());
  for (const std::string& name : names.folders)
    if (const std::optional<Meaning> meaning = meaning_of(name);
        meaning && meaning->split == Split::train && has_folders(out.folder / name))
      return false;
  use_list(out.folder / lists[0], out);
  return true;
}

bool find_folders(const Names& names, SetLayout& out) {
  std::map<Split, Candidates> found;
  for (const std::string& name : names.folders)
    if (const std::optional<Meaning> meaning = meaning_of(name)) found[meaning->split].add(*meaning, name);
  if (!found.contains(Split::train) && !found.contains(Split::test)) return false;
  out.kind = SetLayout::Kind::folders;
  for (auto& [split, candidates] : found) {
    for (const auto* list : {&candidates.own, &candidates.validation})
      out.used.insert(out.used.end(), list->begin(), list->end());
    out.images[split] = {out.folder / choose(candidates, out)};
  }
  if (!out.images.contains(Split::test)) {
    const fs::path& train = out.images.at(Split::train).front();
    out.draws_test = can_lose_one(train, names_in(train).folders);
  }
  return true;
}

/// A class may be called like a split: train/ of locomotives, beside bus/. Error where a split's folder holds no class
/// folders, and those beside it pictures.
void check_class_like_split(const Names& names, const SetLayout& layout) {
  const Split split = layout.images.contains(Split::train) ? Split::train : Split::test;
  const fs::path own = layout.images.at(split).front();
  if (has_folders(own) || !holds_pictures(own)) return;
  std::vector<std::string> beside;
  for (const std::string& name : names.folders)
    if (!meaning_of(name) && holds_pictures(layout.folder / name)) beside.push_back(name + "/");
  if (beside.empty()) return;
  if (beside.size() > 3) beside.resize(3), beside.emplace_back("...");
  fail(
      "{}: is taken for the {} split by its name, but holds pictures and no class folders, as do {} beside it; if it "
      "is a "
      "class, rename it ({}-class/); else put its pictures into a folder for each class",
      own.string(), name_of(split), fmt::join(beside, ", "), own.filename().string());
}

}  // namespace

const char* name_of(Split split) {
  return split == Split::train ? "train" : split == Split::test ? "test" : "unlabeled";
}

std::string idx_stem(Split split) { return split == Split::test ? "t10k" : name_of(split); }

std::string names_file(Split split) { return idx_stem(split) + "-images-names.txt"; }

std::string split_word(const std::string& folder) {
  const std::optional<Meaning> meaning = meaning_of(folder);
  return !meaning ? "" : meaning->validation ? "validation" : name_of(meaning->split);
}

bool is_data_set(const fs::path& folder) {
  if (is_label_file(folder)) return true;
  const Names names = names_in(folder);
  SetLayout out;
  out.folder = folder;
  return is_there(folder / kUnfinishedSet) || !find_idx(names, out).empty() || !out.images.empty() ||
         find_cifar(names, out) || find_folders(names, out) || names.has("data_batch_1") ||
         !label_files(names.files).empty() || find_flat(names, out);
}

SetLayout layout_of(const fs::path& folder) {
  if (is_label_file(folder)) {
    SetLayout out;
    out.folder = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
    out.alone = true;
    use_list(folder, out);
    return out;
  }
  const Names names = names_in(folder);
  AKIN_CHECK(
      !is_there(folder / kUnfinishedSet),
      "{}: its data set is not finished ({} is in it): akin is writing it, or was stopped doing so; then run that "
      "`akin data` command again, it begins anew",
      folder.string(), kUnfinishedSet);
  SetLayout out;
  out.folder = folder;
  const std::vector<std::string> unknown = find_idx(names, out);
  if (!out.images.empty()) {
    out.used.insert(out.used.end(), unknown.begin(), unknown.end());
    for (const std::string& name : unknown) out.account.warn("IDX files whose names say no split passed over", name);
    const std::string list = list_of_names(names.files, "classes.txt", folder);
    out.used.push_back(list);
    if (!list.empty()) out.names = folder / list;
    for (const auto& [split, images] : out.images)
      if (const std::string name = names_file(split); names.has(name)) {
        out.origins[split] = folder / name;
        out.used.push_back(name);
      }
    return out;
  }
  if (find_cifar(names, out) || find_list(names, out)) return out;
  if (find_folders(names, out)) {
    check_class_like_split(names, out);
    return out;
  }
  if (find_flat(names, out)) return out;
  AKIN_CHECK(unknown.empty(),
             "{}: an IDX file, but its name says no split; call it train-images-idx3-ubyte, t10k-..., "
             "unlabeled-... and so on",
             (folder / unknown.front()).string());
  AKIN_CHECK(!names.has("data_batch_1"), "{}: holds CIFAR-10 in its version for Python; fetch the binary version",
             folder.string());
  if (out.classes.size() == 1)
    fail(
        "{}: holds one folder of pictures, {}/, and a task needs two classes; where the folders in it are the classes, "
        "give {}",
        folder.string(), out.classes[0], (folder / out.classes[0]).string());
  AKIN_CHECK(names.folders.empty(),
             "{}: holds folders, but no train/ and test/, and no two folders with pictures; put the pictures of each "
             "class into a folder of its own, <class>/",
             folder.string());
  fail(
      "{}: holds no data set akin knows{}; {}", folder.string(),
      names.odd.empty() ? "" : fmt::format(" ({} is a pipe, a device or a link that leads nowhere)", names.odd.front()),
      kLayouts);
}

}  // namespace akin
