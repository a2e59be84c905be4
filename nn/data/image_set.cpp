#include "nn/data/image_set.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/io/file.hpp"
#include "engine/io/idx.hpp"
#include "engine/io/sha256.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/binary_sets.hpp"
#include "nn/data/held_out.hpp"
#include "nn/data/image_folder.hpp"
#include "nn/data/image_view.hpp"
#include "nn/data/repeats.hpp"
#include "nn/data/split_files.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

/// `list`: where the classes are named, or "".
void check_set(const ImageSet& set, Split split, const std::string& list) {
  AKIN_CHECK(set.images.numel() > 0, "{}: the {} split has no image", set.source, name_of(split));
  if (split == Split::unlabeled) return;
  const auto images = static_cast<std::size_t>(set.images.shape()[0]);
  AKIN_CHECK(set.labels.size() == images, "{}: {} labels for {} {} images", set.source, set.labels.size(), images,
             name_of(split));
  std::vector<std::size_t> count(set.classes.size());
  for (std::size_t i = 0; i < images; ++i) {
    AKIN_CHECK(set.labels[i] >= 0 && static_cast<std::size_t>(set.labels[i]) < set.classes.size(),
               "{}: {} image {} has label {}, the {} classes are numbered 0..{}{}", set.source, name_of(split), i,
               set.labels[i], set.classes.size(), set.classes.size() - 1,
               list.empty() ? "" : fmt::format(" (is {} complete?)", list));
    ++count[static_cast<std::size_t>(set.labels[i])];
  }
  for (std::size_t c = 0; c < count.size() && split == Split::train; ++c) {
    AKIN_CHECK(count[c] > 0, "{}: class {} (\"{}\") has no training image; add some or {}", set.source, c,
               set.classes[c],
               list.empty() ? "number the classes without gaps" : fmt::format("take the class out of {}", list));
  }
}

/// The splits of image folders. Every file that cannot be read, in whatever split, is told in one error.
class FolderReader {
 public:
  FolderReader(const SetLayout& layout, const ImageFormat& format) : layout_(layout), wanted_(format) {
    listing_.root = layout.folder;
  }

  std::vector<ImageSet> read(const std::vector<Split>& splits) {
    const auto asked = [&](Split split) { return std::find(splits.begin(), splits.end(), split) != splits.end(); };
    const bool too_few = asked(Split::test) && !layout_.has(Split::test) && layout_.has(Split::train);
    for (const Split split : splits)
      AKIN_CHECK(layout_.has(split) || (split == Split::test && too_few), "{}: has no folder {}/; make one{}",
                 layout_.folder.string(), name_of(split),
                 split == Split::unlabeled ? " with the unlabelled images" : " with a folder of images for each class");
    AKIN_CHECK(layout_.has(Split::train), "{}: has no folder train/, which names the classes", layout_.folder.string());
    const bool draws = layout_.draws_test && std::any_of(splits.begin(), splits.end(), is_labelled);
    Listing unasked{layout_.folder};  // what was passed over matters where its images are wanted
    const bool wanted = draws || asked(Split::train) || layout_.listed;
    list_split(layout_, Split::train, wanted ? listing_ : unasked, files_);
    if (!wanted) listing_.faults = unasked.faults;
    if (too_few) {
      throw_faults(listing_.faults, layout_.folder.string());
      fail_with_too_few();
    }
    // The training images settle the format for all splits, but for who has a size of its own to look at them with.
    const bool own_size = wanted_.mixed_height > 0;
    ImageFormat format = own_size ? wanted_ : settle_format(train().files, wanted_, listing_.faults);
    std::vector<ImageSet> sets(splits.size());
    std::vector<std::vector<fs::path>> files(splits.size());
    for (std::size_t i = 0; i < splits.size(); ++i) files[i] = list(splits[i], sets[i]);
    if (own_size) {
      std::vector<fs::path> all;
      for (const auto& part : files) all.insert(all.end(), part.begin(), part.end());
      format = settle_format(all, wanted_, listing_.faults);
    }
    if (draws) read_drawn(splits, format, sets);
    for (std::size_t i = 0; i < splits.size(); ++i) {
      if (draws && is_labelled(splits[i])) continue;
      if (!listing_.faults.empty())  // of a file that is there: look for others, without the cost of keeping images
        check_files(files[i], wanted_.limits, listing_.faults);
      else
        sets[i].images = decode_files(files[i], format, wanted_, layout_.folder, listing_.account, listing_.faults);
      sets[i].fitted = format.mixed;
      for (const fs::path& file : files[i])
        sets[i].names.push_back(file.lexically_relative(layout_.folder).generic_string());
      sets[i].originals = Originals(std::move(files[i]));
    }
    if (layout_.kind != SetLayout::Kind::list) account_for_others(layout_.folder, layout_.used, listing_);
    throw_faults(listing_.faults, layout_.folder.string());
    sets[0].account.merge(listing_.account);
    return sets;
  }

