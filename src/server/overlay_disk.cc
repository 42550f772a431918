#include "rustbd/server/overlay_disk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

namespace rustbd::server {

namespace {

constexpr std::uint64_t kBlock = 4096;
using Block = std::array<std::byte, kBlock>;

/// One file: what `base` holds of it and what was written since. Shared by all that have it open.
struct FileState {
  std::mutex mutex;                // protects the rest
  std::unique_ptr<io::File> base;  // nullptr: made here
  std::uint64_t base_bytes = 0;    // of base that still count; behind them only what was written here
  std::uint64_t size = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Block>> written;  // by block number

  io::IoResult<> read_block(std::uint64_t number, Block& out) {
    if (const auto it = written.find(number); it != written.end()) {
      out = *it->second;
      return {};
    }
    out.fill(std::byte{0});
    const auto begin = number * kBlock;
    if (base == nullptr || begin >= base_bytes) return {};
    return base->read(begin, std::span{out}.first(std::min(kBlock, base_bytes - begin)));
  }
};

class OverlayFile final : public io::File {
 public:
  OverlayFile(std::shared_ptr<FileState> state) : state_(std::move(state)) {}

  void read_async(std::uint64_t offset, std::span<std::byte> into, io::IoRequest* request) override {
    finish(request, read(offset, into));
  }
  void write_async(std::uint64_t offset, std::span<const std::byte> from, io::IoRequest* request) override {
    finish(request, write(offset, from));
  }
  void datasync_async(io::IoRequest* request) override { finish(request, {}); }

  io::IoResult<> read(std::uint64_t offset, std::span<std::byte> into) override {
    std::lock_guard lock{state_->mutex};
    if (offset + into.size() > state_->size) return std::unexpected{io::IoFailure::kShort};
    return each_block(
        offset, into.size(),
        [&](std::uint64_t number, std::uint64_t at, std::uint64_t n, std::uint64_t done) -> io::IoResult<> {
          Block block;
          if (auto read = state_->read_block(number, block); !read) return read;
          std::memcpy(into.data() + done, block.data() + at, n);
          return {};
        });
  }
  io::IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) override {
    std::lock_guard lock{state_->mutex};
    state_->size = std::max(state_->size, offset + from.size());
    return each_block(
        offset, from.size(),
        [&](std::uint64_t number, std::uint64_t at, std::uint64_t n, std::uint64_t done) -> io::IoResult<> {
          auto it = state_->written.find(number);
          if (it == state_->written.end()) {
            auto fresh = std::make_unique<Block>();
            if (auto read = state_->read_block(number, *fresh); !read) return read;
            it = state_->written.emplace(number, std::move(fresh)).first;
          }
          std::memcpy(it->second->data() + at, from.data() + done, n);
          return {};
        });
  }
  io::IoResult<> datasync() override { return {}; }
  io::IoResult<> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    std::lock_guard lock{state_->mutex};
    state_->size = std::max(state_->size, offset + bytes);
    return {};
  }
  io::IoResult<> truncate(std::uint64_t bytes) override {
    std::lock_guard lock{state_->mutex};
    auto& s = *state_;
    if (bytes < s.size) {
      std::erase_if(s.written, [&](const auto& b) { return b.first * kBlock >= bytes; });
      s.base_bytes = std::min(s.base_bytes, bytes);
      if (const auto it = s.written.find(bytes / kBlock); it != s.written.end())
        std::fill(it->second->begin() + static_cast<std::ptrdiff_t>(bytes % kBlock), it->second->end(),
                  std::byte{0});
    }
    s.size = bytes;
    return {};
  }
  io::IoResult<std::uint64_t> size() override {
    std::lock_guard lock{state_->mutex};
    return state_->size;
  }

