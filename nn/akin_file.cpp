#include "nn/akin_file.hpp"

#include <vector>

#include "engine/io/json.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

std::string said(const SafeTensors& file, const char* key) {
  const auto it = file.metadata.find(key);
  return it == file.metadata.end() ? std::string() : spelled_controls(readable_text(it->second), false);
}

/// "source a" or "sources a, b": of what a probe of several reads.
std::string sources_of(const SafeTensors& file) {
  std::vector<std::string> names;
  if (const Json parts = json_or_null(said(file, "parts")); parts.is_array())
    for (const Json& part : parts)
      if (part.is_object() && part.contains("source") && part["source"].is_string())
        names.push_back(part["source"].get<std::string>());
  return fmt::format("source{} {}", names.size() == 1 ? "" : "s", fmt::join(names, ", "));
}

}  // namespace

AkinFile akin_file_of(const SafeTensors& file) {
  const std::string format = said(file, file.metadata.contains("akin") ? "akin" : "format");
  if (format == kModelFormat && file.metadata.contains("model"))
    return {.model = true, .kind = "a model", .remedy = ""};
  if (format.starts_with("akin-model") && format != kModelFormat)
    return {.kind = "a model of another version of akin (" + format + ")", .remedy = "use that version"};
  if (format.starts_with("akin-checkpoint"))
    return {.kind = "a checkpoint of a training run",
            .remedy = "the same command with --resume goes on and writes the model"};
  if (format.starts_with("akin-probe"))
    return {.kind = fmt::format("a probe of the features of {} (method probe-cv)", sources_of(file)),
            .remedy =
                "it has weights for their features and no network of its own: take a student of another method "
                "(students/ of its run), or let this probe teach one with --methods probe-taught"};
  if (format.starts_with("akin-head"))
    return {.kind = fmt::format("a linear probe's head on the features of source {}", said(file, "source")),
            .remedy =
                "it has no network of its own: take a student of another method (students/ of its run), such as "
                "finetune"};
  if (format.starts_with("akin-outputs"))
    return {.kind = fmt::format("what source {} says of the images of {}, kept in a cache", said(file, "source"),
                                said(file, "task")),
            .remedy = "give the source's own file"};
  if (format.starts_with("akin-table") || (file.find("features") != nullptr && file.find("logits") != nullptr))
    return {.kind = "a table of features and logits", .remedy = "there is no network in it; give the model's own file"};
  return {};
}

}  // namespace akin