 private:
  fs::path folder_of(Split split) const { return layout_.images.at(split).front(); }

  [[noreturn]] void fail_with_too_few() const {
    fail(
        "{}: has no test pictures, and too few to hold some out: no class has two that differ; add pictures to the "
        "classes, or make a folder test/ with a folder of images for each class",
        layout_.folder.string());
  }

  static bool is_labelled(Split split) { return split != Split::unlabeled; }

  /// The training images and those of them that are held out as the test split, of which some are wanted.
  void read_drawn(const std::vector<Split>& splits, const ImageFormat& format, std::vector<ImageSet>& sets) {
    if (!listing_.faults.empty()) return check_files(train().files, wanted_.limits, listing_.faults);
    std::vector<std::uint64_t> hashes;
    const Array images =
        decode_files(train().files, format, wanted_, layout_.folder, listing_.account, listing_.faults, &hashes);
    if (!listing_.faults.empty()) return;
    const HeldOut drawn = hold_out(train().files, hashes, train().labels);
    const auto name = [&](std::int64_t i) {
      return train().files[static_cast<std::size_t>(i)].lexically_relative(layout_.folder).generic_string();
    };
    for (std::size_t i = 0; i < splits.size(); ++i) {
      if (!is_labelled(splits[i])) continue;
      const Indices& own = splits[i] == Split::train ? drawn.kept : drawn.test;
      if (own.empty()) fail_with_too_few();
      sets[i].images = pick_images(images, own);
      sets[i].originals = Originals(train().files).pick(own);
      sets[i].fitted = format.mixed;
      sets[i].labels.clear();
      for (const std::int64_t k : own) {
        sets[i].labels.push_back(train().labels[static_cast<std::size_t>(k)]);
        sets[i].names.push_back(name(k));
      }
      for (const std::int64_t k : drawn.test) sets[i].held_out.push_back(name(k));
    }
    if (!drawn.test.empty())
      listing_.account.add(
          fmt::format("no test split, so of {} pictures a fifth of each class, drawn by content, is held out for it",
                      train().files.size()),
          Account::Tone::note, name(drawn.test.front()), std::ssize(drawn.test));
  }

  const SplitFiles& train() const { return files_.splits.at(Split::train); }

  /// The files of a split, whose labels go to `set`; none of a test split that is drawn (read_drawn).
  std::vector<fs::path> list(Split split, ImageSet& set) {
    set.classes = files_.classes;
    if (layout_.draws_test && split == Split::test) return {};
    if (split != Split::train) list_split(layout_, split, listing_, files_);
    if (!files_.unknown.empty()) fail_with_unknown(files_.unknown.front(), split);
    set.labels = files_.splits[split].labels;
    return files_.splits[split].files;
  }

  /// A test split may lack classes, but not bring others.
  [[noreturn]] void fail_with_unknown(const std::string& name, Split split) const {
    std::string hint;
    for (const std::string& known : files_.classes)
      if (alike_form(known) == alike_form(name))
        hint = fmt::format(
            " (there is \"{}\"; names that look alike may be spelled in two ways: \u00e9 is one letter, or e and an "
            "accent)",
            known);
    fail("{}: class \"{}\" is not among the training classes of {}{}", folder_of(split).string(), name,
         folder_of(Split::train).string(), hint);
  }

