#include "nn/data/image_folder.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <system_error>
#include <unordered_map>

#include "engine/io/file.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/picture_readers.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/class_names.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kSystem = "folders of file managers (thumbnails, recycle bins) passed over";
constexpr std::string_view kHidden = "hidden files and folders passed over";
constexpr std::string_view kThumbnails = "folders called thumbnails, inside a class, passed over";
constexpr std::string_view kOthers = "files that are no pictures passed over";
constexpr std::string_view kDevices = "pipes, sockets and devices passed over";
constexpr std::string_view kStray = "pictures outside of any class folder passed over";
constexpr std::string_view kByContent =
    "pictures without an ending, or with that of another format, read as their content says";
constexpr std::string_view kOtherEnding =
    "pictures that are called something else passed over (name them .png, .jpg or as they are to have them read)";
constexpr std::string_view kLinkedFolders = "links to folders not followed (only class folders may be links)";
constexpr std::string_view kDeadLinks = "links that lead nowhere passed over";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string shown(const fs::path& path, const Listing& listing) {
  return path.lexically_relative(listing.root).string();
}

/// What a directory entry is, links followed.
enum class Sort { file, folder, linked_folder, dead_link, device };
Sort sort_of(const fs::directory_entry& entry) {
  std::error_code error;
  const bool link = entry.is_symlink(error);
  const fs::file_status status = entry.status(error);  // ELOOP and ENOENT are no exceptions here
  if (link && (error || !fs::exists(status))) return Sort::dead_link;
  if (fs::is_directory(status)) return link ? Sort::linked_folder : Sort::folder;
  return fs::is_regular_file(status) ? Sort::file : Sort::device;
}

