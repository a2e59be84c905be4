#include "nn/data/set_check.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "engine/io/image.hpp"
#include "kernels/common/parallel.hpp"
#include "nn/data/held_out.hpp"
#include "nn/data/image_folder.hpp"
#include "nn/data/image_set.hpp"
#include "nn/data/near_copies.hpp"
#include "nn/data/repeats.hpp"
#include "nn/data/split_files.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kExamples = 5;

/// A picture of the set: where it lies, then what it showed.
struct Item {
  Split split = Split::train;
  int label = -1;
  std::string name;
  fs::path file = {};
  ImageNotes notes = {};
  std::uint64_t pixels = 0;
  Look look = {};
  std::string fault = {};
};

void look_at(const Array& picture, Item& item) {
  item.pixels = picture_hash(picture);
  item.look = look_of(picture);
}

class Checker {
 public:
  Checker(const fs::path& folder, const std::function<void(std::int64_t, std::int64_t)>& progress)
      : folder_(folder), progress_(progress) {}

  SetCheck run() {
    if (!tried([&] { layout_ = layout_of(folder_); })) return std::move(out_);
    out_.account = layout_.account;
    if (of_pictures(layout_))
      check_pictures();
    else
      check_packed();
    count();
    find_repeats();
    advise();
    return std::move(out_);
  }

 private:
  template <class Work>
  bool tried(Work&& work) {
    try {
      work();
      return true;
    } catch (const Error& e) {
      out_.problems.emplace_back(e.what());
      return false;
    }
  }

  void add(Split split, int label, const fs::path& file) {
    items_.push_back({.split = split,
                      .label = label,
                      .name = file.lexically_relative(layout_.folder).generic_string(),
                      .file = file});
  }

  // --- pictures -----------------------------------------------------------------------------------------------------

  void check_pictures() {
    Listing listing{layout_.folder};
    SetFiles files;
    out_.layout = layout_.listed                          ? "pictures and a list of labels"
                  : layout_.kind == SetLayout::Kind::flat ? "class folders, without splits"
                                                          : "folders of splits, with class folders";
    for (const Split split : {Split::train, Split::test, Split::unlabeled}) {
      if (!tried([&] { list_split(layout_, split, listing, files); })) continue;
      const SplitFiles& own = files.splits[split];
      for (std::size_t i = 0; i < own.files.size(); ++i)
        add(split, own.labels.empty() ? -1 : own.labels[i], own.files[i]);
    }
    out_.classes = std::move(files.classes);
    if (!files.unknown.empty() && !out_.classes.empty())
      out_.problems.push_back(fmt::format("classes of the test split that are not among the training classes: {}",
                                          fmt::join(files.unknown, ", ")));
    if (!layout_.listed) account_for_others(layout_.folder, layout_.used, listing);
    if (!layout_.has(Split::train)) out_.problems.push_back("no folder train/, which names the classes");
    decode(listing.account);
    out_.account.merge(listing.account);
    out_.faults.insert(out_.faults.begin(), listing.faults.begin(), listing.faults.end());
    std::erase_if(items_, [](const Item& item) { return !item.fault.empty(); });
    if (layout_.draws_test) hold_out_test();
  }

  /// Reads every file, and keeps what tells it from others.
  void decode(Account& account) {
    constexpr std::int64_t kBlock = 256;
    const auto n = std::ssize(items_);
    if (progress_) progress_(0, n);
    for (std::int64_t first = 0; first < n; first += kBlock) {
      const std::int64_t block = std::min(kBlock, n - first);
      parallel_tasks(block, [&](std::int64_t task, int) {
        Item& item = items_[static_cast<std::size_t>(first + task)];
        try {
          look_at(read_image(item.file, 0, {}, &item.notes), item);
        } catch (const Error& e) {
          item.fault = e.what();
        }
      });
      if (progress_) progress_(first + block, n);
    }
    for (const Item& item : items_) {
      if (!item.fault.empty())
        out_.faults.push_back(item.fault);
      else
        keep_account(item.notes, item.name, account);
    }
  }

  void hold_out_test() {
    std::vector<fs::path> files;
    std::vector<std::uint64_t> pixels;
    std::vector<int> labels;
    std::vector<Item*> own;
    for (Item& item : items_) {
      if (item.split != Split::train) continue;
      own.push_back(&item);
      files.push_back(item.file);
      pixels.push_back(item.pixels);
      labels.push_back(item.label);
    }
    for (const std::int64_t i : hold_out(files, pixels, labels).test) {
      own[static_cast<std::size_t>(i)]->split = Split::test;
      out_.held_out.push_back(own[static_cast<std::size_t>(i)]->name);
    }
    if (out_.held_out.empty())
      out_.problems.push_back("there is no test split, and no class has two pictures that differ, to hold one out");
  }

  // --- IDX and CIFAR ------------------------------------------------------------------------------------------------