  const SetLayout& layout_;
  const ImageFormat& wanted_;
  Listing listing_;
  SetFiles files_;
};

/// Where that changes images which have no originals yet, the images become their own.
void bring_to(const ImageFormat& format, const Fit& fit, ImageSet& set) {
  const Shape s = set.images.shape();
  const bool sized = format.height > 0 && format.width > 0 &&
                     (s[1] != format.height || s[2] != format.width || !fit.keeps_size());
  const bool coloured = format.channels > 0 && s[3] != format.channels;
  if (!sized && !coloured) return;
  Array images = coloured ? convert_channels(set.images, format.channels) : set.images;
  if (sized) images = resize_images(images, format.height, format.width, fit);
  if (set.originals.empty()) set.originals = Originals(std::move(set.images));
  set.images = std::move(images);
}

}  // namespace

std::vector<ImageSet> load_splits(const fs::path& folder, const std::vector<Split>& wanted, const ImageFormat& format) {
  AKIN_CHECK(!wanted.empty(), "{}: no split of it was asked for", folder.string());
  const SetLayout layout = layout_of(folder);
  std::vector<ImageSet> sets;
  std::vector<NamedSplit> named;
  if (of_pictures(layout)) {
    sets = FolderReader(layout, format).read(wanted);
  } else {
    for (const Split split : wanted)
      sets.push_back(layout.kind == SetLayout::Kind::idx ? load_idx(layout, split, format) : load_cifar(layout, split));
    Listing beside{folder};
    account_for_others(folder, layout.used, beside);
    throw_faults(beside.faults, folder.string());
    sets[0].account.merge(beside.account);
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    ImageSet& set = sets[i];
    set.source = folder.string();
    set.name = last_name(layout.alone ? folder.parent_path() / folder.stem() : folder);
    check_set(set, wanted[i], layout.names.filename().string());
    bring_to(format, of_pictures(layout) ? Fit{} : format.fit, set);
    named.push_back({wanted[i], &set});
  }
  Account& account = sets[0].account;
  account.merge(layout.account);
  for (std::size_t i = 1; i < sets.size(); ++i) account.merge(std::exchange(sets[i].account, {}));
  account_for_repeats(named, account);
  return sets;
}

ImageSet load_images(const fs::path& folder, Split split, const ImageFormat& format) {
  return std::move(load_splits(folder, {split}, format)[0]);
}

ImageSet load_pictures(const fs::path& folder, const ImageFormat& format) {
  Listing listing{folder};
  const std::vector<fs::path> files = list_images(folder, listing);
  const ImageFormat settled = settle_format(files, format, listing.faults);
  ImageSet set;
  set.name = last_name(folder);
  set.source = folder.string();
  set.fitted = settled.mixed;
  if (listing.faults.empty())
    set.images = decode_files(files, settled, format, folder, listing.account, listing.faults);
  else
    check_files(files, format.limits, listing.faults);
  throw_faults(listing.faults, folder.string());
  for (const fs::path& file : files) set.names.push_back(file.lexically_relative(folder).generic_string());
  set.originals = Originals(files);
  set.account = std::move(listing.account);
  return set;
}

bool has_split(const fs::path& folder, Split split) { return layout_of(folder).has(split); }

std::vector<Split> splits_there(const fs::path& folder, const std::vector<Split>& splits) {
  const SetLayout layout = layout_of(folder);
  std::vector<Split> out;
  std::copy_if(splits.begin(), splits.end(), std::back_inserter(out), [&](Split s) { return layout.has(s); });
  return out;
}

bool keeps_names(const ImageSet& set) {
  return std::ssize(set.names) == set.images.shape()[0] &&
         std::none_of(set.names.begin(), set.names.end(),
                      [](const std::string& name) { return name.empty() || name.find('\n') != std::string::npos; });
}

