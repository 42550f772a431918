#include "rustbd/log/consumers.h"

#include <algorithm>
#include <utility>

#include "rustbd/base/crc32c.h"
#include "rustbd/io/replace_file.h"

namespace rustbd::log {
namespace {

constexpr std::uint32_t kMagic = 0x434C4452;  // "RDLC"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kFixedBytes = 16;  // magic, version, count, CRC

}  // namespace

LogConsumers::LogConsumers(io::Disk& disk, std::string directory, Geometry geometry)
    : disk_(disk), directory_(std::move(directory)), geometry_(geometry) {}

bool LogConsumers::load() {
  const std::string path = directory_ + "/consumers";
  if (!disk_.exists(path)) return true;
  const auto file = disk_.open(path, {.read_only = true});
  if (!file) return false;
  const auto size = (*file)->size();
  if (!size || *size < kFixedBytes) return false;
  Bytes bytes(*size);
  if (!(*file)->read(0, bytes)) return false;
  const std::size_t body = bytes.size() - sizeof(std::uint32_t);
  if (crc32c(0, bytes.data(), body) != rustbd::load<std::uint32_t>(bytes.data() + body)) return false;
  ByteReader in(ByteSpan(bytes).first(body));
  if (in.fixed<std::uint32_t>() != kMagic || in.fixed<std::uint32_t>() != kVersion) return false;
  Map found;
  for (auto count = in.fixed<std::uint32_t>(); count > 0 && in.ok(); --count) {
    const Lsn position{in.fixed<std::uint64_t>()};
    const ByteSpan name = in.raw(in.fixed<std::uint32_t>());
    found[std::string(as_chars(name))] = {position, position};
  }
  if (!in.ok() || !in.at_end()) return false;
  const std::lock_guard lock(mutex_);
  consumers_ = std::move(found);
  return true;
}

ConsumerStatus LogConsumers::save(Map next) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.fixed(kMagic);
  out.fixed(kVersion);
  out.fixed(static_cast<std::uint32_t>(next.size()));
  for (auto& [name, state] : next) {
    state.saved = state.position;
    out.fixed(state.position.raw());
    out.fixed(static_cast<std::uint32_t>(name.size()));
    for (const char c : name) out.fixed(static_cast<std::uint8_t>(c));
  }
  out.fixed(crc32c(0, bytes.data(), bytes.size()));
  if (const auto done = io::replace_file(disk_, directory_ + "/consumers", bytes); !done)
    return done.error() == io::IoFailure::kNoSpace ? ConsumerStatus::kNoSpace : ConsumerStatus::kIoError;
  const std::lock_guard lock(mutex_);
  for (auto& [name, state] : next) {  // it may have advanced meanwhile
    if (const auto now = consumers_.find(name); now != consumers_.end())
      state.position = std::max(state.position, now->second.position);
  }
  consumers_ = std::move(next);
  return ConsumerStatus::kOk;
}

ConsumerStatus LogConsumers::create(const std::string& name, Lsn position) {
  const std::lock_guard saving(save_mutex_);
  Map next;
  {
    const std::lock_guard lock(mutex_);
    if (consumers_.contains(name)) return ConsumerStatus::kExists;
    next = consumers_;
    // It holds the log from now on, while the file is being written.
    consumers_[name] = {position, position};
  }
  next[name] = {position, position};
  const ConsumerStatus saved = save(std::move(next));
  if (saved != ConsumerStatus::kOk) {
    const std::lock_guard lock(mutex_);
    consumers_.erase(name);
  }
  return saved;
}

ConsumerStatus LogConsumers::advance(const std::string& name, Lsn position) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = consumers_.find(name);
    if (found == consumers_.end()) return ConsumerStatus::kNotFound;
    State& state = found->second;
    state.position = std::max(state.position, position);
    if (geometry_.segment_of(state.position) == geometry_.segment_of(state.saved)) return ConsumerStatus::kOk;
  }
  const std::lock_guard saving(save_mutex_);
  Map next;
  {
    const std::lock_guard lock(mutex_);
    if (!consumers_.contains(name)) return ConsumerStatus::kNotFound;
    next = consumers_;
  }
  return save(std::move(next));
}

ConsumerStatus LogConsumers::drop(const std::string& name) {
  const std::lock_guard saving(save_mutex_);
  Map next;
  {
    const std::lock_guard lock(mutex_);
    next = consumers_;
  }
  if (next.erase(name) == 0) return ConsumerStatus::kNotFound;
  return save(std::move(next));
}

std::vector<LogConsumers::Consumer> LogConsumers::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Consumer> out;
  for (const auto& [name, state] : consumers_) out.push_back({name, state.position});
  return out;
}

Lsn LogConsumers::hold() const {
  const std::lock_guard lock(mutex_);
  Lsn lowest;
  for (const auto& [name, state] : consumers_)
    if (lowest.is_none() || state.saved < lowest) lowest = state.saved;
  return lowest;
}

}  // namespace rustbd::log
