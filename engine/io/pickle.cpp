#include "engine/io/pickle.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <set>

#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

using Kind = PickleValue::Kind;

/// All that torch.save calls for tensors and their storages, and the ordered dictionary that state_dict() returns.
const std::set<std::string_view>& known_globals() {
  static const std::set<std::string_view> kKnown{"collections.OrderedDict",
                                                 "torch._utils._rebuild_tensor",
                                                 "torch._utils._rebuild_tensor_v2",
                                                 "torch._utils._rebuild_parameter",
                                                 "torch.Size",
                                                 "torch.FloatStorage",
                                                 "torch.DoubleStorage",
                                                 "torch.HalfStorage",
                                                 "torch.BFloat16Storage",
                                                 "torch.LongStorage",
                                                 "torch.IntStorage",
                                                 "torch.ShortStorage",
                                                 "torch.CharStorage",
                                                 "torch.ByteStorage",
                                                 "torch.BoolStorage"};
  return kKnown;
}

constexpr std::size_t kMostDimensions = 16, kMostNodes = std::size_t{1} << 20, kMostBytes = std::size_t{8} << 20;

}  // namespace

UnknownGlobal::UnknownGlobal(const std::string& full_name)
    : Error("it needs " + full_name + ", which is no tensor") {}

class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, ByteView bytes) : p_(pickle), bytes_(bytes) {}

  PickleValue run() {
    for (;;) {
      const std::uint8_t op = number(1) & 255;
      if (op == '.') {
        const PickleValue top = pop();
        AKIN_CHECK(!top.is(Kind::mark), "it ends in a mark");
        return top;
      }
      step(op);
    }
  }

 private:
  void step(std::uint8_t op) {
    switch (op) {
      case 0x80: {  // PROTO
        const std::uint64_t version = number(1);
        AKIN_CHECK(version >= 2 && version <= 5, "it is of protocol {}, expected 2 to 5", version);
        return;
      }
      case 0x95:  // FRAME
        number(8);
        return;
      case '(':
        return push({.kind = Kind::mark});
      case 'N':
        return push({});
      case 0x88:
      case 0x89:
        return push({.kind = Kind::boolean, .whole = op == 0x88});
      case 'J':
        return push_whole(static_cast<std::int32_t>(number(4)));
      case 'K':
        return push_whole(static_cast<std::int64_t>(number(1)));
      case 'M':
        return push_whole(static_cast<std::int64_t>(number(2)));
      case 0x8a:
        return push_whole(long_integer(number(1)));
      case 'G': {  // big-endian
        std::uint64_t bits = 0;
        for (const std::uint8_t b : take(8)) bits = bits << 8 | b;
        return push({.kind = Kind::real, .number = std::bit_cast<double>(bits)});
      }
      case 'X':
      case 'T':
        return push_text(number(4), Kind::text);
      case 0x8c:
      case 'U':
        return push_text(number(1), Kind::text);
      case 0x8d:
        return push_text(number(8), Kind::text);
      case 'B':
        return push_text(number(4), Kind::bytes);
      case 'C':
        return push_text(number(1), Kind::bytes);
      case '}':
        return push(container(Kind::dict));
      case ']':
        return push(container(Kind::list));
      case ')':
        return push(container(Kind::tuple));
      case 't':
        return push_tuple(since_mark());
      case 0x85:
      case 0x86:
      case 0x87:
        return push_tuple(pop_some(static_cast<std::size_t>(op - 0x84)));
      case 'q':
        return put(number(1));
      case 'r':
        return put(number(4));
      case 0x94:
        return put(memo_.size());
      case 'h':
        return get(number(1));
      case 'j':
        return get(number(4));
      case '0':
        pop();
        return;
      case '1':
        since_mark();
        return;
      case '2':
        return push(top());
      case 'a': {
        const PickleValue item = pop();
        top_of(Kind::list).items.push_back(item);
        return;
      }
      case 'e': {
        const std::vector<PickleValue> items = since_mark();
        auto& list = top_of(Kind::list).items;
        list.insert(list.end(), items.begin(), items.end());
        return;
      }
      case 's':
        return set_items(pop_some(2));
      case 'u':
        return set_items(since_mark());
      case 'c': {
        const std::string_view module = line();
        return push_global(module, line());
      }
      case 0x93: {
        const PickleValue name = pop(), module = pop();
        AKIN_CHECK(name.is(Kind::text) && module.is(Kind::text), "a class is named by something else than text");
        return push_global(module.text, name.text);
      }
      case 'Q':
        return persistent(pop());
      case 'R': {
        const PickleValue arguments = pop(), function = pop();
        return call(function, arguments);
      }
      case 'b': {  // attributes of an ordered dictionary: state_dict's _metadata, which nobody needs
        const PickleValue state = pop();
        AKIN_CHECK(top().is(Kind::dict) && state.is(Kind::dict),
                   "it gives attributes to something else than a dictionary");
        return;
      }
      default:
        fail("its instruction 0x{:02x} at byte {} is none that plain data and tensors need", op, at_ - 1);
    }
  }

  // --- the program

  ByteView take(std::uint64_t n) {
    AKIN_CHECK(n <= bytes_.size() - at_, "it ends within an instruction");
    const ByteView part = bytes_.subspan(at_, n);
    at_ += n;
    return part;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(bytes).data(), bytes);
    return value;
  }
  std::int64_t long_integer(std::uint64_t bytes) {
    AKIN_CHECK(bytes <= 8, "it holds a whole number of {} bytes, expected at most 8", bytes);
    if (bytes == 0) return 0;
    std::uint64_t value = 0;
    std::memcpy(&value, take(bytes).data(), bytes);
    const unsigned unused = 64 - 8 * static_cast<unsigned>(bytes);
    return static_cast<std::int64_t>(value << unused) >> unused;  // the sign goes on
  }
  std::string_view text(std::uint64_t n) {
    const ByteView part = take(n);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::string_view line() {
    const auto rest = bytes_.subspan(at_);
    const auto end = std::find(rest.begin(), rest.end(), '\n');
    AKIN_CHECK(end != rest.end(), "it ends within an instruction");
    const std::string_view out = text(static_cast<std::uint64_t>(end - rest.begin()));
    ++at_;
    return out;
  }

  // --- its stack

  void push(const PickleValue& v) { stack_.push_back(v); }
  void push_whole(std::int64_t v) { push({.kind = Kind::integer, .whole = v}); }
  void push_text(std::uint64_t n, Kind kind) { push({.kind = kind, .text = text(n)}); }
  PickleValue container(Kind kind) {
    AKIN_CHECK(p_.nodes_.size() < kMostNodes, "it builds more than {} lists, dictionaries and tensors", kMostNodes);
    return {.kind = kind, .node = &p_.nodes_.emplace_back()};
  }
  void push_tuple(std::vector<PickleValue> items) {
    const PickleValue tuple = container(Kind::tuple);
    tuple.node->items = std::move(items);
    push(tuple);
  }
  const PickleValue& top() const {
    AKIN_CHECK(!stack_.empty(), "it takes more values than it made");
    return stack_.back();
  }
  PickleNode& top_of(Kind kind) const {
    AKIN_CHECK(top().is(kind), "it adds to something else than a {}", kind == Kind::list ? "list" : "dictionary");
    return *top().node;
  }
  PickleValue pop() {
    const PickleValue v = top();
    stack_.pop_back();
    return v;
  }
  std::vector<PickleValue> pop_some(std::size_t n) {
    AKIN_CHECK(stack_.size() >= n, "it takes more values than it made");
    std::vector<PickleValue> items(stack_.end() - static_cast<std::ptrdiff_t>(n), stack_.end());
    stack_.resize(stack_.size() - n);
    for (const PickleValue& v : items) AKIN_CHECK(!v.is(Kind::mark), "it takes a mark for a value");
    return items;
  }
  std::vector<PickleValue> since_mark() {
    const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), [](const auto& v) { return v.is(Kind::mark); });
    AKIN_CHECK(mark != stack_.rend(), "it goes back to a mark that is not there");
    std::vector<PickleValue> items = pop_some(static_cast<std::size_t>(mark - stack_.rbegin()));
    stack_.pop_back();
    return items;
  }
  void put(std::uint64_t slot) { memo_[slot] = top(); }
  void get(std::uint64_t slot) {
    const auto it = memo_.find(slot);
    AKIN_CHECK(it != memo_.end(), "it asks for value {} before it is made", slot);
    push(it->second);
  }
  void set_items(const std::vector<PickleValue>& items) {
    AKIN_CHECK(items.size() % 2 == 0, "an entry of a dictionary has no value");
    PickleNode& dict = top_of(Kind::dict);
    for (std::size_t i = 0; i < items.size(); i += 2) dict.entries.emplace_back(items[i], items[i + 1]);
  }

  // --- classes and functions

  void push_global(std::string_view module, std::string_view name) {
    const std::string full = fmt::format("{}.{}", module, name);
    const auto known = known_globals().find(full);
    if (known == known_globals().end())
      throw UnknownGlobal(spelled_controls(readable_text(full.substr(0, 200)), false));
    push({.kind = Kind::global, .text = *known});
  }

  const std::vector<PickleValue>& arguments_of(const PickleValue& tuple) const {
    AKIN_CHECK(tuple.is(Kind::tuple), "a call has no arguments");
    return tuple.node->items;
  }

  void call(const PickleValue& function, const PickleValue& tuple) {
    const std::vector<PickleValue>& given = arguments_of(tuple);
    AKIN_CHECK(function.is(Kind::global), "it calls something that is no function");
    const std::string_view name = function.text;
    if (name == "collections.OrderedDict") {
      const PickleValue dict = container(Kind::dict);
      if (!given.empty()) {  // a list of pairs
        AKIN_CHECK(given.size() == 1 && given[0].is(Kind::list), "an ordered dictionary is made of no list");
        copied_ += given[0].node->items.size();
        AKIN_CHECK(copied_ <= bytes_.size(), "it copies a list too often");
        for (const PickleValue& pair : given[0].node->items) {
          const std::vector<PickleValue>& both = pair.is(Kind::list) ? pair.node->items : arguments_of(pair);
          AKIN_CHECK(both.size() == 2, "an entry of a dictionary is no pair");
          dict.node->entries.emplace_back(both[0], both[1]);
        }
      }
      return push(dict);
    }
    if (name == "torch.Size") {
      AKIN_CHECK(given.size() == 1 && given[0].is(Kind::tuple), "a size is made of no tuple");
      return push(given[0]);
    }
    if (name == "torch._utils._rebuild_parameter") {
      AKIN_CHECK(!given.empty() && given[0].is(Kind::tensor), "a parameter is made of no tensor");
      return push(given[0]);
    }
    AKIN_CHECK(name.starts_with("torch._utils._rebuild_tensor"), "it calls {}", name);
    AKIN_CHECK(given.size() >= 4 && given[0].is(Kind::storage) && given[1].is(Kind::integer),
               "a tensor is made of other things than a storage, an offset, sizes and strides");
    const PickleValue made = container(Kind::tensor);
    PickleTensor& tensor = made.node->tensor;
    tensor = {given[0].node->storage, given[1].whole, sizes(given[2]), sizes(given[3])};
    AKIN_CHECK(tensor.size.size() == tensor.stride.size(), "a tensor has {} sizes and {} strides", tensor.size.size(),
               tensor.stride.size());
    push(made);
  }

  std::vector<std::int64_t> sizes(const PickleValue& tuple) const {
    std::vector<std::int64_t> out;
    for (const PickleValue& v : arguments_of(tuple)) {
      AKIN_CHECK(v.is(Kind::integer), "a size of a tensor is no whole number");
      out.push_back(v.whole);
    }
    AKIN_CHECK(out.size() <= kMostDimensions, "a tensor has {} dimensions, expected at most {}", out.size(),
               kMostDimensions);
    return out;
  }

  /// ("storage", torch.FloatStorage, "0", "cpu", 432)
  void persistent(const PickleValue& tuple) {
    const std::vector<PickleValue>& id = arguments_of(tuple);
    AKIN_CHECK(id.size() == 5 && id[0].text == "storage" && id[1].is(Kind::global) && id[2].is(Kind::text) &&
                   id[4].is(Kind::integer),
               "it names a storage in an unknown way");
    const std::string_view type = id[1].text;
    AKIN_CHECK(type.ends_with("Storage"), "it takes {} for the type of a storage", type);
    const PickleValue storage = container(Kind::storage);
    storage.node->storage = {type.substr(type.find('.') + 1), id[2].text, id[4].whole};
    push(storage);
  }

  Pickle& p_;
  ByteView bytes_;
  std::size_t at_ = 0, copied_ = 0;
  std::vector<PickleValue> stack_;
  std::map<std::uint64_t, PickleValue> memo_;
};

Pickle::Pickle(ByteView bytes) {
  AKIN_CHECK(bytes.size() <= kMostBytes, "it has {} bytes, expected at most {}", bytes.size(), kMostBytes);
  top_ = PickleMachine(*this, bytes).run();
}

}  // namespace akin