void save_images(const ImageSet& set, Split split, const fs::path& folder) {
  const Shape& s = set.images.shape();
  AKIN_CHECK(set.images.dtype() == DType::u8 && s.rank() == 4 && (s[3] == 1 || s[3] == 3),
             "{}: images are u8 [N,H,W,1 or 3], found {} {}", folder.string(), name_of(set.images.dtype()), s.str());
  std::string names;
  for (const std::string& name : set.classes) {
    AKIN_CHECK(!name.empty() && name.find_first_of("\r\n") == std::string::npos,
               "{}: a class has an empty name or one of two lines", folder.string());
    names += name + "\n";
  }
  ImageSet named = set;
  named.source = folder.string();
  check_set(named, split, "the list of classes");
  make_folder(folder);
  const fs::path classes = folder / "classes.txt";
  AKIN_CHECK(!is_there(classes) || read_text(classes) == names,
             "{}: is there already with other names; write each data set to a folder of its own", classes.string());
  write_file_atomic(classes, std::string_view(names));
  const std::string stem = idx_stem(split);
  if (keeps_names(set)) write_file_atomic(folder / names_file(split), fmt::format("{}\n", fmt::join(set.names, "\n")));
  if (split != Split::unlabeled) {
    const std::int64_t n = s[0];
    const Array wide = Array::from(std::vector<std::int32_t>(set.labels.begin(), set.labels.end()), Shape{n});
    write_idx(folder / (stem + "-labels-idx1-ubyte"), set.classes.size() <= 256 ? wide.cast(DType::u8) : wide);
  }
  if (s[3] == 1) {
    write_idx(folder / (stem + "-images-idx3-ubyte"), set.images.reshaped({s[0], s[1], s[2]}));
  } else {
    write_idx(folder / (stem + "-images-idx4-ubyte"), set.images);
  }
}

ImageSet pick_images(const ImageSet& set, std::span<const std::int64_t> index) {
  ImageSet out{.images = pick_images(set.images, index),
               .labels = {},
               .classes = set.classes,
               .name = set.name,
               .source = set.source,
               .held_out = set.held_out,
               .fitted = set.fitted,
               .originals = set.originals.pick(index)};
  for (const std::int64_t i : index) {
    const auto at = static_cast<std::size_t>(i);
    if (!set.labels.empty()) out.labels.push_back(set.labels[at]);
    if (!set.names.empty()) out.names.push_back(set.names[at]);
  }
  return out;
}

ImageSet without_classes(const ImageSet& set, const std::vector<std::string>& names) {
  std::vector<int> number(set.classes.size(), 0);  // the new one; -1: gone
  for (const std::int64_t c : find_classes(set.classes, names, set.source)) number[static_cast<std::size_t>(c)] = -1;
  std::vector<std::string> classes;
  for (std::size_t c = 0; c < set.classes.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = static_cast<int>(classes.size());
    classes.push_back(set.classes[c]);
  }
  AKIN_CHECK(classes.size() >= 2, "{}: {} classes are left, at least 2 are needed", set.source, classes.size());
  Indices kept;
  for (std::size_t i = 0; i < set.labels.size(); ++i)
    if (number[static_cast<std::size_t>(set.labels[i])] >= 0) kept.push_back(static_cast<std::int64_t>(i));
  ImageSet out = pick_images(set, kept);
  out.classes = std::move(classes);
  for (int& label : out.labels) label = number[static_cast<std::size_t>(label)];
  return out;
}

std::string class_names_hash(const ImageSet& set) {
  return sha256_hex(fmt::format("{}", fmt::join(set.classes, "\n")));
}

std::string content_hash(const ImageSet& set) {
  Sha256 sum;
  sum.update(set.images.shape().str());
  sum.update({reinterpret_cast<const std::uint8_t*>(set.images.bytes()), set.images.byte_size()});
  const Array labels = Array::from(std::vector<std::int32_t>(set.labels.begin(), set.labels.end()),
                                   {static_cast<std::int64_t>(set.labels.size())});
  sum.update({reinterpret_cast<const std::uint8_t*>(labels.bytes()), labels.byte_size()});
  return sum.hex();
}

}  // namespace akin