/// The entries of a folder by name; an unreadable one is a fault.
std::vector<fs::directory_entry> entries_of(const fs::path& folder, Faults& faults) {
  std::vector<fs::directory_entry> out;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    out.push_back(*it);
  if (error)
    faults.push_back(
        fmt::format("{}: folder cannot be read: {} (check the permissions)", folder.string(), error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

/// Adds what is passed over whatever it holds; true where the entry is that.
bool passed_over(const fs::directory_entry& entry, Sort sort, Listing& listing) {
  const fs::path& path = entry.path();
  const bool folder = sort == Sort::folder || sort == Sort::linked_folder;
  if (folder && is_system_folder(path)) {
    listing.account.note(kSystem, shown(path, listing));
  } else if (is_hidden(path)) {
    listing.account.note(kHidden, shown(path, listing));
  } else if (sort == Sort::device) {
    listing.account.note(kDevices, shown(path, listing));
  } else if (sort == Sort::dead_link) {
    const Ending ending = ending_of(path);
    if (ending == Ending::other) {
      listing.account.warn(kDeadLinks, shown(path, listing));
    } else {
      std::error_code ignored;
      listing.faults.push_back(fmt::format("{}: a link that leads nowhere, to {} (mend or remove it)", path.string(),
                                           fs::read_symlink(path, ignored).string()));
    }
  } else {
    return false;
  }
  return true;
}

void no_picture(const fs::path& path, Listing& listing) {
  listing.account.add(kOthers, Account::Tone::note, shown(path, listing)).endings[lower_ending(path)] += 1;
}

/// Whether the file is an image to be read.
bool take_file(const fs::path& path, Listing& listing) {
  const Ending ending = ending_of(path);
  if (ending == Ending::picture) return true;  // if it is not, decoding it says so
  Bytes first;
  try {
    first = read_start(path, kKindBytes);
  } catch (const Error& e) {
    if (ending == Ending::other)
      no_picture(path, listing);
    else
      listing.faults.emplace_back(e.what());
    return false;
  }
  const std::string_view kind = kind_by_content(first);
  if (is_readable_kind(kind) && ending != Ending::other && ending != Ending::raw) {
    listing.account.note(kByContent, shown(path, listing));
    return true;
  }
  if (is_readable_kind(kind) && ending != Ending::raw)
    listing.account.warn(kOtherEnding, shown(path, listing));
  else if (ending == Ending::raw)
    listing.faults.push_back(
        fmt::format("{}: raw camera data cannot be read; convert it to PNG or JPEG, or remove it", path.string()));
  else if (ending == Ending::unreadable || (ending == Ending::none && is_other_picture(kind)))
    listing.faults.push_back(fmt::format("{}: pictures of this kind{}{}{} cannot be read; {}, or remove it",
                                         path.string(), kind.empty() ? "" : " (", kind, kind.empty() ? "" : ")",
                                         remedy_of(kind)));
  else
    no_picture(path, listing);
  return false;
}

/// What galleries put beside pictures. A class itself may well be thumbs.
bool is_thumbnail_folder(const fs::path& path) {
  const std::string name = lower(path.filename().string());
  return name == "thumbs" || name == "thumb" || name == "thumbnails" || name == "thumbnail" || name == "_thumbs";
}

void find_images(const fs::path& folder, Listing& listing, std::vector<fs::path>& files) {
  for (const fs::directory_entry& entry : entries_of(folder, listing.faults)) {
    const Sort sort = sort_of(entry);
    if (passed_over(entry, sort, listing)) continue;
    if (sort == Sort::folder && is_thumbnail_folder(entry.path()))
      listing.account.warn(kThumbnails, shown(entry.path(), listing));
    else if (sort == Sort::folder)
      find_images(entry.path(), listing, files);
    else if (sort == Sort::linked_folder)
      listing.account.warn(kLinkedFolders, shown(entry.path(), listing));
    else if (take_file(entry.path(), listing))
      files.push_back(entry.path());
  }
}

/// A file where no picture is looked for.
void account_for_file(const fs::path& path, Listing& listing) {
  const Ending ending = ending_of(path);
  if (ending == Ending::picture || ending == Ending::unreadable || ending == Ending::raw)
    listing.account.warn(kStray, shown(path, listing));
  else
    no_picture(path, listing);
}

/// README and LICENSE, which nobody expects to be read as data.
bool is_about_the_data(const fs::path& path) {
  const std::string name = lower(path.stem().string());
  return name == "readme" || name == "license" || name == "licence" || name == "copying" || name == "notice";
}

/// A class folder may be a link, but not to a folder around it: all other classes would be in it, too.
bool leads_out(const fs::path& link, const fs::path& root) {
  std::error_code error;
  const fs::path inside = fs::canonical(root, error), target = fs::canonical(link, error);
  return !error && std::mismatch(target.begin(), target.end(), inside.begin(), inside.end()).first == target.end();
}

void check_class_names(const ImageFolder& found, const fs::path& root, Listing& listing) {
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t c = 0; c < found.classes.size(); ++c) {
    const std::string& name = found.classes[c];
    if (!is_utf8(name))
      listing.faults.push_back(
          fmt::format("{}: class \"{}\": the folder's name is no UTF-8 text; rename it", root.string(), name));
    const auto [first, fresh] = seen.emplace(alike_form(name), c);
    if (fresh) continue;
    const bool by_case = lower(found.classes[first->second]) == lower(name);
    listing.account.warn(by_case ? "class folders whose names differ in upper and lower case alone"
                                 : "class folders whose names differ in case, blanks or the spelling of letters alone",
                         shown(root / name, listing));
  }
}

}  // namespace

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool is_system_folder(const fs::path& path) {
  static constexpr std::string_view kNames[] = {
      "@eadir",     "@tmp",     "@recycle",    "@recently-snapshot",   "@__thumb",
      "@sharebin",  "#recycle", "#snapshot",   "$recycle.bin",         "system volume information",
      "lost+found", "__macosx", "__pycache__", "network trash folder", "temporary items"};
  const std::string name = path.filename().string();
  if (name == "RECYCLER" || name == "RECYCLED") return true;  // in lower case it may be a kind of waste
  return std::find(std::begin(kNames), std::end(kNames), lower(name)) != std::end(kNames);
}

bool has_folders(const fs::path& folder) {
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (std::error_code ignored; it->is_directory(ignored) && !is_hidden(it->path()) && !is_system_folder(it->path()))
      return true;
  return false;
}

bool holds_pictures(const fs::path& folder, int at_least) {
  constexpr int kMost = 10'000;
  std::error_code error;
  int seen = 0;
  for (auto it = fs::recursive_directory_iterator(folder, error);
       !error && it != fs::recursive_directory_iterator() && ++seen <= kMost; it.increment(error)) {
    std::error_code ignored;
    const Ending ending = ending_of(it->path());
    if (is_hidden(it->path()) || is_system_folder(it->path())) {
      if (it->is_directory(ignored)) it.disable_recursion_pending();
    } else if ((ending == Ending::picture || ending == Ending::unreadable || ending == Ending::raw) &&
               !it->is_directory(ignored) && --at_least <= 0) {
      return true;
    }
  }
  return false;
}

std::vector<fs::path> list_images(const fs::path& root, Listing& listing) {
  AKIN_CHECK(is_folder(root), "{}: no such folder", root.string());
  std::vector<fs::path> files;
  find_images(root, listing, files);
  if (files.empty()) throw_faults(listing.faults, root.string());
  AKIN_CHECK(!files.empty(), "{}: no image file in it ({})", root.string(), list_of_kinds());
  std::sort(files.begin(), files.end());
  return files;
}

ImageFolder list_image_folder(const fs::path& root, Listing& listing, const std::vector<std::string>* classes) {
  AKIN_CHECK(is_folder(root), "{}: no such folder", root.string());
  ImageFolder found;
  for (const fs::directory_entry& entry : entries_of(root, listing.faults)) {
    const std::string name = entry.path().filename().string();
    if (classes != nullptr && std::find(classes->begin(), classes->end(), name) == classes->end()) continue;
    const Sort sort = sort_of(entry);
    if (passed_over(entry, sort, listing)) continue;
    if (sort == Sort::file)
      account_for_file(entry.path(), listing);
    else if (sort == Sort::linked_folder && leads_out(entry.path(), root))
      listing.faults.push_back(fmt::format("{}: a link to a folder that holds it (remove it)", entry.path().string()));
    else
      found.classes.push_back(name);
  }
  if (found.classes.empty()) throw_faults(listing.faults, root.string());
  AKIN_CHECK(!found.classes.empty(), "{}: no class folder in it; images belong into {}/<class>/", root.string(),
             root.string());
  std::sort(found.classes.begin(), found.classes.end());
  check_class_names(found, root, listing);
  for (std::size_t c = 0; c < found.classes.size(); ++c) {
    std::vector<fs::path> files;
    const std::size_t before = listing.faults.size();
    find_images(root / found.classes[c], listing, files);
    if (files.empty() && listing.faults.size() == before)
      listing.faults.push_back(fmt::format("{}: class \"{}\" has no image file ({}); add some or remove the folder",
                                           (root / found.classes[c]).string(), found.classes[c], list_of_kinds()));
    std::sort(files.begin(), files.end());
    found.files.insert(found.files.end(), files.begin(), files.end());
    found.labels.resize(found.files.size(), static_cast<int>(c));
  }
  return found;
}

ImageFolder list_image_folder(const fs::path& root) {
  Listing listing{root};
  ImageFolder found = list_image_folder(root, listing);
  throw_faults(listing.faults, root.string());
  return found;
}

void account_for_others(const fs::path& folder, const std::vector<std::string>& used, Listing& listing) {
  for (const fs::directory_entry& entry : entries_of(folder, listing.faults)) {
    const Sort sort = sort_of(entry);
    if (std::find(used.begin(), used.end(), entry.path().filename().string()) != used.end()) continue;
    if (passed_over(entry, sort, listing) || (sort == Sort::file && is_about_the_data(entry.path()))) continue;
    if (sort == Sort::file)
      account_for_file(entry.path(), listing);
    else
      listing.account.warn("folders that are no split of the data passed over", shown(entry.path(), listing));
  }
}

}  // namespace akin