  void check_packed() {
    out_.layout = layout_.kind == SetLayout::Kind::idx ? "IDX files" : "CIFAR binaries";
    for (const auto& [split, files] : layout_.images)
      tried([&] {
        const ImageSet set = load_images(folder_, split);
        if (split != Split::unlabeled) out_.classes = set.classes;
        const Shape& s = set.images.shape();
        Array picture(DType::u8, {s[1], s[2], s[3]});
        for (std::int64_t i = 0; i < s[0]; ++i) {
          const auto at = static_cast<std::size_t>(i);
          std::copy_n(set.images.bytes() + at * picture.byte_size(), picture.byte_size(), picture.bytes());
          Item item{.split = split,
                    .label = set.labels.empty() ? -1 : set.labels[at],
                    .name = set.names.empty() ? fmt::format("{} image {}", name_of(split), i) : set.names[at]};
          item.notes.shown = {static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3])};
          look_at(picture, item);
          items_.push_back(std::move(item));
          if (progress_ && i % 1000 == 999) progress_(i + 1, s[0]);
        }
      });
    if (!layout_.has(Split::train)) out_.problems.push_back("no training images");
  }

  // --- what it comes to ---------------------------------------------------------------------------------------------

  void count() {
    for (const Split split : {Split::train, Split::test})
      if (layout_.has(split)) out_.splits[split].counts.resize(out_.classes.size());
    for (const Item& item : items_) {
      CheckedSplit& own = out_.splits[item.split];
      ++own.pictures;
      if (item.label >= 0) ++own.counts[static_cast<std::size_t>(item.label)];
      ++out_.sizes[fmt::format("{}x{}", item.notes.shown.height, item.notes.shown.width)];
      ++(item.notes.shown.channels == 1 ? out_.grey : out_.colour);
    }
  }

  /// Where two pictures stand to each other, as the words that a list of repeats is kept under.
  static RepeatKind kind_of(const Item& a, const Item& b, bool near) {
    const char* same = near ? "nearly the same picture" : "the same picture";
    const auto in = [&](Split s) { return a.split == s || b.split == s; };
    if (a.split != b.split) {
      if (in(Split::test))
        return {fmt::format("{} in the test split and {}", same,
                            in(Split::train) ? "among the training pictures" : "among the unlabelled ones"),
                true};
      return {fmt::format("{} unlabelled and among the training pictures", same)};
    }
    const std::string split = a.split == Split::train ? "training" : a.split == Split::test ? "test" : "unlabelled";
    if (a.label != b.label) return {fmt::format("{} under two labels, {} pictures", same, split), true};
    return {fmt::format("{} twice, {} pictures", same, split)};
  }

  void keep(std::vector<RepeatKind>& kinds, const Item& a, const Item& b, bool near) {
    const RepeatKind kind = kind_of(a, b, near);
    auto at = std::find_if(kinds.begin(), kinds.end(), [&](const RepeatKind& k) { return k.what == kind.what; });
    if (at == kinds.end()) at = kinds.insert(kinds.end(), kind);
    ++at->pairs;
    if (at->examples.size() < kExamples) at->examples.push_back(a.name + (near ? " ~ " : " = ") + b.name);
  }

  void find_repeats() {
    std::unordered_map<std::uint64_t, std::size_t> first;
    std::vector<std::size_t> different;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto [at, fresh] = first.emplace(items_[i].pixels, i);
      if (fresh)
        different.push_back(i);
      else
        keep(out_.exact, items_[at->second], items_[i], false);
    }
    std::vector<Look> looks;
    for (const std::size_t i : different) looks.push_back(items_[i].look);
    find_near_copies(looks, [&](std::size_t i, std::size_t j) {
      keep(out_.near, items_[different[i]], items_[different[j]], true);
    });
    for (auto* kinds : {&out_.exact, &out_.near})
      std::stable_sort(kinds->begin(), kinds->end(),
                       [](const RepeatKind& a, const RepeatKind& b) { return a.harmful > b.harmful; });
  }

  void advise() {
    if (out_.classes.size() == 1) out_.problems.push_back("one class; a task needs two");
    const auto lacking = [&](Split split) {
      std::vector<std::string> names;
      const auto at = out_.splits.find(split);
      for (std::size_t c = 0; at != out_.splits.end() && c < at->second.counts.size(); ++c)
        if (at->second.counts[c] == 0) names.push_back(out_.classes[c]);
      return names;
    };
    if (const auto names = lacking(Split::train); !names.empty() && out_.faults.empty())
      out_.problems.push_back(fmt::format("classes without a training picture: {}", fmt::join(names, ", ")));
    if (const auto names = lacking(Split::test); !names.empty())
      out_.advice.push_back(
          fmt::format("classes without a test picture, of which accuracy tells nothing: {}", fmt::join(names, ", ")));
    if (!layout_.has(Split::test))
      out_.advice.push_back(
          fmt::format("no test split{}: nothing tells how good a model is",
                      of_pictures(layout_) && !out_.classes.empty() ? ", and too few pictures to hold some out" : ""));
    const auto train = out_.splits.find(Split::train);
    if (train != out_.splits.end() && !train->second.counts.empty()) {
      const auto& counts = train->second.counts;
      const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
      if (*least > 0 && *most >= 10 * *least)
        out_.advice.push_back(fmt::format("unbalanced: class {} has {} training pictures, class {} has {}",
                                          out_.classes[static_cast<std::size_t>(most - counts.begin())], *most,
                                          out_.classes[static_cast<std::size_t>(least - counts.begin())], *least));
    }
    if (!out_.one_size())
      out_.advice.push_back(fmt::format("pictures of {} sizes: give --size HxW", out_.sizes.size()));
  }

  const fs::path& folder_;
  const std::function<void(std::int64_t, std::int64_t)>& progress_;
  SetLayout layout_;
  std::vector<Item> items_;
  SetCheck out_;
};

}  // namespace

SetCheck check_data_set(const fs::path& folder, const std::function<void(std::int64_t, std::int64_t)>& progress) {
  return Checker(folder, progress).run();
}

}  // namespace akin