 private:
  /// body(block number, offset inside the block, bytes, bytes done before).
  template <class Body>
  static io::IoResult<> each_block(std::uint64_t offset, std::uint64_t bytes, Body&& body) {
    for (std::uint64_t done = 0; done < bytes;) {
      const auto at = (offset + done) % kBlock, n = std::min(kBlock - at, bytes - done);
      if (auto ok = body((offset + done) / kBlock, at, n, done); !ok) return ok;
      done += n;
    }
    return {};
  }
  static void finish(io::IoRequest* request, io::IoResult<> status) {
    request->status = status;
    request->done.fire();
  }
  const std::shared_ptr<FileState> state_;
};

class OverlayDisk final : public io::Disk {
 public:
  explicit OverlayDisk(io::Disk& base) : base_(base) {}

  io::IoResult<std::unique_ptr<io::File>> open(const std::string& path, io::OpenOptions options) override {
    std::lock_guard lock{mutex_};
    auto it = files_.find(path);
    if (it == files_.end()) {
      auto state = std::make_shared<FileState>();
      if (!removed_.contains(path) && base_.exists(path)) {
        auto file = base_.open(path, {.read_only = true});
        if (!file) return std::unexpected{file.error()};
        state->base = std::move(*file);
        const auto size = state->base->size();
        if (!size) return std::unexpected{size.error()};
        state->size = state->base_bytes = *size;
      } else if (!options.create) {
        return std::unexpected{io::IoFailure::kNotFound};
      }
      it = files_.emplace(path, std::move(state)).first;
    }
    return std::make_unique<OverlayFile>(it->second);
  }
  io::IoResult<> remove(const std::string& path) override {
    std::lock_guard lock{mutex_};
    if (!exists_locked(path)) return std::unexpected{io::IoFailure::kNotFound};
    files_.erase(path);
    removed_.insert(path);
    return {};
  }
  io::IoResult<> rename(const std::string& from, const std::string& to) override {
    if (auto opened = open(from, {}); !opened) return std::unexpected{opened.error()};
    std::lock_guard lock{mutex_};
    auto state = std::move(files_[from]);
    files_.erase(from);
    removed_.insert(from);
    files_[to] = std::move(state);
    return {};
  }
  io::IoResult<> sync_directory(const std::string&) override { return {}; }
  std::uint64_t free_bytes() override { return std::uint64_t{1} << 40; }
  io::IoResult<> make_directory(const std::string& path) override {
    std::lock_guard lock{mutex_};
    directories_.insert(path);
    return {};
  }
  io::IoResult<std::vector<std::string>> list(const std::string& path) override {
    std::lock_guard lock{mutex_};
    std::set<std::string> names;
    const auto prefix = path.empty() || path == "." ? std::string{} : path + "/";
    if (base_.exists(path) || prefix.empty()) {
      auto listed = base_.list(path);
      if (!listed) return listed;
      for (auto& n : *listed)
        if (!removed_.contains(prefix + n)) names.insert(std::move(n));
    } else if (!directories_.contains(path)) {
      return std::unexpected{io::IoFailure::kNotFound};
    }
    for (const auto& [name, state] : files_)
      if (name.starts_with(prefix) && name.find('/', prefix.size()) == std::string::npos)
        names.insert(name.substr(prefix.size()));
    return std::vector<std::string>{names.begin(), names.end()};
  }
  bool exists(const std::string& path) override {
    std::lock_guard lock{mutex_};
    return exists_locked(path);
  }
  io::IoResult<std::unique_ptr<io::FileLock>> lock(const std::string& path) override {
    return base_.lock(path);
  }
  std::string_view name() const override { return "overlay"; }

 private:
  bool exists_locked(const std::string& path) {
    return files_.contains(path) || directories_.contains(path) ||
           (!removed_.contains(path) && base_.exists(path));
  }
  io::Disk& base_;
  std::mutex mutex_;                                         // protects the rest
  std::map<std::string, std::shared_ptr<FileState>> files_;  // opened or made here
  std::set<std::string> removed_, directories_;
};

}  // namespace

std::unique_ptr<io::Disk> make_overlay_disk(io::Disk& base) { return std::make_unique<OverlayDisk>(base); }

}  // namespace rustbd::server
